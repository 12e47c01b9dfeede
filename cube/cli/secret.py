"""`cube secret`: what the project keeps sealed, and where the rest comes from."""

import os
import subprocess
import sys
import tempfile
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
    _check(name)
    value = _asked(name)
    values = dict(place.opened())
    place.seal({**values, name: value})
    _tell(f"{'changed' if name in values else 'new'}: {name}; jobs get it with their next cube deploy")


@app.command()
def edit(inventory: options.Inventory = None) -> None:
    """Open all sealed secrets in $EDITOR, from memory and never from a disk. Example: cube secret edit"""
    import yaml

    place = _place(inventory)
    before = dict(place.opened())
    after = yaml.safe_load(_edited(yaml.safe_dump(before, allow_unicode=True))) or {}
    if not isinstance(after, dict) or not all(
        isinstance(value, str | int | float) for value in after.values()
    ):
        raise InputError("this is no table of names and values; nothing is changed")
    found = {_check(str(name)): str(value) for name, value in after.items()}
    if found != before:
        place.seal(found)
    changed = sorted(name for name in {*before, *found} if before.get(name) != found.get(name))
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
    values = dict(place.opened())
    if name is None:
        place.seal(values)
        _tell(f"sealed anew for {len(place.recipients())} keys")
        return
    if name not in values:
        raise InputError(f"there is no sealed secret {name!r}", cure=f"Set it first: cube secret set {name}")
    place.seal({**values, name: secrets.token_urlsafe(GENERATED)})
    _tell(f"changed: {name}; jobs get it with their next cube deploy")


def _place(inventory: Path | None) -> VaultPlace:
    from cube.cli.load import find_inventory, load_cluster
    from cube.cli.office import vault_place

    cluster = load_cluster(find_inventory(inventory, os.environ, Path.cwd()))
    return vault_place(cluster.name, os.environ)


def _check(name: str) -> str:
    from cube.spec.grammar import secret

    try:
        return secret(name)
    except ValueError as error:
        raise InputError(str(error)) from None


def _asked(name: str) -> str:
    """What stands on standard input, without the last line's end; a person is asked, unseen."""
    if sys.stdin.isatty():
        return str(typer.prompt(f"the value of {name}", hide_input=True, err=True))
    value = sys.stdin.read(1 << 18).removesuffix("\n")
    if not value:
        raise InputError(f"standard input holds no value for {name!r}")
    return value


def _edited(text: str) -> str:
    """What an editor makes of it, in a file in memory that is gone afterwards."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    memory = Path("/dev/shm")  # noqa: S108 - on purpose: it is memory, and the file is its owner's alone
    if not memory.is_dir():
        raise InputError("there is no /dev/shm to edit in", cure="Use cube secret set NAME.")
    with tempfile.TemporaryDirectory(dir=memory, prefix="cube-") as folder:
        file = Path(folder) / "secrets.yml"
        file.touch(mode=0o600)
        file.write_text(text)
        done = subprocess.run([*editor.split(), str(file)], check=False)  # noqa: S603 - the person's own editor
        if done.returncode != 0:
            raise InputError(f"{editor} ended with status {done.returncode}; nothing is changed")
        return file.read_text()


def _tell(text: str) -> None:
    typer.echo(text, err=True)
