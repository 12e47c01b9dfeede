"""`cube lab`: real nodes in Docker on this machine, for trying and testing."""

import typer

app = typer.Typer(help="Start, stop and break a fleet of real nodes on this machine.", no_args_is_help=True)


@app.command()
def up() -> None:
    """Start the lab."""
