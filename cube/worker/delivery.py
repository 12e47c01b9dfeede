"""Bringing an image to a node: what it lacks, then the proof that what was sent is what it has."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from cube.connection import Channel
from cube.errors import CubeError, UnreachableError
from cube.image.pack import Parcel
from cube.image.shelf import Cargo, Shelf
from cube.model import transit
from cube.model.action import Outcome, Push, Verdict
from cube.worker import images
from cube.worker.engine import EngineError
from cube.worker.meter import Pace

OpenChannel = Callable[[int], Channel]
"""A channel to the node's engine that lives long enough for so many bytes."""

Told = Callable[[int, int], None]
"""Hears how many bytes have been sent, and of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """An image that is on a node now: the bytes that were sent for it, the layers sent, and the seconds.

    `is_new`: it was not there before, under that name. `source` is the node that sent it; empty: this
    machine. `note` says why no node did, where one should have.
    """

    sent: int
    layers: int
    seconds: float
    is_new: bool = True
    source: str = ""
    note: str = ""


def push(cargo: Cargo, open_channel: OpenChannel, told: Told) -> Delivered:
    """The layers that the engine lacks, and the image's name. Raises CubeError.

    A large image goes part by part: a push that breaks off loses one of them. An engine that does not take
    less than the whole image, as one on containerd may not, gets it in one piece: so does one from which
    somebody removes a layer between the look and the load.
    """
    started = time.monotonic()
    if introduce(cargo, open_channel):
        return Delivered(sent=0, layers=0, seconds=time.monotonic() - started, is_new=False)
    present = images.layers_there(open_channel(0), cargo.recipe.layers)
    parcels = cargo.pack().parcels(present)
    try:
        sent = _load(cargo, parcels, open_channel, told)
    except EngineError:
        whole = (cargo.pack().parcel(0),)
        if parcels == whole:
            raise
        sent, parcels = _load(cargo, whole, open_channel, told), whole
    layers = sum(parcel.layers for parcel in parcels)
    return Delivered(sent=sent, layers=layers, seconds=time.monotonic() - started)


def introduce(cargo: Cargo, open_channel: OpenChannel) -> bool:
    """Have the node know the image that it has under that name by the id that it has here, too.

    False: it does not have it. Raises EngineError or EngineSilentError.
    """
    found = images.recipe(open_channel(0), cargo.recipe.name)
    if found is None or not found.is_same(cargo.recipe):
        return False
    if found.id != cargo.recipe.id:
        images.pin(open_channel(0), found.id, cargo.recipe.id)
    return True


def conclude(cargo: Cargo, open_channel: OpenChannel) -> None:
    """The proof that what was loaded is the image. Raises EngineError where the engine has something else.

    Parts, which only were to hold layers until the image does, go; what stays, `cube image prune` takes.
    """
    if not introduce(cargo, open_channel):
        raise EngineError("the engine has loaded the image, and does not have it")
    for part in cargo.pack().parts:
        with suppress(EngineError):
            images.remove(open_channel(0), part)


def perform(
    effect: Push, shelf: Shelf | None, deliver: Callable[[Cargo, Told], Delivered], told: transit.Told
) -> Outcome:
    """What comes of a push that a plan asks for; `told` hears how far it is. Raises nothing."""
    begun, pace = transit.Transit(node=effect.node, image=effect.image, job=effect.job), Pace()

    def tell(sent: int, size: int) -> None:
        if pace.is_due(time.monotonic()):
            told(replace(begun, got=sent, size=size))

    try:
        assert shelf is not None, "a plan pushes only what the operator's engine has"
        with shelf.in_use():
            done = deliver(_as_planned(effect, shelf.cargo(effect.image)), tell)
    except UnreachableError as error:
        return Outcome(verdict=Verdict.UNKNOWN, why=_told(error), cure=error.cure)
    except CubeError as error:
        return Outcome(verdict=Verdict.FAILED, why=_told(error), cure=error.cure)
    detail = {"bytes": str(done.sent), "layers": str(done.layers), "seconds": f"{done.seconds:.1f}"}
    if done.source:
        detail["from"] = done.source
    return Outcome(verdict=Verdict.OK, detail=detail)


def _as_planned(effect: Push, cargo: Cargo) -> Cargo:
    """Raises CubeError where the name means another image here than when the plan was made."""
    if effect.pinned != cargo.recipe.id:
        raise CubeError(
            f"{effect.image} means another image on this machine than a moment ago",
            cure="Deploy again, to run what it means now.",
        )
    return cargo


def _told(error: CubeError) -> str:
    return ": ".join(part for part in (error.what, error.why) if part)


def _load(cargo: Cargo, parcels: Sequence[Parcel], open_channel: OpenChannel, told: Told) -> int:
    """The bytes sent. Raises EngineError where the engine has something else in the end."""
    size, sent = sum(parcel.size for parcel in parcels), 0

    def count(more: int) -> None:
        nonlocal sent
        sent += more
        told(sent, size)

    for parcel in parcels:
        images.load(open_channel(parcel.size), parcel.pieces(), parcel.size, count)
    conclude(cargo, open_channel)
    return sent
