"""How a node stands after a drain, and what one that is forgotten may leave behind."""

from collections.abc import Iterator

from cube.cli import options, render, settle
from cube.cli.reach import Place, recorded
from cube.manager.report import Report
from cube.model.observation import Unknown
from cube.model.task import Task


def tell(report: Report, node: str, output: options.Output) -> int:
    """Print what is left on the node, and why; the exit code: 0 only where nothing is."""
    left = tasks_left(report, node)
    if output is options.Output.JSON:
        render.as_json({**settle.report_data(report), "left": [str(task.slot) for task in left]})
    else:
        for line in lines(report, node):
            render.line(line, "yellow" if left else None)
        render.warn(report.plan.warnings)
    if not left:
        return 0
    return 3 if isinstance(report.observed.get(node), Unknown) else 1


def tasks_left(report: Report, node: str) -> tuple[Task, ...]:
    """The tasks that are on the node still."""
    return tuple(task for task in report.tasks if task.node == node and not task.state.is_terminal)


def lines(report: Report, node: str) -> Iterator[str]:
    """What a person should read: each task that is left with the reason that is known."""
    left = tasks_left(report, node)
    for task in left:
        yield f"  stays  {task.slot}: {_why(task, report)}"
    if left:
        yield f"{node}: tasks left there: {len(left)}; the next sweep goes on with them"
    else:
        yield f"{node}: no task is left; it gets none until: cube node uncordon {node}"


def tell_of_containers(place: Place, node: str) -> None:
    """Name the containers that will be left on a node that is forgotten."""
    with recorded(place) as store:
        tasks = [task for task in store.current_tasks() if task.node == node and task.container]
    for task in tasks:
        if not task.state.is_terminal:
            render.line(f"  left   {task.container_name} on {node}, if it still runs there")


def _why(task: Task, report: Report) -> str:
    helds = [held for held in report.plan.held if (held.job, held.group) == task.slot.group_key]
    waits = [wait.reason for wait in report.waiting if wait.slot == task.slot]
    found = report.observed.get(str(task.node))
    if isinstance(found, Unknown):
        return f"the node did not answer: {found.cause}"
    late = ["the time was over"] if report.is_late else []
    return "; ".join([*waits, *(held.reason for held in helds), *late]) or "it goes last, at the next sweep"
