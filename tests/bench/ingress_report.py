"""What an update loses of the requests meanwhile, for people: the last section of docs/templates.md. Pure."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median

from tests.bench.facts import Facts

TITLE = "## Requests lost beside Docker Swarm"

HOW = """\
A service of three tasks is updated, one task at a time, while clients ask for it at a constant rate, half of
them over connections that they keep; {runs} runs in which the contestants took turns, on {machine}.
Lost is what got no answer, or another one than 200. Every run is in
[ingress.json](benchmarks/ingress.json), and `make bench-ingress` makes it and this section.

- Both stand behind HAProxy on each of three nodes, with the same configuration: that of the example, which
  asks another task where one takes no connection.
- **Cube** writes that file anew at each step, as told above. Its update takes longer: each new task has to be
  healthy for 2 seconds, and each old one serves on for 5 after it has left the file (both by default).
- **Docker Swarm** has a port of each node for its service (`mode=host`), which stands in the file once and
  for all; it stops each task before it starts the next, for the port is one. Its routing mesh needs IPVS,
  which the kernel of this machine has not.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One update: how long it took, and the requests meanwhile. `load`: the machine's when it began."""

    contestant: str
    seconds: float
    rate: float
    asked_new: int
    lost_new: int
    asked_kept: int
    lost_kept: int
    load: float


def as_section(found: Sequence[Update], machine: str = "one machine") -> str:
    """The table of all runs of each together, and how they were measured."""
    groups: dict[str, list[Update]] = {}
    for update in found:
        groups.setdefault(update.contestant, []).append(update)
    rows = [_row(contestant, runs) for contestant, runs in sorted(groups.items())]
    head = (
        "| | requests a second | lost, over new connections | lost, over kept ones | an update took |\n"
        "| --- | --: | --: | --: | --: |"
    )
    runs = max((len(runs) for runs in groups.values()), default=0)
    return "\n".join([TITLE, "", head, *rows, "", HOW.format(runs=runs, machine=machine)])


def _row(contestant: str, runs: Sequence[Update]) -> str:
    new = f"{sum(update.lost_new for update in runs)} of {sum(update.asked_new for update in runs)}"
    kept = f"{sum(update.lost_kept for update in runs)} of {sum(update.asked_kept for update in runs)}"
    rate = median(update.rate for update in runs)
    seconds = median(update.seconds for update in runs)
    return f"| {contestant} | {rate:.0f} | {new} | {kept} | {seconds:.1f} s |"


def with_section(page: str, section: str) -> str:
    """The page with this section in place of the one of an earlier run, which is its last."""
    return page.partition(TITLE)[0].rstrip("\n") + "\n\n" + section


def as_json(found: Sequence[Update], facts: Facts) -> str:
    """Every run, and with what it was made."""
    return json.dumps({**asdict(facts), "runs": [asdict(update) for update in found]}, indent=1) + "\n"
