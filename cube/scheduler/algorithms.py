"""The scheduler's three steps, and the algorithms that fill them in.

A score is 0..1 and the highest wins; among equals the node that comes first.
A node without a score is never picked.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol
from zlib import crc32

from cube.errors import InputError
from cube.model.action import Decision, Refusal, Term
from cube.model.job import Job
from cube.scheduler import fit
from cube.scheduler.filters import refusals_of
from cube.scheduler.fit import Formula
from cube.scheduler.remedy import remedies
from cube.scheduler.state import NodeState, Request
from cube.scheduler.terms import terms, total

TERMS_TOLD = 20
"""Of how many nodes a decision tells what their scores are made of."""


class Scheduler(Protocol):
    """Which node takes a task. The three steps are those of Boring's book."""

    def select_candidate_nodes(
        self, request: Request, nodes: Sequence[NodeState]
    ) -> tuple[tuple[NodeState, ...], tuple[Refusal, ...]]:
        """The nodes that can take the request, in order, and why the others cannot."""
        ...

    def score(self, request: Request, candidates: Sequence[NodeState]) -> Mapping[str, float]:
        """0..1 per candidate's name, higher is better."""
        ...

    def pick(self, scores: Mapping[str, float], candidates: Sequence[NodeState]) -> NodeState:
        """The candidate of the highest score. Raises ValueError where there is none."""
        ...


class Rule(Protocol):
    """One way to score, which an Algorithm makes a Scheduler of."""

    def score(self, request: Request, candidates: Sequence[NodeState]) -> Mapping[str, float]:
        """0..1 per candidate's name, higher is better."""
        ...

    def terms(self, request: Request, candidates: Sequence[NodeState]) -> Mapping[str, tuple[Term, ...]]:
        """What each score is made of; empty where it is of one piece."""
        ...


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A scheduler made of the common filters and one rule."""

    rule: Rule

    def select_candidate_nodes(
        self, request: Request, nodes: Sequence[NodeState]
    ) -> tuple[tuple[NodeState, ...], tuple[Refusal, ...]]:
        """The nodes that pass every filter."""
        refusals = [refusals_of(request, state) for state in nodes]
        candidates = tuple(state for state, found in zip(nodes, refusals, strict=True) if not found)
        return candidates, tuple(refusal for found in refusals for refusal in found)

    def score(self, request: Request, candidates: Sequence[NodeState]) -> Mapping[str, float]:
        """As the rule says."""
        return self.rule.score(request, candidates)

    def pick(self, scores: Mapping[str, float], candidates: Sequence[NodeState]) -> NodeState:
        """The highest score; the first of equals."""
        scored = [state for state in candidates if state.node.name in scores]
        return max(scored, key=lambda state: scores[state.node.name])


@dataclass(frozen=True, slots=True)
class ByFormula:
    """Scores a node by a formula, and by the wishes that a group has."""

    formula: Formula

    def score(self, request: Request, candidates: Sequence[NodeState]) -> Mapping[str, float]:
        """The sum of each node's terms."""
        return {name: total(found) for name, found in self.terms(request, candidates).items()}

    def terms(self, request: Request, candidates: Sequence[NodeState]) -> Mapping[str, tuple[Term, ...]]:
        """What each node's score is made of."""
        names = (state.node.name for state in candidates)
        return dict(zip(names, terms(self.formula, request, candidates), strict=True))


@dataclass(frozen=True, slots=True)
class InTurn:
    """Scores a node by how soon it is its turn: 1 for the next candidate after the last request's node.

    Whoever cannot take a request is passed over, and its turn comes again with the next round. Wishes are not
    heeded.
    """

    def score(self, request: Request, candidates: Sequence[NodeState]) -> Mapping[str, float]:
        """1 for the node whose turn it is, then less and less."""
        names = (state.node.name for state in candidates)
        return _turns(candidates, next((at for at, name in enumerate(names) if name in request.behind), 0))

    def terms(self, _request: Request, _candidates: Sequence[NodeState]) -> Mapping[str, tuple[Term, ...]]:
        """The turn is of one piece."""
        return {}


@dataclass(frozen=True, slots=True)
class ByChance:
    """Scores that candidate highest whose number `draw` says, counted round and round. No wish is heeded."""

    draw: Callable[[Request], int]

    def score(self, request: Request, candidates: Sequence[NodeState]) -> Mapping[str, float]:
        """1 for the node that is drawn, then less and less."""
        return _turns(candidates, self.draw(request))

    def terms(self, _request: Request, _candidates: Sequence[NodeState]) -> Mapping[str, tuple[Term, ...]]:
        """The draw is of one piece."""
        return {}


def _turns(candidates: Sequence[NodeState], first: int) -> Mapping[str, float]:
    size = len(candidates)
    return {
        state.node.name: 1 - ((position - first) % size) / size for position, state in enumerate(candidates)
    }


def any_of_them(request: Request) -> int:
    """Any candidate is as likely as any other; the same request always means the same one."""
    slot = request.slot
    return crc32(f"{slot.job}/{slot.group}[{slot.index}] {request.order}".encode())


def place(
    scheduler: Scheduler, request: Request, nodes: Sequence[NodeState]
) -> tuple[NodeState | None, Decision]:
    """The node for the request, or None, with the scores and refusals that led there."""
    request = request.among(nodes)
    candidates, refusals = scheduler.select_candidate_nodes(request, nodes)
    if not candidates:
        return None, Decision(scores={}, refusals=refusals, remedies=remedies(request, nodes))
    last = {
        found.node.name: why_last(request, found) for found in candidates if is_last_resort(request, found)
    }
    if len(last) == len(candidates):
        last = {}
    preferred = tuple(found for found in candidates if found.node.name not in last)
    scores = scheduler.score(request, preferred)
    found = scheduler.pick(scores, preferred)
    told = [found, *_runners_up(scores, preferred, found)]
    return found, Decision(
        scores=scores,
        refusals=refusals,
        terms=terms_of(scheduler, request, told),
        last=last,
    )


def terms_of(
    scheduler: Scheduler, request: Request, candidates: Sequence[NodeState]
) -> Mapping[str, tuple[Term, ...]]:
    """What the scores of those nodes are made of; empty where the scheduler cannot tell."""
    return scheduler.rule.terms(request, candidates) if isinstance(scheduler, Algorithm) else {}


def is_last_resort(request: Request, state: NodeState) -> bool:
    """Taken only where no other can be: the slot's tasks fail there, or nobody knows how busy it is."""
    return state.load is None or state.node.name in request.avoid


def why_last(request: Request, state: NodeState) -> str:
    """Why such a node is taken last."""
    if state.node.name in request.avoid:
        return "tasks of this slot have failed there for good"
    return "nobody knows how busy it is"


def _runners_up(
    scores: Mapping[str, float], candidates: Sequence[NodeState], winner: NodeState
) -> Sequence[NodeState]:
    """Who would have been picked without the winner, then who without these two, and so on."""
    others = [state for state in candidates if state is not winner and state.node.name in scores]
    return nsmallest(TERMS_TOLD - 1, others, key=lambda state: -scores[state.node.name])


GROUP = "cube.schedulers"
"""The entry points by which other packages bring algorithms along: each is a Scheduler."""


class Algorithms(Mapping[str, Scheduler]):
    """The algorithms by name: Cube's own, and those of other packages, each loaded when it is asked for."""

    def __init__(self, own: Mapping[str, Scheduler]) -> None:
        self._own, self._loaded = own, dict(own)

    def __getitem__(self, name: str) -> Scheduler:
        """Raises KeyError where there is none of that name, InputError where it cannot be loaded."""
        if name not in self._loaded:
            self._loaded[name] = _loaded(name, tuple(entry_points(group=GROUP, name=name)))
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from sorted(entry_points(group=GROUP).names - {*self._own})

    def __len__(self) -> int:
        return len(tuple(iter(self)))

    def name_of(self, scheduler: Scheduler) -> str:
        """What it is called by; one that was never asked for here by its type. Loads nothing."""
        names = (name for name, found in self._loaded.items() if found is scheduler)
        return next(names, type(scheduler).__name__)


def _loaded(name: str, entries: Sequence[EntryPoint]) -> Scheduler:
    if not entries:
        raise KeyError(name)
    packages = " and ".join(sorted(_package(found) for found in entries))
    if len(entries) > 1:
        what = f"there is more than one scheduler {name!r}: of {packages}"
        raise InputError(what, cure="Uninstall all of these packages but one.")
    try:
        found = entries[0].load()
    except Exception as error:
        raise InputError(
            f"the scheduler {name!r} of {packages} cannot be loaded",
            why=f"{type(error).__name__}: {error}",
            cure="Install what the package needs, or choose another scheduler.",
        ) from error
    return _held(_checked(name, found))


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} ({entry.value})" if entry.dist else entry.value


def _checked(name: str, found: object) -> Scheduler:
    steps = ("select_candidate_nodes", "score", "pick")
    if missing := [step for step in steps if not callable(getattr(found, step, None))]:
        raise InputError(
            f"the scheduler {name!r} has no {' and no '.join(missing)}",
            cure=f"Let its entry point in {GROUP} name an object with the steps {', '.join(steps)}.",
        )
    scheduler: Scheduler = found  # type: ignore[assignment] # it has the three steps
    return scheduler


def _held(scheduler: Scheduler) -> Scheduler:
    """The scheduler; one by a formula, which may answer anything, held to 0..1."""
    if isinstance(scheduler, Algorithm) and isinstance(scheduler.rule, ByFormula):
        return replace(scheduler, rule=replace(scheduler.rule, formula=fit.held(scheduler.rule.formula)))
    return scheduler


ALGORITHMS = Algorithms(
    {
        "tight": Algorithm(ByFormula(fit.tight)),
        "spread": Algorithm(ByFormula(fit.spread)),
        "binpack": Algorithm(ByFormula(fit.binpack)),
        "greedy": Algorithm(ByFormula(fit.greedy)),
        "epvm": Algorithm(ByFormula(fit.epvm)),
        "roundrobin": Algorithm(InTurn()),
        "random": Algorithm(ByChance(any_of_them)),
    }
)
"""By the name that `--scheduler` takes."""

DEFAULT_ALGORITHM = "tight"
"""Of those that were measured it needs the fewest nodes; a group's own tasks stand apart all the same."""


def refuse_unknown(name: str) -> None:
    """Raises InputError for an algorithm that is not known."""
    if name not in ALGORITHMS:
        raise InputError(f"there is no scheduler {name!r}", cure=f"Known: {', '.join(ALGORITHMS)}.")


def scheduler_of(job: Job, default: Scheduler) -> Scheduler:
    """Who chooses the job's nodes.

    Raises InputError where it names an algorithm that is not installed here, or that cannot be loaded.
    """
    if not job.scheduler:
        return default
    try:
        return ALGORITHMS[job.scheduler]
    except KeyError:
        raise InputError(f"there is no scheduler {job.scheduler!r} on this machine") from None


def name_of(scheduler: Scheduler) -> str:
    """What it is called by; one that is registered nowhere by its type."""
    return ALGORITHMS.name_of(scheduler)
