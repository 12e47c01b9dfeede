"""`cube token`: who may ask a manager for what."""

import time
from typing import Annotated

import typer

from cube.cli import options, render

app = typer.Typer(help="Tokens: who may ask the manager of this cluster for what.", no_args_is_help=True)

COLUMNS = ("name", "role", "expires", "made", "by")
TokenName = Annotated[str, typer.Argument(metavar="NAME", help="What it is called: by whom it is used.")]


@app.command()
def create(
    name: TokenName,
    role: Annotated[
        str, typer.Option("--role", help="read: look; operate: also change; admin: also give tokens.")
    ],
    expires: Annotated[str, typer.Option("--expires", help="For how long it is good, such as 12h.")] = "90d",
    inventory: options.Inventory = None,
    state: options.State = None,
) -> None:
    """Make a token and print it, this once: only its hash is kept.

    Example: cube token create ci --role operate --expires 30d
    """
    from cube.cli import tokens
    from cube.cli.office import seconds
    from cube.cli.reach import office
    from cube.model.token import lasting, named

    good_for, (name, kept_role) = lasting(seconds(expires, "--expires")), named(name, role)
    typer.echo(tokens.made(office(inventory, state), name, kept_role, good_for))


@app.command()
def ls(
    inventory: options.Inventory = None,
    state: options.State = None,
    output: options.Format = options.Output.TABLE,
) -> None:
    """Print every token: its name, its role, and how long it is good. Example: cube token ls"""
    from cube.cli.reach import office, recorded

    with recorded(office(inventory, state)) as store:
        tokens = store.tokens()
    rows = [
        {
            "name": token.name,
            "role": token.role,
            "expires": render.moment(token.expires_at) if token.expires_at > time.time() else "expired",
            "expires_at": token.expires_at,
            "made": render.moment(token.created_at),
            "created_at": token.created_at,
            "by": token.actor,
        }
        for token in tokens
    ]
    render.table(rows, COLUMNS, output)


@app.command()
def revoke(name: TokenName, inventory: options.Inventory = None, state: options.State = None) -> None:
    """Let nobody use a token any more; a manager knows it within a second. Example: cube token revoke ci"""
    from cube.cli.office import actor
    from cube.cli.reach import office, recorded
    from cube.errors import InputError

    with recorded(office(inventory, state)) as store:
        if not store.revoke_token(name, now=time.time(), actor=actor()):
            raise InputError(f"there is no token {name!r}", cure="See which there are: cube token ls")
    render.line(f"token {name} is revoked")
