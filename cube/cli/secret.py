"""`cube secret`: what the project keeps sealed, and where the rest comes from."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from cube.cli import options
from cube.errors import InputError
from cube.vault.place import VaultPlace

app = typer.Typer(help="Keep secrets sealed with age in the project, for jobs to name.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The secret's name, as jobs write it.")]
GENERATED = 32
"""Bytes of chance in a secret that Cube makes: 43 characters."""


@app.command(name="set")
def put(name: Name, inventory: options.Inventory = None) -> None:
    """Seal a secret in secrets/CLUSTER.age; its value is read from standard input, or asked for.

    Example: pass show shop/db | cube secret set db-password
    """
    place = _place(inventory)
    value = _asked(name)
    with place.changing() as values:
        is_known = name in values
        values[name] = value
    _tell(f"{'changed' if is_known else 'new'}: {name}; jobs get it with their next cube deploy")


@app.command()
def edit(inventory: options.Inventory = None) -> None:
    """Open all sealed secrets in $EDITOR, from memory and never from a disk. Example: cube secret edit"""
    from cube.cli import editing

    place = _place(inventory)
    before = place.opened()
    after = editing.edited(before)
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    if changed:
        with place.changing() as values:
            for name in changed:
                values.pop(name, None)
            values |= {name: after[name] for name in changed if name in after}
    _tell(f"changed: {', '.join(changed) or 'nothing'}")


@app.command()
def ls(inventory: options.Inventory = None, output: options.Format = options.Output.TABLE) -> None:
    """List the names of the secrets and where each comes from, never a value. Example: cube secret ls"""
    from cube.cli import render

    place = _place(inventory)
    sources = place.sources()
    rows = [{"name": name, "source": "sealed"} for name in place.opened() if name not in sources]
    rows += [
        {"name": name, "source": f"{source.kind}: {' '.join(source.value)}"}
        for name, source in sources.items()
    ]
    render.table(sorted(rows, key=lambda row: row["name"]), ("name", "source"), output)


@app.command()
def rotate(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A secret to be given a new value by chance.")
    ] = None,
    inventory: options.Inventory = None,
) -> None:
    """Give a secret a new value, made by chance; without a name, seal all anew for who may open them now.

    Who may is in secrets/CLUSTER.recipients: public keys of age. Example: cube secret rotate session-key
    """
    import secrets

    place = _place(inventory)
    with place.changing() as values:
        if name is None:
            said = f"sealed anew for {len(place.recipients())} keys"
        elif name in values:
            values[name] = secrets.token_urlsafe(GENERATED)
            said = f"changed: {name}; jobs get it with their next cube deploy"
        else:
            cure = f"Set it first: cube secret set {name}"
            raise InputError(f"there is no sealed secret {name!r}", cure=cure)
    _tell(said)


def _place(inventory: Path | None) -> VaultPlace:
    from cube.cli.load import find_inventory, load_cluster
    from cube.cli.office import refuse_manager, vault_place

    refuse_manager("secrets are kept in the project that the manager works in")
    cluster = load_cluster(find_inventory(inventory, os.environ, Path.cwd()))
    return vault_place(cluster.name, os.environ)


def _asked(name: str) -> str:
    """What stands on standard input, without the last line's end; a person is asked, unseen."""
    from cube.vault.entry import checked_name, checked_value
    from cube.vault.vault import MAX_BYTES

    checked_name(name)
    if sys.stdin.isatty():
        typed = str(typer.prompt(f"the value of {name}", hide_input=True, err=True))
        return checked_value(name, typed.encode("utf-8", "surrogateescape"))
    # One byte for the line's end, and one that tells that there is too much.
    return checked_value(name, sys.stdin.buffer.read(MAX_BYTES + 2).removesuffix(b"\n"))


def _tell(text: str) -> None:
    typer.echo(text, err=True)
