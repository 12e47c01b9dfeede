"""All sealed secrets in an editor, until what it leaves can be used."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import typer
import yaml

from cube.errors import InputError
from cube.vault.entry import checked_name, checked_value
from cube.vault.sealed import table


def edited(before: Mapping[str, str]) -> Mapping[str, str]:
    """What a person makes of the secrets; after a slip they are asked whether they edit again.

    Raises InputError where nothing can be made of it: nothing is changed then.
    """
    text = yaml.safe_dump(dict(before), allow_unicode=True).encode()
    while True:
        text = _through_the_editor(text)
        try:
            return _read(text)
        except InputError as error:
            if not sys.stdin.isatty():
                raise
            typer.echo(f"cube: {error}", err=True)
            if not typer.confirm("Edit again?", default=True, err=True):
                raise InputError("nothing is changed") from None


def _read(text: bytes) -> Mapping[str, str]:
    found = table(text.decode("utf-8", "surrogateescape"), "secrets.yml")
    for name, value in found.items():
        checked_value(checked_name(name), value.encode("utf-8", "surrogatepass"))
    return found


def _through_the_editor(text: bytes) -> bytes:
    """What an editor makes of it, in a file in memory that is gone afterwards."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    memory = Path("/dev/shm")  # noqa: S108 - on purpose: it is memory, and the file is its owner's alone
    if not memory.is_dir():
        raise InputError("there is no /dev/shm to edit in", cure="Use cube secret set NAME.")
    with tempfile.TemporaryDirectory(dir=memory, prefix="cube-") as folder:
        file = Path(folder) / "secrets.yml"
        file.touch(mode=0o600)
        file.write_bytes(text)
        done = subprocess.run([*editor.split(), str(file)], check=False)  # noqa: S603 - the person's own editor
        if done.returncode != 0:
            raise InputError(f"{editor} ended with status {done.returncode}; nothing is changed")
        return file.read_bytes()
