"""`cube cron install` and `remove`: let this machine sweep by itself."""

from typing import Annotated

import typer

from cube.cli import options

app = typer.Typer(help="Let this machine sweep the fleet by itself.", no_args_is_help=True)

Systemd = Annotated[
    bool, typer.Option("--systemd", help="A systemd timer, in place of a line of the crontab.")
]


@app.command()
def install(
    every: Annotated[str, typer.Option("--every", help="How often: 1m, 5m, 1h.")] = "1m",
    systemd: Systemd = False,
    yes: options.Yes = False,
    inventory: options.Inventory = None,
    state: options.State = None,
) -> None:
    """Show what would be written, ask, and write it: once for each cluster, however often it is asked.

    Example: cube cron install --every 1m -i inventories/production.yml
    """
    from cube.cli import installing
    from cube.cli.office import seconds

    sweeping = installing.sweeping(inventory, state, seconds(every, "--every"))
    (installing.install_units if systemd else installing.install_line)(sweeping, yes=yes)


@app.command()
def remove(
    systemd: Systemd = False,
    yes: options.Yes = False,
    inventory: options.Inventory = None,
    state: options.State = None,
) -> None:
    """Take out what `cube cron install` wrote for this cluster. Example: cube cron remove"""
    from cube.cli import installing

    sweeping = installing.sweeping(inventory, state, 60.0)
    (installing.remove_units if systemd else installing.remove_line)(sweeping, yes=yes)
