"""Telling a task of its files once more, where that failed: later each time, and nobody waits for ever."""

from cube.model.files import Delivered
from cube.model.observation import Seen
from cube.reconciler.elapsed import due_at

FIRST, LONGEST = 5.0, 600.0
"""Seconds after the first try, and after one of many."""

PATIENCE = 5
"""Tries after which nobody waits for the task any more: that is after 75 seconds, and what the tries took."""


def tried_at(delivered: Delivered, seen: Seen) -> float:
    """When it was told, or somebody last began to tell it; the node's clock need not be ours."""
    return delivered.told_at - seen.stats.clock + seen.at


def next_try(delivered: Delivered, seen: Seen, now: float) -> float:
    """When it is to be told again of files that are there: twice as long after each try."""
    if delivered.tries == 0:
        return now
    wait = min(LONGEST, FIRST * 2.0 ** (delivered.tries - 1))
    return due_at(tried_at(delivered, seen), wait, now)


def is_beyond_telling(delivered: Delivered) -> bool:
    """It was tried so often that no other task waits for it."""
    return not delivered.is_told and delivered.tries >= PATIENCE
