"""Behind commands that take Compose files: what they need of the world, and what they say of them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from cube.cli import render
from cube.cli.load import read_text
from cube.compose.convert import Converted, convert
from cube.compose.dotenv import variables
from cube.compose.job_text import text_of
from cube.compose.loader import Source
from cube.compose.project import Surroundings, is_compose
from cube.model.job import Job
from cube.scheduler.algorithms import ALGORITHMS
from cube.spec.parse import resolve


def are_compose(texts: Mapping[Path, str]) -> bool:
    """The first of the files is one of Compose's. Raises InputError for what is not YAML."""
    file, text = next(iter(texts.items()))
    return is_compose(text, str(file))


def job_of(texts: Mapping[Path, str], profiles: Sequence[str]) -> Job:
    """The job that the Compose files describe; what Cube does in another way is said on standard error.

    Raises InputError with every place of what it cannot do.
    """
    found = converted(texts, profiles)
    job = resolve(found.job, schedulers=tuple(ALGORITHMS))
    render.warn(map(str, found.told))
    return job


def job_file_of(texts: Mapping[Path, str], profiles: Sequence[str]) -> str:
    """The text of the job file that says the same, for a manager that is somewhere else. As `job_of`."""
    job_of(texts, profiles)
    return text_of(converted(texts, profiles).job)


def converted(texts: Mapping[Path, str], profiles: Sequence[str]) -> Converted:
    """The same as a document. Raises InputError."""
    folder = next(iter(texts)).parent
    environment = _environment(folder)
    wanted = {*profiles, *environment.get("COMPOSE_PROFILES", "").split(",")} - {""}
    around = Surroundings(
        environment=environment,
        folder=folder.absolute().name,
        profiles=frozenset(wanted),
        read=lambda path: read_text(Path(path)) if Path(path).is_file() else None,
    )
    return convert([Source(path=str(file), text=text) for file, text in texts.items()], around)


def _environment(folder: Path) -> Mapping[str, str]:
    """That of the process, and below it what the folder's `.env` says."""
    file = folder / ".env"
    found = variables(read_text(file), str(file), os.environ.get) if file.is_file() else {}
    return {**found, **os.environ}
