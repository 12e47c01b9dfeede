"""`cube node stats`: how a node was used, and by whom."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from cube.cli import options, render
from cube.model.codec import to_data
from cube.model.measure import Usage
from cube.view import words
from cube.view.course import course

WIDTH = 40
"""Columns of a course."""

AMOUNTS = ("what", "last", "mean", "most", "of", "course")
SHARES = ("container", "cpu", "mean", "most", "memory", "highest", "course")


def stats(
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Which nodes: a name, a group, `all`, `web:&dc1`.")
    ],
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="From 6h ago on, or from '2026-11-20 14:00'.")
    ] = "6h",
    inventory: options.Inventory = None,
    state: options.State = None,
    output: options.Format = options.Output.TABLE,
) -> None:
    """Print how nodes were used: promised to tasks, used by them and by others, as sweeps measured it.

    cube node stats web1 --since 2d
    """
    from cube.cli.moment import moment
    from cube.cli.reach import office, recorded
    from cube.inventory.pattern import select
    from cube.view.usage import usages

    place, now = office(inventory, state), time.time()
    begin = moment(since, "--since", now=now)
    chosen = [node.name for node in select(place.cluster, pattern)]
    with recorded(place) as store:
        found = {name: usages(store.measures(name, begin)) for name in chosen}
    if output is options.Output.JSON:
        render.as_json(to_data(found))
        return
    for name, usage in found.items():
        render.line(name, "bright_white")
        _show(usage, begin, now)


def _show(found: Sequence[Usage], since: float, until: float) -> None:
    """What the node's use was, and below it whose."""
    if not found:
        render.line(f"nothing is known since {render.moment(since)}: a sweep measures, at most once a minute")
        return
    render.table(_amounts(found, since, until), AMOUNTS, options.Output.TABLE)
    if shares := _shares(found, since, until):
        render.line("")
        render.table(shares, SHARES, options.Output.TABLE)


Amount = Callable[[Usage], float]

NODE: Sequence[tuple[str, Amount, Amount, Callable[[float], str]]] = (
    ("cpu in use", lambda use: use.used.cpu, lambda use: use.capacity.cpu, words.cores),
    ("  by tasks", lambda use: use.by_tasks.cpu, lambda use: use.capacity.cpu, words.cores),
    ("  by others", lambda use: use.by_others.cpu, lambda use: use.capacity.cpu, words.cores),
    ("  promised", lambda use: use.promised.cpu, lambda use: use.capacity.cpu, words.cores),
    ("memory in use", lambda use: use.used.memory, lambda use: use.capacity.memory, words.size),
    ("  by tasks", lambda use: use.by_tasks.memory, lambda use: use.capacity.memory, words.size),
    ("  by others", lambda use: use.by_others.memory, lambda use: use.capacity.memory, words.size),
    ("  promised", lambda use: use.promised.memory, lambda use: use.capacity.memory, words.size),
    ("disk in use", lambda use: use.used.disk, lambda use: use.capacity.disk, words.size),
    ("  promised", lambda use: use.promised.disk, lambda use: use.capacity.disk, words.size),
    ("load", lambda use: use.load, lambda use: use.capacity.cpu / 1000, "{:.2f}".format),
)
"""What is told of a node: how much, of what, and how that is written."""


def _amounts(found: Sequence[Usage], since: float, until: float) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = []
    for what, amount, whole, word in NODE:
        values, top = [amount(usage) for usage in found], whole(found[-1])
        rows.append(
            {
                "what": what,
                "last": word(values[-1]),
                "mean": word(_mean(found, values)),
                "most": word(max(values)),
                "of": word(top),
                "course": _course(found, values, since, until, top),
            }
        )
    return rows


def _shares(found: Sequence[Usage], since: float, until: float) -> list[Mapping[str, Any]]:
    """Each container that used anything, Cube's first, with what it used while it was there."""
    names = {(1, name) for usage in found for name in usage.others}
    names |= {(0, name) for usage in found for name in usage.tasks}
    rows: list[Mapping[str, Any]] = []
    for _, name in sorted(names):
        there = [usage for usage in found if name in usage.tasks or name in usage.others]
        shares = [usage.tasks.get(name) or usage.others[name] for usage in there]
        cpu, memory = [share.cpu for share in shares], [share.memory for share in shares]
        is_there = there[-1] is found[-1]
        rows.append(
            {
                "container": name,
                "cpu": words.cores(cpu[-1]) if is_there else None,
                "mean": words.cores(_mean(there, cpu)),
                "most": words.cores(max(cpu)),
                "memory": words.size(memory[-1]) if is_there else None,
                "highest": words.size(max(memory)),
                "course": _course(there, cpu, since, until, max(cpu)),
            }
        )
    return rows


def _mean(found: Sequence[Usage], values: Sequence[float]) -> float:
    """Each value counts for as long as it was so."""
    seconds = [usage.at - usage.since for usage in found]
    return sum(value * length for value, length in zip(values, seconds, strict=True)) / sum(seconds)


def _course(found: Sequence[Usage], values: Sequence[float], since: float, until: float, top: float) -> str:
    points = ((usage.at, value) for usage, value in zip(found, values, strict=True))
    return course(points, since=since, until=until, top=top, width=WIDTH)
