"""A hand on single tasks: their logs, and commands inside them."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from heapq import merge
from queue import SimpleQueue

from cube.errors import CubeError, InputError
from cube.manager.crew import THREADS
from cube.manager.seams import Hand, Lines, Process
from cube.model.task import Slot, Task
from cube.worker.terminal import Ends, following_size, own_ends, raw_terminal, sending

SHORTEST_ID = 4
"""Signs of a task's id that name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of one task, with its time as the engine tells it (RFC 3339) and its stream."""

    task: Task
    at: str
    stream: str
    text: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Extract:
    """Which lines: the last `tail` of each task (None: all), not older than `since` (epoch seconds)."""

    tail: int | None = None
    since: float | None = None


def is_called(task: Task, name: str) -> bool:
    """The name is that of its job, its group or its slot, or how its id begins."""
    return is_name_of(task.slot, name) or (len(name) >= SHORTEST_ID and task.id.startswith(name))


def is_name_of(slot: Slot, name: str) -> bool:
    """The name is that of the slot, its group or its job."""
    return name in (slot.job, f"{slot.job}/{slot.group}", str(slot))


def find_tasks(tasks: Sequence[Task], name: str) -> tuple[Task, ...]:
    """The tasks that a person means: a job, `job/group`, `job/group[index]`, or the start of an id.

    Only those with a container. Raises InputError where there is none.
    """
    named = [task for task in tasks if is_called(task, name)]
    found = tuple(task for task in named if task.node and task.container)
    if not found:
        known = ", ".join(sorted({str(task.slot) for task in tasks if task.container})) or "none"
        what, cure = f"no task with a container is called {name!r}", f"Known: {known}."
        raise InputError(what, cure=cure, field="task")
    return found


def read_logs(
    workers: Mapping[str, Hand], tasks: Sequence[Task], extract: Extract
) -> Iterator[LogLine | CubeError]:
    """What the tasks have written so far, merged by time; then why some could not be read."""

    def page(task: Task) -> list[LogLine] | CubeError:
        try:
            return list(_lines(task, _open(workers, task, extract, follow=False)))
        except CubeError as error:
            return error

    with ThreadPoolExecutor(max_workers=min(THREADS, len(tasks))) as pool:
        pages = list(pool.map(page, tasks))
    yield from merge(*(found for found in pages if isinstance(found, list)), key=lambda line: line.at)
    yield from {str(found): found for found in pages if isinstance(found, CubeError)}.values()


class Following:
    """What tasks write, as it comes, until each has ended; a node that is lost is told in between."""

    def __init__(self, workers: Mapping[str, Hand], tasks: Sequence[Task], extract: Extract) -> None:
        self._workers = workers
        self._tasks = tasks
        self._extract = extract
        self._lines: SimpleQueue[LogLine | CubeError | None] = SimpleQueue()
        self._alone = threading.Lock()
        self._open: list[Lines] = []
        self._is_left = False

    def __iter__(self) -> Iterator[LogLine | CubeError]:
        """Each line, or why there are none of a task."""
        for task in self._tasks:
            threading.Thread(target=self._pump, args=(task,), name="cube-logs", daemon=True).start()
        running = len(self._tasks)
        while running:
            line = self._lines.get()
            if line is None:
                running -= 1
            else:
                yield line

    def close(self) -> None:
        """Leave them, from any thread: whoever waits for a line hears that they are lost."""
        with self._alone:
            self._is_left = True
            for lines in self._open:
                lines.close()

    def _pump(self, task: Task) -> None:
        try:
            lines = _open(self._workers, task, self._extract, follow=True)
            with self._alone:
                self._open.append(lines)
                if self._is_left:
                    lines.close()
            for line in _lines(task, lines):
                self._lines.put(line)
        except CubeError as error:
            self._lines.put(error)
        finally:
            self._lines.put(None)


def execute(workers: Mapping[str, Hand], task: Task, argv: Sequence[str], *, interactive: bool) -> int:
    """Run a command in the task's container, on this process's own ends; its exit status.

    `interactive` gives it a terminal. Raises CubeError where it cannot be started or the node is lost.
    """
    process = begin(workers, task, argv, has_input=interactive, has_terminal=interactive)
    return converse(process, own_ends(interactive=interactive), tty=interactive)


def begin(
    workers: Mapping[str, Hand], task: Task, argv: Sequence[str], *, has_input: bool, has_terminal: bool
) -> Process:
    """Run a command in the task's container. Raises CubeError where it cannot be started."""
    if task.container is None:
        raise InputError(f"task {task.slot} has no container")
    return _worker(workers, task).execute(task.container, argv, tty=has_terminal, has_input=has_input)


def converse(process: Process, ends: Ends, *, tty: bool = False) -> int:
    """Carry the bytes both ways until the command closes its output; its exit status.

    With `tty` its input must be a terminal. Raises CubeError where the connection is lost, and OSError where
    an end takes no more of its output: the command may go on.
    """

    def send(data: bytes) -> None:
        with suppress(CubeError, OSError):  # that it is lost is told by who reads its output
            process.send(data)

    with closing(process), ExitStack() as stack:
        if ends.stdin is not None and tty:
            stack.enter_context(raw_terminal(ends.stdin))
            stack.enter_context(following_size(process.resize))
        if ends.stdin is not None:
            stack.enter_context(sending(ends.stdin, send, process.end_input))
        for stream, data in process.output():
            end = ends.stderr if stream == "stderr" else ends.stdout
            end.write(data)
            end.flush()
    return process.exit_status()


def _open(workers: Mapping[str, Hand], task: Task, extract: Extract, *, follow: bool) -> Lines:
    assert task.container is not None
    worker = _worker(workers, task)
    return worker.logs(task.container, follow=follow, tail=extract.tail, since=extract.since)


def _lines(task: Task, lines: Lines) -> Iterator[LogLine]:
    for stream, line in lines:
        at, _, text = line.partition(b" ")
        yield LogLine(task=task, at=at.decode("ascii", "replace"), stream=stream, text=text)


def _worker(workers: Mapping[str, Hand], task: Task) -> Hand:
    worker = workers.get(task.node or "")
    if worker is None:
        raise InputError(f"node {task.node} is not in the inventory", where=str(task.slot))
    return worker
