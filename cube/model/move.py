"""Move: somebody wants a slot's task on another node than the one where it runs."""

from dataclasses import dataclass

from cube.model.task import Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """The slot is to be filled on `target`, and no longer on `source`, where its task is fit to stay.

    `reason` tells what is gained, and for what price. It holds until the new task is proven and the old one
    has gone, or until the target can no longer take it: then it is dropped, and the old task stays.
    """

    slot: Slot
    source: str
    target: str
    reason: str
