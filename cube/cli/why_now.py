"""Whether a node could take one task more of a job, asked of the fleet as it is now."""

from typing import Any

from cube.cli import look, options, render, why_told
from cube.cli.reach import Place, looking_on
from cube.cli.why_recorded import of_node
from cube.errors import InputError
from cube.inventory.grammar import nearest
from cube.manager.manager import Manager
from cube.model.codec import to_data
from cube.model.job import Job
from cube.model.observation import Unknown
from cube.reconciler.fitting import Fitting, fittings
from cube.scheduler.algorithms import ALGORITHMS


def tell(place: Place, name: str, node: str, output: options.Output) -> int:
    """Print it for each group of the job; 3 where the node did not answer, else 0. Raises InputError."""
    _refuse_unknown("node", node, [found.name for found in place.cluster.nodes], place.cluster.name)
    with looking_on(place) as manager:
        job = _job(manager, name)
        observed = manager.look()
        world = manager.loop.world(observed)
    if isinstance(observed[node], Unknown):
        return look.warn_of_unknown({node: observed[node]})
    found = fittings(world, job, node, ALGORITHMS[place.scheduler])
    if output is options.Output.JSON:
        render.as_json([_data(fitting) for fitting in found])
    else:
        for fitting in found:
            print_fitting(fitting, job.name)
    return 0


def print_fitting(found: Fitting, job: str) -> None:
    """One group's answer: yes, with its score beside that of the one that would be picked; or no, and why."""
    decision, node, group = found.decision, found.node, f"{job}/{found.group}"
    has = f"; it has {found.here} already" if found.here else ""
    if not found.fits:
        render.line(f"{group}: {node} cannot take one task more{has}", "yellow")
        why_told.print_refusals(decision, node)
        for remedy in decision.remedies:
            render.line(f"smallest change: {remedy.change}")
    elif node == found.picked:
        render.line(f"{group}: {node} would be picked for one task more{has}", "green")
        _print_beside(found, why_told.runner_up(decision, node), why_told.RUNNER_UP)
    elif node in decision.last:
        why = decision.last[node]
        render.line(f"{group}: {node} could take one task more, only if no other could: {why}{has}", "yellow")
    else:
        render.line(f"{group}: {node} could take one task more, and {found.picked} would be picked{has}")
        _print_beside(found, found.picked, why_told.PICKED)


def _print_beside(found: Fitting, other: str | None, role: str) -> None:
    if other is None:
        why_told.print_terms(found.decision.terms.get(found.node, ()))
    else:
        why_told.print_comparison(found.decision, found.node, other, role)


def _data(found: Fitting) -> dict[str, Any]:
    picked = of_node(found.decision, found.picked) if found.picked else None
    return {
        "group": found.group,
        "node": found.node,
        "fits": found.fits,
        "has": found.here,
        "would_be_picked": found.picked,
        "decision": to_data(of_node(found.decision, found.node)),
        "picked": to_data(picked) if picked else None,
    }


def _job(manager: Manager, name: str) -> Job:
    jobs = {job.name: job for job in manager.store.jobs()}
    _refuse_unknown("job", name, list(jobs), manager.cluster.name)
    return jobs[name]


def _refuse_unknown(kind: str, name: str, known: list[str], where: str) -> None:
    if name not in known:
        told = f"Known {kind}s: {', '.join(known[:10]) or 'none'}."
        raise InputError(f"there is no {kind} {name!r}", where=where, cure=nearest(name, known) or told)
