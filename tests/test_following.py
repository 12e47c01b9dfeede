"""How a run is followed: what is said once, what is counted, and what is drawn of images on their way."""

import io

from rich.console import Console
from rich.progress import Progress

from cube.cli.bars import COLUMNS, Bars
from cube.cli.following import Begun, Lines
from cube.manager.report import Done, Step
from cube.model.action import Fetch, Outcome, Plan, Start, Verdict
from cube.model.transit import Transit
from tests.build import spec, task

IMAGE = "shop/web:7@sha256:a1"
FETCHES = [Fetch(node=f"node{n}", image=IMAGE, pinned="", job="web", reason="") for n in (1, 2)]
REFUSED = Outcome(verdict=Verdict.FAILED, why="unauthorized", cure="Log in.")
COME = Outcome(
    verdict=Verdict.OK, detail={"bytes": str(95 * 2**20), "layers": "3", "seconds": "11.9"}, container="c"
)


def done(effect: Fetch | Start, outcome: Outcome) -> Done:
    return Done(effect=effect, outcome=outcome)


def transit(node: str = "node1", got: int = 0, size: int = 4096, layers: int = 1) -> Transit:
    return Transit(node=node, image=IMAGE, job="web", got=got, size=size, layers=layers)


def said(*steps: Step) -> list[str]:
    """What a pipe reads of these steps."""
    found: list[str] = []
    lines = Lines(lambda text, _style: found.append(text))
    begun = Begun(lambda text, _style: found.append(text))
    for step in steps:
        begun.tell(step)
        lines.tell(step)
    lines.end()
    return found


def test_a_failure_that_comes_again_word_for_word_is_said_once_and_counted() -> None:
    wave = [done(fetch, REFUSED) for fetch in FETCHES]
    other = done(FETCHES[1], Outcome(verdict=Verdict.FAILED, why="no such host"))
    assert said(*wave, *wave, wave[0], other) == [
        "  fetch  shop/web:7 on node1  failed: unauthorized",
        "         Log in.",
        "  fetch  shop/web:7 on node2  failed: unauthorized",
        "         Log in.",
        "  fetch  shop/web:7 on node2  failed: no such host",
        "  fetch  shop/web:7 on node1  failed  (3 times)",
        "  fetch  shop/web:7 on node2  failed  (2 times)",
    ]


def test_what_succeeds_again_is_said_again() -> None:
    assert len(said(*[done(FETCHES[0], COME)] * 2)) == 2


def test_a_pipe_reads_of_each_image_one_line_as_it_begins_and_one_with_bytes_and_seconds() -> None:
    steps: list[Step] = [
        transit(),
        transit("node2"),
        *(transit(got=got) for got in range(9)),
        done(FETCHES[0], COME),
    ]
    again: list[Step] = [transit("node2", got=1), done(FETCHES[1], REFUSED), transit("node2")]
    assert said(*steps, *again) == [
        "  begun  shop/web:7 is on its way to node1",
        "  begun  shop/web:7 is on its way to node2",
        "  fetch  shop/web:7 on node1  ok  95MiB in 11.9 s",
        "  fetch  shop/web:7 on node2  failed: unauthorized",
        "         Log in.",
        "  begun  shop/web:7 is on its way to node2",
    ]


def test_an_image_that_a_start_waits_for_is_told_in_the_same_way() -> None:
    start = Start(task=task(spec=spec(IMAGE), ports={"http": 20000}), reason="")
    ends = done(start, COME)
    assert said(transit(), ends, transit())[1:] == [
        "  start  web/main[0] on node1  ok  http=20000  95MiB in 11.9 s",
        "  begun  shop/web:7 is on its way to node1",
    ]


def drawn(*steps: Step) -> list[str]:
    """The bars after these steps."""
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    progress = Progress(*COLUMNS, console=console)
    bars = Bars(progress)
    for step in steps:
        bars.tell(step)
    with console.capture() as shown:
        console.print(progress)
    return [" ".join(line.split()) for line in shown.get().splitlines()]


def test_bars_tell_of_all_images_together_until_the_last_has_come() -> None:
    plan = Plan(actions=tuple(FETCHES))
    coming = [transit(got=1024), transit("node2", size=2048, layers=2)]
    first, second = drawn(plan, *coming)
    assert first.startswith("working")
    assert "0/2" in first
    assert second.startswith("web:7 to 2 nodes")
    assert "1KiB of 6KiB, 0/3 layers" in second
    one = drawn(plan, *coming, done(FETCHES[0], COME))
    assert "1/2" in one[0]
    assert one[1].startswith("web:7 to node2")
    assert len(drawn(plan, *coming, *(done(fetch, COME) for fetch in FETCHES))) == 1
