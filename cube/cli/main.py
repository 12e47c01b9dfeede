"""The `cube` command: the list of its commands, the only `except`, and the exit codes."""

import errno
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, NoReturn

import typer

from cube import __version__
from cube.cli import (
    adopt,
    book,
    context,
    convert,
    cordon,
    cron,
    deploy,
    export,
    image,
    inventory,
    lab,
    manager,
    node,
    rebalance,
    recover,
    runs,
    secret,
    simulate,
    state,
    status,
    task,
    token,
    top,
    traffic,
    usage,
    version,
    volume,
    why,
)
from cube.cli.options import MANAGER
from cube.cli.sections import Sections
from cube.errors import CubeError, bug, traced

app = typer.Typer(
    name="cube",
    cls=Sections,
    help="An orchestrator without agents: your machines, SSH, Docker, and one command.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"cube {__version__}")
        raise typer.Exit


@app.callback()
def cube(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print which Cube this is, and end.", is_eager=True, callback=_tell_version
        ),
    ] = False,
    manager: Annotated[
        str | None,
        typer.Option("--manager", help="Go through a manager: its URL, or a name of `cube context`."),
    ] = None,
) -> None:
    """Do nothing but keep which manager the commands go through, as the environment may have it, too."""
    if manager is not None:
        os.environ[MANAGER] = manager


RUN, LOOK, FLEET = "Run jobs", "Look", "Look after the fleet"
COMMANDS: Mapping[str, Sequence[Callable[..., None]]] = {
    RUN: (
        deploy.deploy, deploy.plan, deploy.scale, deploy.stop, deploy.remove, book.run, runs.dispatch,
        convert.convert, export.export, traffic.maintenance,
        version.history, version.rollback, version.promote, version.pause, version.resume,
    ),
    LOOK: (status.status, status.ps, status.nodes, status.events, status.postmortem, why.why, why.why_not,
           task.logs, task.execute, top.top),
    FLEET: (
        deploy.reconcile, simulate.simulate, rebalance.rebalance, rebalance.move,
        inventory.inventory, recover.recover, adopt.adopt,
    ),
}  # fmt: skip
for heading, commands in COMMANDS.items():
    for command in commands:
        name = "exec" if command is task.execute else None
        app.command(name, rich_help_panel=heading)(command)
for command in (cordon.cordon, cordon.uncordon, cordon.drain, cordon.forget, usage.stats):
    node.app.command()(command)
app.add_typer(runs.app, name="job", rich_help_panel=RUN)
app.add_typer(image.app, name="image", rich_help_panel=RUN)
app.add_typer(volume.app, name="volume", rich_help_panel=RUN)
app.add_typer(manager.app, name="manager", rich_help_panel=FLEET)
app.add_typer(context.app, name="context", rich_help_panel=FLEET)
app.add_typer(token.app, name="token", rich_help_panel=FLEET)
app.add_typer(secret.app, name="secret", rich_help_panel=RUN)
app.add_typer(cron.app, name="cron", rich_help_panel=FLEET)
app.add_typer(node.app, name="node", rich_help_panel=FLEET)
app.add_typer(node.worker_app, name="worker", rich_help_panel=FLEET)
app.add_typer(lab.app, name="lab", rich_help_panel=FLEET)
app.add_typer(state.app, name="state", rich_help_panel=FLEET)


def main() -> None:
    """Run one command; every failure becomes one message and one exit code."""
    _replace_closed_streams()
    threading.excepthook = _tell_of_thread
    try:
        app(color=False if "NO_COLOR" in os.environ else None)
    except SystemExit as end:
        if _was_interrupted(end):
            typer.echo("cube: interrupted; what was done is recorded", err=True)
        raise
    except CubeError as error:
        _end(error)
    except Exception as error:  # noqa: BLE001 - the one place where what nobody foresaw is told to a person
        _end(_explained(error))


def _tell_of_thread(died: threading.ExceptHookArgs) -> None:
    if isinstance(died.exc_value, Exception):
        cure = f"The traceback:\n{traced(died.exc_value)}"
        typer.echo(f"cube: {bug(died.exc_value, cure=cure)}", err=True)


def _end(error: CubeError) -> NoReturn:
    typer.echo(f"cube: {error}", err=True)
    sys.exit(error.exit_code)


def _explained(error: Exception) -> CubeError:
    """A full disk may be met wherever something is printed; all else that gets here is Cube's fault."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        where = error.filename or "standard output"
        return CubeError("no space is left", where=where, cure="Make room; what was done is recorded.")
    return bug(error, cure=f"The traceback is in {_write_down(error)}")


def _replace_closed_streams() -> None:
    """A closed stream becomes an empty one: the next file that is opened would get its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123 - for the life of the process


def _was_interrupted(end: SystemExit) -> bool:
    """Typer turns Ctrl-C into an exit with 130, which a task's own command may end with, too."""
    return isinstance(end.__context__, typer.Exit) and isinstance(
        end.__context__.__cause__, KeyboardInterrupt
    )


def _write_down(error: Exception) -> str:
    import tempfile

    with tempfile.NamedTemporaryFile("w", prefix="cube-", suffix=".log", delete=False) as file:
        file.write(traced(error))
        return file.name


if __name__ == "__main__":
    main()
