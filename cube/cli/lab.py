"""`cube lab`: real nodes in Docker on this machine, for trying and testing."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from cube.errors import InputError
from cube.model import units

app = typer.Typer(help="Start, stop and break a fleet of real nodes on this machine.", no_args_is_help=True)

Name = Annotated[str, typer.Option("--name", help="Which lab; several may be up at once.")]
Engine = Annotated[
    str, typer.Option("--engine", envvar="CUBE_LAB_ENGINE", help="The Docker engine that runs the nodes.")
]
NodeName = Annotated[str, typer.Argument(metavar="NODE", help="Which node, as the inventory names it.")]
Inventory = Annotated[
    Path | None,
    typer.Option("--inventory", "-i", help="The file to write.", show_default="inventories/lab[-NAME].yml"),
]
Fault = Literal["kill", "start", "pause", "unpause", "partition", "heal"]

_LOCAL_ENGINE = "unix:///var/run/docker.sock"


@app.command()
def up(
    nodes: Annotated[int, typer.Option("--nodes", "-n", help="How many nodes.")] = 3,
    name: Name = "lab",
    inventory: Inventory = None,
    reach: Annotated[
        Literal["bridge", "loopback"],
        typer.Option("--reach", help="Reach nodes at their own addresses, or at ports of 127.0.0.1."),
    ] = "bridge",
    debian: Annotated[
        Literal["12", "13"],
        typer.Option("--debian", help="What new nodes are; of 13 the engine keeps images in containerd."),
    ] = "12",
    cpu: Annotated[str, typer.Option("--cpu", help="Each node's share of CPU: 2, 0.5, 500m.")] = "",
    memory: Annotated[str, typer.Option("--memory", help="Each node's memory: 2GiB, 512MiB.")] = "",
    engine: Engine = _LOCAL_ENGINE,
) -> None:
    """Start the lab, or what is missing of it, and write its inventory.

    cube lab up --nodes 5 --cpu 1 --memory 1GiB
    """
    from cube.lab import lab
    from cube.lab.engine import engine as engine_at
    from cube.lab.fleet import LabSpec

    default = "lab.yml" if name == "lab" else f"lab-{name}.yml"
    path = (inventory or Path("inventories") / default).resolve()
    spec = LabSpec(
        name=name,
        nodes=nodes,
        inventory=path,
        reach=reach,
        debian=debian,
        cpu=_amount(units.cpu, cpu),
        memory=_amount(units.size, memory),
    )
    with engine_at(engine) as client:
        brought = lab.up(client, spec, cache=_cache(), say=_say)
    typer.echo(f"the lab '{name}' is up (nodes: {len(brought.nodes)}), inventory: {_short(path)}")


@app.command()
def status(
    name: Name = "lab",
    output: Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="How to print.")] = "text",
    engine: Engine = _LOCAL_ENGINE,
) -> None:
    """Show the lab's nodes, and whether each one answers. Example: cube lab status -o json"""
    import json
    from concurrent.futures import ThreadPoolExecutor

    from cube.lab import lab
    from cube.lab.engine import engine as engine_at
    from cube.lab.ready import is_ready

    with engine_at(engine) as client:
        found = lab.look(client, name)
    nodes = found.nodes if found else ()
    with ThreadPoolExecutor(max(len(nodes), 1)) as pool:
        ready = list(pool.map(is_ready, nodes))
    rows = [
        {
            "name": node.name,
            "address": node.address,
            "port": node.port,
            "datacenter": node.datacenter,
            "state": node.state,
            "ready": answers,
        }
        for node, answers in zip(nodes, ready, strict=True)
    ]
    if output == "json":
        typer.echo(
            json.dumps({"name": name, "inventory": str(found.inventory) if found else None, "nodes": rows})
        )
    elif found is None:
        typer.echo(f"the lab '{name}' is down; start it with: cube lab up --name {name}")
    else:
        for row in rows:
            door = f"{row['address']}:{row['port']}"
            answers = "ready" if row["ready"] else "does not answer"
            typer.echo(f"{row['name']:<10} {door:<22} {row['datacenter']:<5} {row['state']:<9} {answers}")


@app.command()
def down(name: Name = "lab", engine: Engine = _LOCAL_ENGINE) -> None:
    """Remove the lab: nodes, disks, network, keys and inventory. Example: cube lab down"""
    from cube.lab import lab
    from cube.lab.engine import engine as engine_at

    with engine_at(engine) as client:
        removed = lab.down(client, name)
    typer.echo(f"the lab '{name}' is gone" if removed else f"there is no lab '{name}'")


@app.command()
def kill(node: NodeName, name: Name = "lab", engine: Engine = _LOCAL_ENGINE) -> None:
    """Cut a node's power; `start` switches it on again. Example: cube lab kill node2"""
    _inflict("kill", node, name, engine)


@app.command()
def start(node: NodeName, name: Name = "lab", engine: Engine = _LOCAL_ENGINE) -> None:
    """Switch a node on, and wait until it is ready. Example: cube lab start node2"""
    _inflict("start", node, name, engine)


@app.command()
def pause(node: NodeName, name: Name = "lab", engine: Engine = _LOCAL_ENGINE) -> None:
    """Freeze a node: its connections stay open, and nobody answers. Example: cube lab pause node2"""
    _inflict("pause", node, name, engine)


@app.command()
def unpause(node: NodeName, name: Name = "lab", engine: Engine = _LOCAL_ENGINE) -> None:
    """Let a frozen node run on. Example: cube lab unpause node2"""
    _inflict("unpause", node, name, engine)


@app.command()
def partition(node: NodeName, name: Name = "lab", engine: Engine = _LOCAL_ENGINE) -> None:
    """Cut a node off the network, silently: what it runs goes on. Example: cube lab partition node2"""
    _inflict("partition", node, name, engine)


@app.command()
def heal(node: NodeName, name: Name = "lab", engine: Engine = _LOCAL_ENGINE) -> None:
    """Undo every fault of a node, and wait until it is ready. Example: cube lab heal node2"""
    _inflict("heal", node, name, engine)


def _inflict(fault: Fault, node: str, name: str, engine: str) -> None:
    from cube.lab import faults, lab
    from cube.lab.engine import engine as engine_at

    with engine_at(engine) as client:
        found = lab.look(client, name)
        if found is None:
            raise InputError(f"there is no lab '{name}'", cure=f"start it with: cube lab up --name {name}")
        getattr(faults, fault)(client, found.node(node))
    typer.echo(f"{node}: {fault}")


def _amount(parse: Callable[[str], int], text: str) -> int | None:
    try:
        return parse(text) if text else None
    except ValueError as error:
        raise InputError(str(error)) from error


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cube"


def _say(step: str) -> None:
    typer.echo(f"cube lab: {step}", err=True)
