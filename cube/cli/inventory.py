"""`cube inventory`: what the inventory says, and where each value comes from."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cube.cli import options

Pattern = Annotated[str, typer.Argument(help="Which nodes: a name, a group, web:&dc1, web:!web3, web*.")]
Graph = Annotated[bool, typer.Option("--graph", help="Show groups and hosts as a tree.")]
Host = Annotated[str | None, typer.Option("--host", help="Tell where each variable of this host comes from.")]


def inventory(
    pattern: Pattern = "all",
    inventory_file: options.Inventory = None,
    graph: Graph = False,
    host: Host = None,
    output: options.Format = options.Output.TABLE,
) -> None:
    """List the nodes of the inventory. With -o json: what `ansible-inventory --list` prints.

    Examples: cube inventory web -i inventories/prod.yml; cube inventory --graph; cube inventory --host web1
    """
    from cube.cli import survey
    from cube.cli.load import find_inventory
    from cube.cli.office import refuse_manager

    refuse_manager("it works where the inventory is")
    path = find_inventory(inventory_file, os.environ, Path.cwd())
    if host is not None:
        survey.origins(path, host, output)
    elif graph:
        survey.graph(path, pattern)
    elif output is options.Output.JSON:
        typer.echo(survey.ansible_json(path))
    else:
        survey.nodes(path, pattern, output)
