"""Behind `cube rebalance` and `cube move`: moves in words, and who carries them out."""

from collections.abc import Callable
from typing import cast

from cube.cli import options, render
from cube.cli.reach import Place, looking_on
from cube.manager import moves
from cube.manager.manager import Manager
from cube.manager.moves_with_data import Asked, move_with_data
from cube.manager.report import Report
from cube.manager.turn import Run
from cube.remote.manager import RemoteManager
from cube.remote.office import RemoteOffice
from cube.scheduler.algorithms import ALGORITHMS
from cube.whatif import rebalance
from cube.whatif.rebalance import Exchange

MOVE = ("task", "from", "to", "score", "gain", "price")


def refuse_turns(place: Place) -> None:
    """Raises InputError for a scheduler that finds no place better than another."""
    rebalance.refuse_turns(ALGORITHMS[place.scheduler])


def preview(place: Place, max_moves: int, min_gain: float, output: options.Output) -> None:
    """Print the moves that a rebalance would begin now, in their order."""
    with looking_on(place) as manager:
        found = moves.preview(manager, max_moves=max_moves, min_gain=min_gain)
    if output is options.Output.JSON:
        render.as_json([_data(move) for move in found])
    elif found:
        render.table([_row(move) for move in found], MOVE, output)
    else:
        render.line(f"no move gains {min_gain:g} or more")


def rebalanced(place: Place, max_moves: int, min_gain: float) -> Callable[[Manager, Run], Report]:
    """What carries out a rebalance, here or through a manager."""
    if isinstance(place, RemoteOffice):
        return lambda far, run: cast("RemoteManager", far).rebalance(
            run, max_moves=max_moves, min_gain=min_gain
        )
    return lambda manager, run: moves.rebalance(manager, run, max_moves=max_moves, min_gain=min_gain)


def moved(place: Place, task: str, node: str) -> Callable[[Manager, Run], Report]:
    """What carries out a move, here or through a manager."""
    if isinstance(place, RemoteOffice):
        return lambda far, run: cast("RemoteManager", far).move(task, node, run)
    return lambda manager, run: moves.move(manager, task, node, run)


def moved_with_data(place: Place, asked: Asked) -> Callable[[Manager, Run], Report]:
    """What carries out a move of a task and what it has written, here or through a manager."""
    if isinstance(place, RemoteOffice):
        return lambda far, run: cast("RemoteManager", far).move_with_data(asked, run)
    return lambda manager, run: move_with_data(manager, asked, run)


def _data(move: Exchange) -> dict[str, object]:
    return {
        "task": str(move.task.slot),
        "id": move.task.id,
        "from": move.task.node,
        "to": move.target,
        "before": move.before,
        "after": move.after,
        "gain": move.gain,
        "price": move.price,
    }


def _row(move: Exchange) -> dict[str, object]:
    score = f"{move.before:.3f} -> {move.after:.3f}"
    return {**_data(move), "score": score, "gain": f"{move.gain:.3f}"}
