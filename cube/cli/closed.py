"""What a person should know of jobs that a page answers for."""

from collections.abc import Iterator, Mapping

from cube.cli import render
from cube.model.maintenance import Maintenance


def in_maintenance(closed: Mapping[str, Maintenance], name: str | None) -> Iterator[str]:
    """A line for each such job, or for the one of that name: since when, by whom, and how it ends."""
    for job, found in closed.items():
        if name in (None, job):
            since = f"by {found.actor}, {render.age(found.at)} ago"
            yield f"{job} is in maintenance ({since}); end it with: cube maintenance {job} off"
