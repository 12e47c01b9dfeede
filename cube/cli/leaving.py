"""Behind `cube node drain --plan`: what would have to move, with how much data, and how long that takes."""

from collections.abc import Iterator, Sequence
from typing import Any

from cube.cli import options, render
from cube.cli.reach import Place, looking_on_by_hand
from cube.manager.leaving import Leaver, copying, leavers
from cube.view import words

COLUMNS = ("task", "to", "volumes", "data", "takes")


def preview(place: Place, node: str, output: options.Output) -> int:
    """Print what a drain would move, and what it would leave behind; 1 where a task could go nowhere."""
    with looking_on_by_hand(place) as (manager, workers):
        found = leavers(manager, workers, node)
    if output is options.Output.TABLE and not found:
        render.line(f"{node}: no task would have to move")
        return 0
    render.table([_row(leaver) for leaver in found], COLUMNS, output)
    if output is options.Output.TABLE:
        for line in notes(found, node):
            render.line(f"  {line}")
    return 0 if all(leaver.nodes for leaver in found) else 1


def notes(found: Sequence[Leaver], node: str) -> Iterator[str]:
    """What stays behind and how it comes along; how long all of it takes, as far as that is known before."""
    for leaver in found:
        if leaver.volumes:
            to = leaver.nodes[0] if leaver.nodes else "NODE"
            yield f"its data stays on {node}, unless: cube move '{leaver.task.slot}' --to {to} --with-data"
    writing = [leaver for leaver in found if leaver.volumes]
    if writing:
        yield f"with data: {len(writing)}, one after another {_takes(copying(writing))}"
    if others := len(found) - len(writing):
        yield f"without data: {others}, each stays until its successor counts as healthy"


def _takes(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"about {words.age(max(seconds, 1))}"


def _row(leaver: Leaver) -> dict[str, Any]:
    has_data, size, seconds = bool(leaver.volumes), leaver.size, leaver.seconds
    return {
        "task": str(leaver.task.slot),
        "to": " ".join(leaver.nodes) or f"nowhere: {leaver.why}",
        "nodes": list(leaver.nodes),
        "volumes": ", ".join(leaver.volumes) or None,
        "data": (render.size(size) if size is not None else "unknown") if has_data else None,
        "bytes": size,
        "takes": _takes(seconds) if has_data else None,
        "seconds": seconds if has_data else None,
    }
