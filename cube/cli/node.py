"""`cube node` and `cube worker`: getting to know machines, and looking after them."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cube.cli import options, render
from cube.cli.options import Output
from cube.errors import CubeError, InputError
from cube.model.node import Node

app = typer.Typer(help="Check, set up and trust machines, and run commands on them.", no_args_is_help=True)
worker_app = typer.Typer(help="Make a machine a worker of the cluster.", no_args_is_help=True)

STATE_DIR = Path(".cube")
COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}

Pattern = Annotated[
    str, typer.Argument(metavar="PATTERN", help="Which nodes: a name, a group, `all`, `web:&dc1`.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Fingerprint = Annotated[
    str | None,
    typer.Option("--fingerprint", metavar="SHA256:...", help="Pin the key only if it has this fingerprint."),
]


@app.command()
def check(
    pattern: Pattern, inventory: options.Inventory = None, output: options.Format = Output.TABLE
) -> None:
    """Look at everything that a node needs, and say what to do about what is missing. Changes nothing.

    cube node check web1        Exit status 1 if Cube cannot work there.
    """
    fit = [_examine(node, output) for node in _select(inventory, pattern)]
    if not all(fit):
        raise typer.Exit(1)


@app.command()
def setup(pattern: Pattern, inventory: options.Inventory = None) -> None:
    """Install and start Docker on a bare Debian or Ubuntu machine, as root or by sudo.

    cube node setup web1
    """
    for node in _select(inventory, pattern):
        _set_up(node)


@app.command()
def trust(
    pattern: Pattern,
    inventory: options.Inventory = None,
    fingerprint: Fingerprint = None,
    yes: Yes = False,
) -> None:
    """Fetch a node's host key, show its fingerprint, and pin it in .cube/known_hosts.

    cube node trust web1        Compare it with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` there.
    """
    for node in _select(inventory, pattern):
        _trust(node, fingerprint=fingerprint, yes=yes)


@app.command("exec", context_settings={"ignore_unknown_options": True})
def execute(
    pattern: Pattern,
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND...", help="The program and its arguments.")
    ],
    inventory: options.Inventory = None,
    timeout: options.Timeout = "1m",
    output: options.Format = Output.TABLE,
) -> None:
    """Run a command on many nodes at once. No shell reads it: for one, run `sh -c '...'`.

    cube node exec 'web:&dc1' -- uptime        Exit status: the highest of theirs; 3 if one was not reached.
    """
    from cube.cli.office import seconds
    from cube.manager import nodes

    chosen = _select(inventory, pattern)
    limit = seconds(timeout, "--timeout")
    replies = []
    for reply in nodes.run_on(chosen, command, state_dir=STATE_DIR, seconds=limit):
        replies.append(reply)
        if output is Output.TABLE:
            _show(reply)
    if output is Output.JSON:
        render.as_json([_as_data(reply) for reply in replies])
    raise typer.Exit(nodes.exit_status(replies))


@worker_app.command()
def start(
    pattern: Pattern,
    inventory: options.Inventory = None,
    fingerprint: Fingerprint = None,
    yes: Yes = False,
) -> None:
    """Make machines workers: trust, check, set up Docker where it is missing, check again.

    cube worker start web1
    """
    fit = [_start(node, fingerprint=fingerprint, yes=yes) for node in _select(inventory, pattern)]
    if not all(fit):
        raise typer.Exit(1)


def _select(inventory: Path | None, pattern: str) -> tuple[Node, ...]:
    from cube.cli.load import find_inventory, load_cluster
    from cube.cli.office import refuse_manager
    from cube.inventory.pattern import select

    refuse_manager("it works where the inventory is")
    return select(load_cluster(find_inventory(inventory, os.environ, Path.cwd())), pattern)


def _examine(node: Node, output: Output) -> bool:
    """Show the findings as they come, with the cure under each that needs one."""
    from cube.manager import nodes

    findings = []
    if output is Output.TABLE:
        render.line(node.name)
    for finding in nodes.check(node, state_dir=STATE_DIR):
        findings.append(finding)
        if output is Output.TABLE:
            render.line(f"  {finding.grade:8}{finding.about:18}{finding.what}", COLOURS[finding.grade])
            if finding.cure:
                render.line(f"  {'':26}{finding.cure}")
    if output is Output.JSON:
        render.as_json({"node": node.name, "findings": [asdict(finding) for finding in findings]})
    return nodes.is_fit(findings)


def _set_up(node: Node) -> None:
    from cube.manager import nodes

    render.line(f"{node.name}: installing Docker where it is missing, and starting it")
    nodes.set_up(node, state_dir=STATE_DIR)
    render.line(f"{node.name}: Docker is running", "green")


def _trust(node: Node, *, fingerprint: str | None, yes: bool) -> None:
    from cube.manager import nodes

    met = nodes.meet(node, state_dir=STATE_DIR)
    place = f"{met.target.host} port {met.target.port}"
    if met.is_trusted:
        _compare(node, met.fingerprint, fingerprint, cure="It is pinned already; see who is right.")
        render.line(f"{node.name}: {place} shows the pinned key {met.fingerprint}", "green")
        return
    render.line(f"{node.name}: {place} shows an {met.key.kind} key, {met.fingerprint}")
    _agree(node, met.fingerprint, wanted=fingerprint, yes=yes)
    nodes.accept(met, state_dir=STATE_DIR)
    render.line(f"{node.name}: pinned in {STATE_DIR / 'known_hosts'}", "green")


def _compare(node: Node, shown: str, wanted: str | None, *, cure: str) -> None:
    if wanted not in (None, shown):
        why = f"wanted {wanted}, it shows {shown}"
        raise CubeError("the key has another fingerprint", where=node.name, why=why, cure=cure)


def _agree(node: Node, shown: str, *, wanted: str | None, yes: bool) -> None:
    """Somebody must know the key: by its fingerprint, by looking at it, or by choosing not to look."""
    _compare(node, shown, wanted, cure="Nothing was pinned.")
    if wanted is None and not yes:
        if not sys.stdin.isatty():
            raise InputError(
                "nobody is here to compare the fingerprint",
                where=node.name,
                cure="Give --fingerprint, or --yes.",
            )
        typer.confirm("Is it the machine's own?", abort=True)


def _start(node: Node, *, fingerprint: str | None, yes: bool) -> bool:
    from cube.manager import nodes

    _trust(node, fingerprint=fingerprint, yes=yes)
    findings = tuple(nodes.check(node, state_dir=STATE_DIR))
    if nodes.needs_docker(findings):
        _set_up(node)
    fit = _examine(node, Output.TABLE)
    if fit and not node.schedulable:
        render.warn([f"{node.name} gets no tasks while the inventory says `cube_schedulable: false`"])
    return fit


def _show(reply: Any) -> None:
    """One node's output under its name, as it is: it is the command's, not ours."""
    if reply.answer is None:
        typer.secho(f"== {reply.error}", fg="red", err=True)
        return
    status = reply.answer.exit_status
    render.line(
        f"== {reply.node}" + (f": exit status {status}" if status else ""), "red" if status else "green"
    )
    sys.stdout.buffer.write(reply.answer.stdout)
    sys.stdout.buffer.flush()
    sys.stderr.buffer.write(reply.answer.stderr)
    sys.stderr.buffer.flush()
    if reply.answer.truncated:
        render.warn([f"{reply.node} said more than is kept"])


def _as_data(reply: Any) -> dict[str, Any]:
    if reply.answer is None:
        return {"node": reply.node, "error": str(reply.error)}
    return {
        "node": reply.node,
        "exit_status": reply.answer.exit_status,
        "stdout": reply.answer.stdout.decode("utf-8", "replace"),
        "stderr": reply.answer.stderr.decode("utf-8", "replace"),
    }
