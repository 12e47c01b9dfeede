"""`cube volume`: the data that nodes keep for tasks."""

from typing import Annotated

import typer

from cube.cli import options

app = typer.Typer(help="See, keep, put back and remove what tasks have written.", no_args_is_help=True)

VolumeName = Annotated[str, typer.Argument(metavar="NAME", help="The volume, as job files name it.")]
Backups = Annotated[
    str | None,
    typer.Option("--backups", metavar="DIR|URL", help="Where archives are, by cluster. Default: backups"),
]


@app.command("ls")
def list_volumes(
    job: Annotated[
        str | None, typer.Argument(metavar="[JOB]", help="Only what this job's tasks have.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Also volumes that no task has or had.")
    ] = False,
    folder: Backups = None,
    inventory: options.Inventory = None,
    state: options.State = None,
    output: options.Format = options.Output.TABLE,
) -> None:
    """List the volumes of all nodes: who has them, how large they are, and which backups there are.

    Example: cube volume ls db
    """
    from cube.cli import volumes
    from cube.cli.reach import office

    place = office(inventory, state)
    raise typer.Exit(volumes.listed(place, volumes.Choice(job=job, everything=everything), folder, output))


@app.command("rm")
def remove(
    name: VolumeName,
    node: Annotated[str, typer.Option("--node", help="On which node.")],
    yes: options.Yes = False,
    folder: Backups = None,
    inventory: options.Inventory = None,
    state: options.State = None,
    lock_wait: options.LockWait = "0s",
) -> None:
    """Remove a volume from a node with all that is in it; one that a container has stays.

    Example: cube volume rm db-data --node node2
    """
    from cube.cli import volumes
    from cube.cli.reach import office

    volumes.remove(office(inventory, state), (name, node), folder, lock_wait, yes=yes)


@app.command()
def backup(
    name: VolumeName,
    node: Annotated[
        str | None, typer.Option("--node", help="Of which node; by default of each that has it.")
    ] = None,
    folder: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="DIR|URL",
            help="Keep the archive in DIR/CLUSTER; sftp://user@host/path: on that machine. Default: backups",
        ),
    ] = None,
    last: Annotated[
        int | None,
        typer.Option("--keep", min=1, help="Remove older archives of the same volume and node, but so many."),
    ] = None,
    inventory: options.Inventory = None,
    state: options.State = None,
    output: options.Format = options.Output.TABLE,
) -> None:
    """Keep what is in a volume in a compressed archive, here or over SFTP, with its SHA-256 beside it.

    A task may run on meanwhile: files that it writes may be kept half-written then.
    Example: cube volume backup db-data --to /srv/backups --keep 7
    """
    from cube.cli import backups
    from cube.cli.reach import office

    order = backups.Wanted(name=name, node=node, to=folder or "", last=last)
    raise typer.Exit(backups.back_up(office(inventory, state), order, output))


@app.command()
def restore(
    name: VolumeName,
    file: Annotated[str, typer.Option("--from", metavar="FILE|URL", help="The archive.")],
    node: Annotated[
        str | None, typer.Option("--node", help="On which node; by default on the one that has it.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Remove what is in the volume first, for good.")
    ] = False,
    inventory: options.Inventory = None,
    state: options.State = None,
    lock_wait: options.LockWait = "0s",
    output: options.Format = options.Output.TABLE,
) -> None:
    """Fill a volume, a new one if need be, from an archive that is still what its SHA-256 says.

    Refused while something that runs uses the volume, and where it is not empty; what is there is read back
    and compared. Example: cube volume restore db-data --from backups/prod/db-data@node1@... --node node2
    """
    from cube.cli import backups
    from cube.cli.reach import office

    order = backups.Order(name=name, node=node, file=file, replace=replace)
    backups.restore(office(inventory, state), order, lock_wait, output)
