"""What a service keeps up beside its turns: what was looked at, who is silent, how often to look."""

from collections.abc import Iterable, Mapping
from math import inf

from cube.manager.cordons import carry_cordons
from cube.manager.picture import Picture
from cube.model.node import Silence
from cube.model.task import Task
from cube.reconciler.silence import listen, news
from cube.store.store import Store

ANEW = 0.75
"""The share of the pause between two looks after which a miss counts: looks come a little early at times."""


def remember(store: Store, picture: Picture, now: float, *, every: float) -> None:
    """Record the looks since the last time, and who is silent: no look counts twice.

    Of several managers that look at a node, each `every` seconds, one counts what it missed.
    """
    known, observed = store.silences(), picture.observed
    taken = picture.taken()
    carry_cordons(store, observed, now)
    store.put_observations(taken.values())
    heard = {
        name: known[name] if name in known and _is_counted(known[name], each, every) else each
        for name, each in listen(known, observed, now).items()
    }
    silences = {name: each for name, each in heard.items() if name in taken}
    silences |= {name: each for name, each in known.items() if name in observed and name not in taken}
    if known or silences:
        mine = [each for name, each in silences.items() if name in taken]
        of = {*taken, *(name for name in known if name not in observed)}
        store.put_silences(mine, news(known, silences, taken), of=of, now=now)


def _is_counted(known: Silence, heard: Silence, every: float) -> bool:
    """Somebody has just counted what a look missed; a count that begins anew does so at once."""
    return heard.misses > known.misses and heard.at - known.at < ANEW * every


def pauses(tasks: Iterable[Task]) -> Mapping[str, float]:
    """How long each node may be left alone at most: no longer than the most eager check of a task there."""
    longest: dict[str, float] = {}
    for task in tasks:
        if task.node and task.spec.health and not task.state.is_terminal:
            longest[task.node] = min(longest.get(task.node, inf), max(task.spec.health.interval, 1.0))
    return longest
