"""What tasks have written on a node, which does not follow them when the node is drained."""

from collections.abc import Iterable, Iterator, Sequence

from cube.errors import InputError
from cube.model.job import Job, JobType
from cube.model.task import Task
from cube.store.store import Store


def services_on(node: str, tasks: Iterable[Task], jobs: Sequence[Job]) -> Iterator[Task]:
    """Tasks that a drain moves: those of batch jobs end there, and those of system jobs belong there."""
    types = {(job.name, group.name): job.type_of(group) for job in jobs for group in job.groups}
    for task in tasks:
        is_service = types.get(task.slot.group_key) is JobType.SERVICE
        if is_service and task.node == node and not task.state.is_terminal:
            yield task


def refuse_data_left(store: Store, node: str) -> None:
    """Raises InputError where a task would leave there what it has written, and begin anew with nothing."""
    leaving = {
        str(task.slot): task.spec.data
        for task in services_on(node, store.current_tasks(), store.jobs())
        if task.spec.data
    }
    if leaving:
        told = "; ".join(f"{slot} writes to {', '.join(sorted(data))}" for slot, data in leaving.items())
        raise InputError(
            f"tasks would leave their data on {node}",
            why=told,
            cure=f"Move it along: cube move '{next(iter(leaving))}' --to NODE --with-data (sizes: cube node "
            f"drain {node} --plan). To have them begin anew elsewhere, with nothing: --leave-data",
        )
