"""The `cube` command: the list of its commands, the only `except`, and the exit codes."""

import sys

import typer

from cube.cli import deploy, inventory, lab, node, status, store, task
from cube.errors import CubeError

app = typer.Typer(
    name="cube",
    help="An orchestrator without agents: your machines, SSH, Docker, and one command.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(deploy.deploy)
app.command()(deploy.plan)
app.command()(status.status)
app.command()(status.ps)
app.command()(status.nodes)
app.command()(status.events)
app.command()(task.logs)
app.command(name="exec")(task.execute)
app.command()(deploy.scale)
app.command()(deploy.stop)
app.command()(deploy.remove)
app.command()(deploy.reconcile)
app.command()(inventory.inventory)
app.add_typer(node.app, name="node")
app.add_typer(node.worker_app, name="worker")
app.add_typer(lab.app, name="lab")
app.add_typer(store.app, name="store")


def main() -> None:
    """Run one command; every failure becomes one message and one exit code."""
    try:
        app()
    except CubeError as error:
        typer.echo(f"cube: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("cube: interrupted; what was done is recorded", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
