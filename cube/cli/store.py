"""`cube store`: a copy of what is remembered, and a check that it is sound."""

from pathlib import Path
from typing import Annotated

import typer

from cube.cli import options

app = typer.Typer(help="Copy or check the state: what Cube remembers of a cluster.", no_args_is_help=True)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The new file; one that is there is never written over.")],
    inventory: options.Inventory = None,
    state: options.State = None,
) -> None:
    """Copy the whole state, while others may go on working. Example: cube store backup monday.db"""
    from cube.store.store import open_store

    path = _path(inventory, state)
    store = open_store(path, create=False)
    try:
        store.backup(file)
    finally:
        store.close()
    typer.echo(f"{path} copied to {file}")


@app.command()
def check(inventory: options.Inventory = None, state: options.State = None) -> None:
    """Look for damage, and for what does not add up; exit 1 if there is any. Example: cube store check"""
    from cube.errors import CubeError
    from cube.store.store import open_store

    path = _path(inventory, state)
    store = open_store(path, create=False)
    try:
        problems = store.check()
    finally:
        store.close()
    if problems:
        cure = "put a backup in its place; what runs on the fleet is left as it is"
        raise CubeError("the state is not sound", where=str(path), why="\n  ".join(problems), cure=cure)
    typer.echo(f"{path} is sound")


def _path(inventory: Path | None, state: str | None) -> Path:
    """The state file. Raises InputError for one in memory: it is gone when the command begins."""
    from cube.errors import InputError

    if state == ":memory:":
        raise InputError("a state in memory cannot be copied or checked", cure="Name a file with --state.")
    # A state that is named is found without its inventory: that may be what was lost.
    return Path(state) if state else _path_of_cluster(inventory)


def _path_of_cluster(inventory: Path | None) -> Path:
    from cube.cli.office import office

    return Path(office(inventory, None).state)
