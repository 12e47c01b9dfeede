"""`cube image`: images over the fleet, without a registry."""

from typing import Annotated

import typer

from cube.cli import options

app = typer.Typer(help="Bring images to the nodes, and see which they have.", no_args_is_help=True)

ImageName = Annotated[str, typer.Argument(metavar="IMAGE", help="The image, as `docker images` names it.")]
Pattern = Annotated[
    str, typer.Argument(metavar="[PATTERN]", help="Which nodes: a name, a group, web*, a:!b.")
]


@app.command()
def push(
    image: ImageName,
    pattern: Pattern = "all",
    inventory: options.Inventory = None,
    state: options.State = None,
    output: options.Format = options.Output.TABLE,
) -> None:
    """Bring an image from this machine's engine to nodes, over SSH: only the layers that each one lacks.

    No registry is needed. Exits with 3 where a node could not be reached. Example: cube image push web:7 dc1
    """
    from cube.cli import pushing
    from cube.cli.reach import office

    raise typer.Exit(pushing.tell(office(inventory, state), image, pattern, output))


@app.command("ls")
def list_images(
    pattern: Pattern = "all",
    inventory: options.Inventory = None,
    state: options.State = None,
    output: options.Format = options.Output.TABLE,
) -> None:
    """List the images that nodes have, and how many containers each has. Example: cube image ls web1"""
    from cube.cli import stored
    from cube.cli.reach import office

    raise typer.Exit(stored.listed(office(inventory, state), pattern, output))


@app.command("rm")
def remove(
    image: ImageName,
    pattern: Pattern = "all",
    inventory: options.Inventory = None,
    state: options.State = None,
    lock_wait: options.LockWait = "0s",
    output: options.Format = options.Output.TABLE,
) -> None:
    """Remove an image from nodes; one that has containers stays. Example: cube image rm web:6 dc1"""
    from cube.cli import stored
    from cube.cli.reach import office

    raise typer.Exit(stored.removed(office(inventory, state), image, pattern, lock_wait, output))


@app.command()
def prune(
    pattern: Pattern = "all",
    keep: Annotated[
        int, typer.Option("--keep", min=1, help="Of how many last versions of each job the images stay.")
    ] = 3,
    budget: Annotated[
        str, typer.Option("--budget", help="How much of the others may stay on each node, the newest.")
    ] = "0",
    plan: Annotated[bool, typer.Option("--plan", help="Print what would go, and remove nothing.")] = False,
    inventory: options.Inventory = None,
    state: options.State = None,
    lock_wait: options.LockWait = "0s",
    output: options.Format = options.Output.TABLE,
) -> None:
    """Remove the images of old versions of jobs, and nothing that a container was made from.

    What no job of this state ever ran from is not touched. Example: cube image prune --keep 5 --budget 2GiB
    """
    from cube.cli import stored
    from cube.cli.reach import office

    limits = stored.Limits(keep=keep, budget=stored.amount(budget), only_plan=plan)
    raise typer.Exit(stored.pruned(office(inventory, state), pattern, limits, lock_wait, output))
