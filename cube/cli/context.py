"""`cube context`: managers by name."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cube.cli import options, render

app = typer.Typer(help="Managers by name, for --manager and $CUBE_MANAGER.", no_args_is_help=True)

COLUMNS = ("name", "url", "token", "authority")
ContextName = Annotated[str, typer.Argument(metavar="NAME", help="What the manager is called here.")]


@app.command()
def add(
    name: ContextName,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where it is: https://HOST:PORT.")],
    authority: Annotated[
        Path | None, typer.Option("--authority", help="The certificates to trust for it, as PEM.")
    ] = None,
) -> None:
    """Keep a manager's address, and the token that is read from standard input, for this user alone.

    Example: cube context add production https://cube.example:7070 < token
    """
    from cube.cli import contexts
    from cube.errors import InputError
    from cube.remote.link import Link

    given = typer.prompt("token", hide_input=True) if sys.stdin.isatty() else sys.stdin.read()
    link = Link(
        url=url.rstrip("/"), token=contexts.checked_token(given, "standard input"), authority=authority
    )
    link.check()
    if not link.token and not link.is_local:
        cure = "Write it to standard input; cube token create NAME makes one."
        raise InputError("no token was given", where=link.url, cure=cure)
    known = contexts.load(os.environ)
    entry = {"url": link.url, "token": link.token}
    if authority is not None:
        entry["authority"] = str(authority.absolute())
    replace(known, known={**known.known, name: entry}).save()
    render.line(f"use it with: cube --manager {name} status")


@app.command()
def ls(output: options.Format = options.Output.TABLE) -> None:
    """Print every manager that is known by a name. Example: cube context ls"""
    from cube.cli import contexts

    rows = [
        {
            "name": name,
            "url": found["url"],
            "token": "kept" if found.get("token") else "none",
            "authority": found.get("authority"),
        }
        for name, found in contexts.load(os.environ).known.items()
    ]
    render.table(rows, COLUMNS, output)


@app.command()
def rm(name: ContextName) -> None:
    """Forget a manager's name and its token. Example: cube context rm production"""
    from cube.cli import contexts
    from cube.errors import InputError

    known = contexts.load(os.environ)
    if name not in known.known:
        raise InputError(f"there is no context {name!r}", where=str(known.path))
    replace(known, known={other: found for other, found in known.known.items() if other != name}).save()
