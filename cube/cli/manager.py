"""`cube manager`: the manager as a service."""

from pathlib import Path
from typing import Annotated

import typer

from cube.cli import options

app = typer.Typer(help="A manager that is always there, with an API.", no_args_is_help=True)

Listen = Annotated[str, typer.Option("--listen", help="Where it listens: HOST:PORT.")]
Every = Annotated[str, typer.Option("--every", help="The longest pause between two looks at a node.")]
Host = Annotated[
    list[str] | None,
    typer.Option("--host", metavar="NAME", help="A further name that it is called by; repeatable."),
]
Certificate = Annotated[
    Path | None, typer.Option("--certificate", help="For TLS: the certificate and its chain, as PEM.")
]
Key = Annotated[Path | None, typer.Option("--key", help="For TLS: the certificate's key, as PEM.")]
NoTokens = Annotated[
    bool, typer.Option("--no-tokens", help="Let everybody on this machine do everything; only on loopback.")
]


@app.command()
def start(
    listen: Listen = "127.0.0.1:7070",
    every: Every = "10s",
    host: Host = None,
    certificate: Certificate = None,
    key: Key = None,
    no_tokens: NoTokens = False,
    inventory: options.Inventory = None,
    state: options.State = None,
    scheduler: options.Algorithm = None,
) -> None:
    """Look after the fleet until it is told to end, and answer on an HTTP API; Ctrl-C and SIGTERM end it.

    What is under way then ends first, and is recorded. Example: cube manager start -i inventories/lab.yml
    """
    from cube.cli import managing

    managing.start(
        managing.Terms(
            listen=listen, every=every, hosts=tuple(host or ()), certificate=certificate, key=key,
            no_tokens=no_tokens, inventory=inventory, state=state, scheduler=scheduler,
        )
    )  # fmt: skip
