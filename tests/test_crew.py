"""The crew: every effect answered, nodes apart, and nothing more begun once nobody asks for it."""

import gc
import signal
import threading
from collections.abc import Callable, Iterator, Mapping

import pytest

from cube.manager.crew import LANES, STALE, Crew
from cube.model.action import Effect, Fetch, Outcome, Start, Verdict
from cube.model.observation import Observation
from cube.model.transit import Told, Transit
from cube.simulator.clock import VirtualClock
from tests.build import task, unknown

CLOCK = VirtualClock()
SOON = CLOCK.now() + 60

Act = Callable[[Effect], Outcome]


class Hand:
    """A worker that does what the test says, and remembers what it was asked for."""

    def __init__(self, act: Act) -> None:
        self.act = act
        self.asked: list[Effect] = []

    def observe(self, now: float) -> Observation:
        return unknown(f"node at {now}")

    def perform(self, effect: Effect, told: Told) -> Outcome:
        self.asked.append(effect)
        if isinstance(effect, Fetch):
            told(transit_of(effect))
        return self.act(effect)

    def digest(self, image: str) -> str:
        return f"sha256:{image}"


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """It interrupts, also where a shell that runs the tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()  # Hypothesis counts the time of collections in a callback, where an interrupt is lost.
    yield
    gc.enable()
    signal.signal(signal.SIGINT, before)


def done(_effect: Effect) -> Outcome:
    return Outcome(verdict=Verdict.OK)


def transit_of(fetch: Fetch) -> Transit:
    return Transit(node=fetch.node, image=fetch.image, job=fetch.job, layers=1)


def slowly(effect: Effect) -> Outcome:
    threading.Event().wait(0.05)
    return done(effect)


def starts(node: str, count: int) -> list[Effect]:
    return [Start(task=task(index, node=node), reason="") for index in range(count)]


def crew_of(hands: Mapping[str, Hand]) -> Crew:
    return Crew(hands, CLOCK)


def test_every_effect_is_answered_once() -> None:
    hands = {name: Hand(done) for name in ("node1", "node2")}
    effects = [*starts("node1", 7), *starts("node2", 5)]
    answered = [effect for effect, _ in crew_of(hands).perform(effects, SOON)]
    assert sorted(answered, key=id) == sorted(effects, key=id)


def test_how_far_an_image_is_comes_before_what_came_of_its_effect() -> None:
    fetch = Fetch(node="node1", image="shop/web:7", pinned="", job="web", reason="")
    answers = list(crew_of({"node1": Hand(done)}).perform([fetch], SOON))
    assert answers == [(fetch, transit_of(fetch)), (fetch, done(fetch))]


def test_a_node_that_hangs_delays_no_other() -> None:
    """P2."""
    over = threading.Event()

    def wait(effect: Effect) -> Outcome:
        over.wait(30)
        return done(effect)

    hands = {"node1": Hand(wait), "node2": Hand(done)}
    answers = crew_of(hands).perform([*starts("node1", 4), *starts("node2", 5)], SOON)
    first = [next(answers)[0].node for _ in range(5)]
    over.set()
    assert first == ["node2"] * 5
    assert [effect.node for effect, _ in answers] == ["node1"] * 4


def test_a_node_that_gave_no_answer_is_asked_nothing_more_before_it_is_looked_at() -> None:
    """P1: thirty effects on a node that hangs would cost thirty times its patience."""
    silent = Hand(lambda _effect: Outcome(verdict=Verdict.UNKNOWN))
    hands = {"node1": silent, "node2": Hand(done)}
    answers = list(crew_of(hands).perform([*starts("node1", 30), *starts("node2", 5)], SOON))
    assert len(silent.asked) <= LANES
    assert len(answers) == len(silent.asked) + 5


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupt_lets_those_under_way_finish_and_drops_the_rest() -> None:
    """P9: what was begun is answered, so it can be recorded."""
    hand = Hand(slowly)
    answered = []
    threading.Timer(0.12, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it comes from within the loop
        for effect, _ in crew_of({"node1": hand}).perform(starts("node1", 200), SOON):
            answered.append(effect)
    assert 0 < len(answered) < 200
    assert len(answered) == len(hand.asked)


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupt_during_the_record_of_the_last_answer_is_not_lost() -> None:
    """P9: the command ends as an interrupted one, and not as if it had been let finish."""
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it comes from within the loop
        for _ in crew_of({"node1": Hand(done)}).perform(starts("node1", 1), SOON):
            threading.Event().wait(0.05)  # its lane says meanwhile that it is done
            signal.raise_signal(signal.SIGINT)


def test_a_caller_that_fails_begins_nothing_more() -> None:
    """P11: an outcome that cannot be recorded, on a full disk say, is the last one."""
    hand = Hand(slowly)

    def record() -> None:
        for _ in crew_of({"node1": hand}).perform(starts("node1", 200), SOON):
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        record()
    assert len(hand.asked) <= 2 * LANES


def test_a_bug_in_a_worker_is_not_lost_in_its_thread() -> None:
    def fail(_effect: Effect) -> Outcome:
        raise IndexError("a bug")

    with pytest.raises(IndexError, match="a bug"):
        list(crew_of({"node1": Hand(fail)}).perform(starts("node1", 1), SOON))


def test_an_outcome_says_how_long_its_node_took() -> None:
    clock = VirtualClock()

    def takes_a_while(_effect: Effect) -> Outcome:
        clock.sleep(2.5)
        return Outcome(verdict=Verdict.OK)

    crew = Crew({"node1": Hand(takes_a_while)}, clock)
    ((_, outcome),) = crew.perform(starts("node1", 1), SOON)
    assert isinstance(outcome, Outcome)
    assert outcome.seconds == 2.5


def test_an_effect_of_a_plan_that_is_too_old_is_not_tried() -> None:
    """P3: the process may have been stopped for hours between the plan and the act."""
    hand = Hand(done)
    ((_, outcome),) = crew_of({"node1": hand}).perform(starts("node1", 1), CLOCK.now() - 1)
    assert outcome is STALE
    assert hand.asked == []
