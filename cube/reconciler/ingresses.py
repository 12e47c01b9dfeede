"""Ingresses that ask for the same requests: only one of them gets them."""

from collections.abc import Iterable, Iterator

from cube.model.job import Job

ANY = ""
"""In place of a host, for an ingress that names none."""


def clashes(jobs: Iterable[Job]) -> Iterator[str]:
    """A sentence for each group that asks for what goes to another one, which is the first by name."""
    owners: dict[tuple[str, str], str] = {}
    for name, host, path in sorted(_asked(jobs)):
        owner = owners.setdefault((host, path), name)
        if owner != name:
            yield f"{name} asks for {host or 'any host'}{path}, and {owner} does: requests go to {owner}"


def _asked(jobs: Iterable[Job]) -> Iterator[tuple[str, str, str]]:
    for job in jobs:
        for group in () if job.stopped else job.groups:
            if group.ingress is not None:
                for host in group.ingress.hosts or (ANY,):
                    yield f"{job.name}/{group.name}", host, group.ingress.path
