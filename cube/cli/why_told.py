"""A decision of the scheduler in words and tables: whom it took, what spoke for that, and who refused."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cube.cli import render
from cube.cli.options import Output
from cube.model.action import Decision, Place, Plan, Remedy, Term, Wait

WHOLE = 100_000_000
"""The points of a score of 1."""

MOST = 20
"""Nodes whose scores or refusals are told one by one; of more refusals the number for each filter."""

FEW = 10
"""Refusals that a plan tells one by one."""

REFUSAL = ("node", "filter", "wanted", "found")
TERM = ("term", "weight", "value", "points")

PICKED, RUNNER_UP = "picked", "runner-up"
_ROLES = {PICKED: "which is picked", RUNNER_UP: "the runner-up"}


def ranking(decision: Decision) -> tuple[str, ...]:
    """The candidates that are told of, the best first, equal ones in the order of the fleet."""
    return tuple(sorted(decision.scores, key=lambda name: -decision.scores[name]))


def runner_up(decision: Decision, picked: str) -> str | None:
    """Who would have been picked without that node; None: nobody."""
    # Terms come in the order in which nodes would be picked, which a score alone does not tell of equals.
    names = (*decision.terms, *ranking(decision))
    return next((name for name in names if name != picked), None)


def margin(decision: Decision, first: str, second: str) -> Mapping[str, int]:
    """By term how many points the first node has more than the second; in all their scores' difference."""
    other = {term.name: term.points for term in decision.terms.get(second, ())}
    return {term.name: term.points - other.get(term.name, 0) for term in decision.terms.get(first, ())}


def print_decision(decision: Decision, picked: str | None) -> None:
    """All that is told of it: candidates, the winner beside the runner-up, who refuses, what would help."""
    if decision.scheduler:
        render.line(f"scheduler: {decision.scheduler}")
    if decision.scores:
        _print_candidates(decision)
    if picked is not None and (other := runner_up(decision, picked)):
        print_comparison(decision, picked, other, RUNNER_UP)
    elif picked is not None:
        is_bound = "node" in decision.refusals_by_filter
        render.line("it was wanted on that node alone" if is_bound else "no other node could take it")
    _print_refusals(decision)
    for number, remedy in enumerate(decision.remedies):
        render.line(f"{'or' if number else 'smallest change'}: {_in_words(remedy)}", "yellow")


def print_comparison(decision: Decision, first: str, second: str, role: str) -> None:
    """One node's score term by term beside that of another, which is PICKED or the RUNNER_UP."""
    terms, others = decision.terms.get(first, ()), decision.terms.get(second, ())
    if not terms or not others:
        render.line(f"{_scored(decision, first)}, {_scored(decision, second)}")
        render.line("this scheduler's scores have no terms, or no more than these were kept")
        return
    render.line("")
    render.line(f"{first} beside {second}, {_ROLES[role]}:")
    rows = [_of_term(term, _scale(terms)) for term in terms]
    for row, other in zip(rows, others, strict=True):
        row |= {role: _points(other.points), "margin": _signed(row["exact"] - other.points)}
    here, there = (sum(term.points for term in found) for found in (terms, others))
    total = {"term": "score", "points": _points(here), role: _points(there), "margin": _signed(here - there)}
    _table([*rows, total], (*TERM, role, "margin"))
    if here == there:
        render.line("of equal scores that wins which comes first in the inventory")


def print_terms(terms: Sequence[Term]) -> None:
    """What one score is made of."""
    total = {"term": "score", "points": _points(sum(term.points for term in terms))}
    _table([*(_of_term(term, _scale(terms)) for term in terms), total], TERM)


def print_refusals(decision: Decision, node: str) -> None:
    """Every filter by which that node refuses, with what was wanted and found."""
    rows = [
        {"filter": each.filter, "wanted": each.wanted, "found": each.found, "reason": each.reason}
        for each in decision.refusals
        if each.node == node
    ]
    _table(rows, ("filter", "wanted", "found"))


def why_this(place: Place) -> str:
    """In one line what spoke for the node against the one that would have been next."""
    decision, picked = place.decision, place.node
    other = runner_up(decision, picked)
    if other is None:
        return "no other node can take it"
    named = f"{other} ({decision.scores[other]:.3f})"
    if decision.scores[other] == decision.scores[picked]:
        return f"as good as {named}, and before it in the inventory"
    found = sorted(margin(decision, picked, other).items(), key=lambda item: -abs(item[1]))
    told = ", ".join(f"{name} {points / WHOLE:+.3f}" for name, points in found if abs(points) * 2000 >= WHOLE)
    return f"against {named}: {told or 'by less than 0.001'}"


def why_nowhere(decision: Decision) -> Iterator[str]:
    """Who refuses, of many how many by which filter, and what would help."""
    if len(decision.refusals) > FEW or decision.refused:
        yield f"refused by {_by_filter(decision)}"
    else:
        yield from (f"{refusal.node}: {refusal.reason}" for refusal in decision.refusals)
    if decision.remedies:
        yield f"smallest change: {_all_in_words(decision.remedies)}"


def print_decisions(plan: Plan) -> None:
    """The decision for each slot of the plan, in full."""
    for action in plan.actions:
        if isinstance(action, Place):
            _print_title(f"{action.slot} on {action.node}: {action.reason}")
            print_decision(action.decision, action.node)
        elif isinstance(action, Wait) and action.decision.refusals:
            _print_title(f"{action.slot} waits: {action.reason}")
            print_decision(action.decision, None)


def _print_title(text: str) -> None:
    render.line("")
    render.line(text, "cyan")


def _print_candidates(decision: Decision) -> None:
    names = [term.name for term in next(iter(decision.terms.values()), ())]
    rows = [
        {
            "node": node,
            "score": f"{decision.scores[node]:.4f}",
            **{term.name: f"{term.points / WHOLE:.4f}" for term in decision.terms.get(node, ())},
        }
        for node in _in_order(decision)[:MOST]
    ]
    _table(rows, ("node", "score", *names))
    if others := decision.others + len(decision.scores) - len(rows):
        render.line(f"and {others} candidates more")
    for node, why in decision.last.items():
        render.line(f"{node} would be taken only if no other could: {why}")
    if decision.last_others:
        render.line(f"and {decision.last_others} nodes more only if no other could")


def _in_order(decision: Decision) -> tuple[str, ...]:
    told = dict.fromkeys((*decision.terms, *ranking(decision)))
    return tuple(name for name in told if name in decision.scores)


def _print_refusals(decision: Decision) -> None:
    refusing = list(dict.fromkeys(each.node for each in decision.refusals))
    told = refusing[:MOST]
    rows = [
        {name: getattr(each, name) for name in REFUSAL} for each in decision.refusals if each.node in told
    ]
    if rows:
        render.line("")
        _table(rows, REFUSAL)
    if len(refusing) > len(told) or any(count > len(told) for count in decision.refused.values()):
        render.line(f"in all refused by {_by_filter(decision)}")


def _scored(decision: Decision, node: str) -> str:
    """Of more than twenty equal nodes an older Cube did not always keep the one that was picked."""
    score = decision.scores.get(node)
    return f"{node} (its score was not kept)" if score is None else f"{node} {score:.4f}"


def _by_filter(decision: Decision) -> str:
    found = decision.refusals_by_filter.items()
    return ", ".join(f"{name} on {count} node{'s' * (count != 1)}" for name, count in found)


def _all_in_words(remedies: Sequence[Remedy]) -> str:
    nearest, *others = remedies
    alike = [other for other in others if other.changes == nearest.changes and other.fault != nearest.fault]
    return "; or ".join(map(_in_words, (nearest, *alike[:1])))


def _in_words(remedy: Remedy) -> str:
    return f"{remedy.node} {remedy.fault}: {remedy.change}"


def _scale(terms: Sequence[Term]) -> float:
    return WHOLE / sum(term.weight for term in terms)


def _of_term(term: Term, scale: float) -> dict[str, Any]:
    """The value 0..1 is the term's points as a share of the most that its weight can give."""
    return {
        "term": term.name,
        "weight": f"{term.weight:g}",
        "value": f"{term.points / (term.weight * scale):.3f}",
        "points": _points(term.points),
        "exact": term.points,
    }


def _points(points: int) -> str:
    return f"{points / WHOLE:.8f}"


def _signed(points: int) -> str:
    return f"{points / WHOLE:+.8f}"


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    # A cell without a value is empty here: nothing is missing in it.
    render.table([dict.fromkeys(columns, "") | dict(row) for row in rows], columns, Output.TABLE)
