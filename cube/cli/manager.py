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
NotifyUrlFile = Annotated[
    Path | None,
    typer.Option(
        "--notify-url-file",
        metavar="FILE",
        help="Send JSON to the URL in this file (or in $CUBE_NOTIFY_URL) when something fails.",
    ),
]
NotifyCommand = Annotated[
    str | None,
    typer.Option("--notify-command", metavar="COMMAND", help="Run it then, with the JSON as its input."),
]
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
    notify_url_file: NotifyUrlFile = None,
    notify_command: NotifyCommand = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Go on in the background, and say where its words go.")
    ] = False,
    inventory: options.Inventory = None,
    state: options.State = None,
    scheduler: options.Algorithm = None,
) -> None:
    """Look after the fleet until it is told to end, and answer on an HTTP API; Ctrl-C and SIGTERM end it.

    What is under way then ends first, and is recorded. Example: cube manager start -i inventories/lab.yml
    """
    from cube.cli import managing

    terms = managing.Terms(
        listen=listen, every=every, hosts=tuple(host or ()), certificate=certificate, key=key,
        no_tokens=no_tokens, notify_url_file=notify_url_file, notify_command=notify_command,
        inventory=inventory, state=state, scheduler=scheduler,
    )  # fmt: skip
    (managing.detach if detach else managing.start)(terms)


@app.command()
def install(
    listen: Listen = "127.0.0.1:7070",
    every: Every = "10s",
    host: Host = None,
    certificate: Certificate = None,
    key: Key = None,
    notify_url_file: NotifyUrlFile = None,
    notify_command: NotifyCommand = None,
    inventory: options.Inventory = None,
    state: options.State = None,
    scheduler: options.Algorithm = None,
    yes: options.Yes = False,
) -> None:
    """Show a systemd unit that starts the manager with this machine, ask, write it, and start it.

    Example: cube manager install -i inventories/production.yml
    """
    from cube.cli import managing

    terms = managing.Terms(
        listen=listen, every=every, hosts=tuple(host or ()), certificate=certificate, key=key,
        no_tokens=False, notify_url_file=notify_url_file, notify_command=notify_command,
        inventory=inventory, state=state, scheduler=scheduler,
    )  # fmt: skip
    managing.install(terms, yes=yes)


@app.command()
def remove(yes: options.Yes = False, inventory: options.Inventory = None) -> None:
    """Stop the manager that `cube manager install` installed, and remove its unit.

    Example: cube manager remove -i inventories/production.yml
    """
    from cube.cli import managing

    managing.remove(inventory, yes=yes)
