"""Behind `cube run`: what the event in a file asks of a manager, here or somewhere else."""

from collections.abc import Callable
from pathlib import Path

from cube.book.event import read_event
from cube.book.job import Place as Written
from cube.book.job import document_of, job_of, name_of
from cube.book.schema import STOP, BookTask
from cube.cli.load import read_text
from cube.cli.reach import Place
from cube.compose.job_text import text_of
from cube.manager.manager import Manager
from cube.manager.report import Report
from cube.manager.turn import Run
from cube.model.job import Job
from cube.remote.office import RemoteOffice


def asked(file: Path, place: Place) -> Callable[[Manager, Run], Report]:
    """What carries out the event in that file. Raises InputError with every place of what cannot be used."""
    event, written = read_event(read_text(file), str(file))
    if event.State == STOP:
        return lambda manager, run: manager.stop(name_of(event.Task.ID), run)
    job = read_task(event.Task, written, place)
    return lambda manager, run: manager.deploy(job, run)


def read_task(task: BookTask, written: Written, place: Place) -> Job:
    """The job that the task becomes; a manager somewhere else is sent it as a job file. As `job_of`."""
    job = job_of(task, written)
    if isinstance(place, RemoteOffice):
        return place.read_job(text_of(document_of(task, written)), f"task {task.ID}", {}, {})
    return job
