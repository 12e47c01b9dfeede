"""The matrix of a placement: every node with its score and its terms, or with its refusals. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from cube.model.action import Decision, Term

WHOLE = 10**8
"""Points of a term that are worth 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A node: its score and the terms of it by name, or why it could not be."""

    node: str
    is_chosen: bool
    score: float | None
    terms: Mapping[str, float]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """The nodes, best first, under the names of the `terms`; `rest` counts nodes that are not told of."""

    terms: tuple[str, ...]
    lines: tuple[Line, ...]
    rest: str
    remedies: tuple[str, ...]


def matrix(decision: Decision, chosen: str | None) -> Matrix:
    """The decision as a table."""
    best = sorted(decision.scores.items(), key=lambda item: (item[0] != chosen, -item[1], item[0]))
    scored = [
        Line(node=node, is_chosen=node == chosen, score=score, terms=_shares(decision.terms.get(node, ())))
        for node, score in best
    ]
    refused = [
        Line(
            node=node, is_chosen=False, score=None, terms={},
            reasons=tuple(each.reason for each in decision.refusals if each.node == node),
        )
        for node in dict.fromkeys(each.node for each in decision.refusals)
    ]  # fmt: skip
    names = dict.fromkeys(term.name for terms in decision.terms.values() for term in terms)
    return Matrix(
        terms=tuple(names),
        lines=(*scored, *refused),
        rest=_rest(decision, len(refused)),
        remedies=tuple(f"{each.node} {each.fault}: {each.change}" for each in decision.remedies),
    )


def _shares(terms: tuple[Term, ...]) -> Mapping[str, float]:
    return {term.name: term.points / WHOLE for term in terms}


def _rest(decision: Decision, told: int) -> str:
    refused = sum(decision.refused.values()) - told
    words = [f"{decision.others} more could have taken it"] if decision.others else []
    words += [f"{refused} more refused it"] if decision.refused and refused > 0 else []
    return ", ".join(words)
