"""Planning: the next wave of what is wanted, and of what the files of the tasks that run are to be."""

from cube.manager.templates import files_of
from cube.model.action import Plan
from cube.model.node import Cluster
from cube.reconciler.files import files_first, leaving
from cube.reconciler.reconcile import reconcile
from cube.reconciler.world import World
from cube.scheduler.algorithms import Scheduler


def planned(cluster: Cluster, world: World, scheduler: Scheduler) -> Plan:
    """The actions of the next wave.

    Who is about to leave is known only from the plan; the files are made without them, and then the plan
    waits for the files.
    """
    plan = reconcile(world, scheduler)
    wanted = files_of(cluster, world, leaving(plan, world))
    return files_first(plan, world, wanted) if wanted else plan
