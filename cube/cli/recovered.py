"""Behind `cube recover`: what was found is told, and agreed to, before it is taken for the truth."""

import sys
import time

import typer

from cube.cli import render
from cube.cli.office import actor
from cube.errors import InputError, UnreachableError
from cube.manager.office import Office
from cube.manager.recover import Finding
from cube.manager.session import recovering
from cube.model.observation import Unknown


def recover(place: Office, owner: str | None, wait: float, *, partial: bool, yes: bool) -> None:
    """Rebuild the state. Raises UnreachableError where a node is silent that nobody agreed to do without."""
    with recovering(place, wait=wait) as fleet:
        silent = [found for found in fleet.observed.values() if isinstance(found, Unknown)]
        if silent and not partial:
            names = ", ".join(found.node for found in silent)
            cure = "Mend that first, or go on without them: --partial. What they run is not known then."
            raise UnreachableError("not every node answers", where=names, why=silent[0].why, cure=cure)
        found = fleet.find(owner, now=time.time())
        _tell(found)
        agree("Rebuild the state so?", yes=yes)
        fleet.restore(found.restored, now=time.time(), actor=actor())
    render.line("recovered; see what is left to do with: cube plan, then: cube reconcile", "green")


def agree(question: str, *, yes: bool) -> None:
    """Somebody must say yes. Raises InputError where nobody is there to be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError("nobody is here to agree", cure="Look at what stands above, then give --yes.")
    typer.confirm(question, abort=True)


def _tell(found: Finding) -> None:
    for job in found.restored.jobs:
        count = sum(task.slot.job == job.name for task in found.restored.tasks)
        render.line(f"  job {job.name}: version {job.version}, containers: {count}")
    render.warn(found.notes)
    render.line(f"The store {found.restored.owner} made them; this state takes its place and its name.")
    render.line("Never use the old file again: both would act. Jobs without a container are not found.")
