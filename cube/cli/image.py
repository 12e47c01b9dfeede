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
    from cube.cli.office import office

    raise typer.Exit(pushing.tell(office(inventory, state), image, pattern, output))
