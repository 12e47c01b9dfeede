"""`cube export`: a job in the words of others."""

from enum import StrEnum
from typing import Annotated

import typer

from cube.cli import options


class Target(StrEnum):
    """Whose words."""

    COMPOSE = "compose"
    NOMAD = "nomad"
    KUBERNETES = "kubernetes"


def export(
    job: options.JobName,
    to: Annotated[Target, typer.Option("--to", help="Whose words: compose, nomad or kubernetes.")],
    inventory: options.Inventory = None,
    state: options.State = None,
) -> None:
    """Print a job as a Compose file, a job file of Nomad, or manifests of Kubernetes.

    What those have no words for is told on standard error. Example: cube export web --to compose
    """
    from cube.cli import render
    from cube.cli.reach import office, recorded
    from cube.errors import InputError
    from cube.export.compose import compose
    from cube.export.kubernetes import kubernetes
    from cube.export.nomad import nomad

    place = office(inventory, state)
    with recorded(place) as store:
        found, known = store.job(job), store.jobs()
    if found is None:
        names = ", ".join(each.name for each in known) or "none"
        raise InputError(f"there is no job {job!r}", where=place.cluster.name, cure=f"Known jobs: {names}.")
    ways = {Target.COMPOSE: compose, Target.NOMAD: nomad, Target.KUBERNETES: kubernetes}
    exported = ways[to](found)
    render.warn(f"{job}: left out: {line}" for line in exported.lost)
    with render.whether_read_or_not():
        typer.echo(exported.text, nl=False)
