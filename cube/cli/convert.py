"""`cube convert`: what a Compose file is as a job file."""

from pathlib import Path
from typing import Annotated

import typer

from cube.cli import options


def convert(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Compose files, the later ones laid over the earlier."),
    ],
    profile: options.Profiles = None,
) -> None:
    """Print the job file that a Compose file is to Cube; `cube deploy` takes the Compose file itself, too.

    Whatever Cube does in another way is told on standard error. What it cannot do is refused with its place.
    Example: cube convert compose.yaml compose.prod.yaml > jobs/shop.yml
    """
    from cube.cli import composing, render
    from cube.cli.load import read_text
    from cube.compose.job_text import text_of
    from cube.errors import InputError
    from cube.scheduler.algorithms import ALGORITHMS
    from cube.spec.parse import resolve

    texts = {file: read_text(file) for file in files}
    if not composing.are_compose(texts):
        raise InputError("this is no Compose file: it has no services", where=str(files[0]))
    found = composing.converted(texts, profile or [])
    resolve(found.job, schedulers=tuple(ALGORITHMS))
    render.warn(map(str, found.told))
    with render.whether_read_or_not():
        typer.echo(text_of(found.job), nl=False)
