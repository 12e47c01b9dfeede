"""The recovery times as people read them: the last section of docs/benchmarks.md. Pure."""

from collections.abc import Sequence

from tests.bench.measure import Figure

TITLE = "## Recovery beside Docker Swarm"

HOW = """\
Seconds from the fault to the start of the last replacement, by the clock of the engine that started it. Two
tasks for each node; all contestants on the same lab in one run, taking turns, and all of them told to begin
a crashed task again at once, as often as it crashes (`restart: {delay: 0s, attempts: 100}`,
`--restart-delay 0s`; by default Cube waits 2.5 to 5 seconds, by chance, and Swarm 5). Every single run is
in [recovery-3.json](benchmarks/recovery-3.json) and [recovery-100.json](benchmarks/recovery-100.json);
`make bench-recovery` makes the first and this section, `ONLY=manager NODES=100 make bench-recovery` the
crashes on 100 nodes, of the manager alone: on two cores Swarm's nodes give up joining before a hundred are
in.

- **A crashed container**: the main process is killed with SIGKILL. The manager follows the engines' events;
  `cube reconcile --watch` sees it when it looks next.
- **A dead node**: its power is cut; it is not the node on which Swarm's manager runs. Cube waits for
  `lost_after`, which is 5 minutes by default and 10 seconds here, and for three looks without an answer, each
  of which waits up to 5 seconds; Swarm misses three heartbeats of 5 seconds (its default).
- **Cube** runs on the operator's machine, with `--every 5s`. By default the manager looks every 10 seconds
  and at every event, and the watch each minute and when something is due.
"""


def as_section(figures: Sequence[Figure]) -> str:
    """The table of medians and extremes, and how they were measured."""
    rows = [
        f"| {figure.benchmark} | {figure.contestant} | {figure.median:.1f} s | {min(figure.runs):.1f} s "
        f"| {max(figure.runs):.1f} s | {len(figure.runs)} |"
        for figure in sorted(figures, key=lambda figure: figure.benchmark)
    ]
    head = "| after | | median | quickest | slowest | runs |\n| --- | --- | --: | --: | --: | --: |"
    return "\n".join([TITLE, "", head, *rows, "", HOW])


def with_section(page: str, section: str) -> str:
    """The page with this section in place of the one of an earlier run, which is its last."""
    return page.partition(TITLE)[0].rstrip("\n") + "\n\n" + section


def section_of(page: str) -> str:
    """The section as it is on the page; empty where there is none."""
    _, title, rest = page.partition(TITLE)
    return title + rest
