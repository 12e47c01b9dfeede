"""What pushing images costs, as people read it: the last section of docs/images.md. Pure."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median

from tests.bench.facts import Facts

TITLE = "## What it costs"

NODES = re.compile(r"(\d+) nodes?$")

HOW = """\
An image of Debian with one layer of 200 kB upon it, from the operator's engine to nodes of a lab that have
nothing of it, then a second one that differs from it in that layer. Medians of {runs} runs in which the
contestants took turns, on {machine}; every run is in
[images.json](benchmarks/images.json), and `NODES={nodes} make bench-images` makes it and this section.

Seconds are of the whole process, CPU that of the client alone; bytes are what the nodes' network cards have
received, SSH included, and what of it this machine has sent. The registry begins empty, on the client's own
machine; to one elsewhere the client sends the image once, however many nodes there are. All nodes are on one
machine, over a line that has no limit, and share its cores with the client and with the engine that saves the
image: that takes most of the time where little is sent.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """One run: seconds, CPU seconds of the client, and bytes: that all nodes together received, and of this
    machine.
    """

    benchmark: str
    contestant: str
    seconds: float
    cpu: float
    received: int
    sent: int


def as_section(found: Sequence[Push], machine: str = "one machine") -> str:
    """The table of medians, and how they were measured."""
    groups: dict[tuple[str, str], list[Push]] = {}
    for push in found:
        groups.setdefault((push.benchmark, push.contestant), []).append(push)
    rows = [
        f"| {benchmark} | {contestant} | {median(push.seconds for push in runs):.1f} s "
        f"| {median(push.cpu for push in runs):.1f} s | {_bytes(median(push.received for push in runs))} "
        f"| {_bytes(median(push.sent for push in runs))} |"
        for (benchmark, contestant), runs in sorted(groups.items(), key=lambda item: item[0][0])
    ]
    head = "| | | time | client CPU | received | from here |\n| --- | --- | --: | --: | --: | --: |"
    runs = max((len(runs) for runs in groups.values()), default=0)
    return "\n".join([TITLE, "", head, *rows, "", HOW.format(runs=runs, nodes=_most(found), machine=machine)])


def _most(found: Sequence[Push]) -> int:
    """To how many nodes at once."""
    return max((int(count) for push in found for count in NODES.findall(push.benchmark)), default=1)


def with_section(page: str, section: str) -> str:
    """The page with this section in place of the one of an earlier run, which is its last."""
    return page.partition(TITLE)[0].rstrip("\n") + "\n\n" + section


def as_json(found: Sequence[Push], facts: Facts) -> str:
    """Every run, and with what it was made."""
    return json.dumps({**asdict(facts), "runs": [asdict(push) for push in found]}, indent=1) + "\n"


def _bytes(count: float) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
