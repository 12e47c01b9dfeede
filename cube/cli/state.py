"""`cube state`: copies of what is remembered, and a check that it is sound."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from cube.cli import options
from cube.store.address import Server, StatePlace

app = typer.Typer(help="Copy or check the state: what Cube remembers of a cluster.", no_args_is_help=True)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The new file; one that is there is never written over.")],
    inventory: options.Inventory = None,
    state: options.State = None,
) -> None:
    """Copy the whole state, while others may go on working. Example: cube state backup monday.db"""
    from cube.store.store import open_store

    path = _path(inventory, state)
    with closing(open_store(path, create=False)) as store:
        store.backup(file)
    typer.echo(f"{path} copied to {file}")


@app.command()
def copy(
    source: Annotated[str, typer.Argument(help="The state to copy: a file, or postgresql://...")],
    target: Annotated[str, typer.Argument(help="Where to: a new file, or an empty database.")],
    wait: options.LockWait = "0s",
) -> None:
    """Copy a state to another engine, losing nothing. Example: cube state copy shop.db postgresql://db/shop

    Nobody may work on the source meanwhile. Use only one of the two afterwards: they are one state, twice.
    """
    from cube.cli.office import seconds
    from cube.store.lock import hold
    from cube.store.store import open_store

    places = [_named(text) for text in (source, target)]
    with (
        closing(open_store(places[0], create=False)) as one,
        hold(one, command="state copy", wait=seconds(wait, "--lock-wait")),
        closing(open_store(places[1])) as other,
    ):
        one.pour_into(other)
    typer.echo(f"{places[0]} copied to {places[1]}; use only that one from now on")


@app.command()
def check(inventory: options.Inventory = None, state: options.State = None) -> None:
    """Look for damage, and for what does not add up; exit 1 if there is any. Example: cube state check"""
    from cube.errors import CubeError
    from cube.store.store import open_store

    path = _path(inventory, state)
    with closing(open_store(path, create=False)) as store:
        problems = store.check()
    if problems:
        cure = "put a backup in its place; what runs on the fleet is left as it is"
        raise CubeError("the state is not sound", where=str(path), why="\n  ".join(problems), cure=cure)
    typer.echo(f"{path} is sound")


def _path(inventory: Path | None, state: str | None) -> Path | Server:
    """The state's place, found without its inventory where it is named: that may be what was lost."""
    import os

    from cube.cli.office import named_state, office

    return _kept(named_state(state, os.environ) or office(inventory, None).state)


def _named(text: str) -> Path | Server:
    from cube.cli.office import named_state

    return _kept(named_state(text, {}))


def _kept(place: StatePlace | None) -> Path | Server:
    """Raises InputError for a state in memory: it is gone when the command begins."""
    from cube.errors import InputError

    if place is None or place == ":memory:":
        raise InputError("a state in memory cannot be copied or checked", cure="Name a file with --state.")
    return place
