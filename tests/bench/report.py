"""Figures as people read them: the table on the terminal, docs/benchmarks.md, and the raw runs. Pure."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from tests.bench.facts import Facts
from tests.bench.measure import Figure

TITLES = {
    "deploy": "Deploying 30 tasks to 3 nodes",
    "again": "Deploying again, nothing to do",
    "lanes": "Effects at once on one node",
    "commands": "Small commands, 3 nodes and 30 tasks",
    "read": "Reading 100 nodes",
}

FIRST = {"deploy": "cube", "again": "cube", "lanes": "cube, 2 at once on a node", "read": "cube nodes, later"}
"""Whom the others of each benchmark are compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """A contestant's median should be at most so many seconds; with `of`, so many times another's median."""

    benchmark: str
    contestant: str
    at_most: float
    of: str = ""


AIMS = (
    Aim(benchmark="deploy", contestant="cube", at_most=1.0, of="docker run by each node"),
    Aim(benchmark="deploy", contestant="cube", at_most=1 / 1.5, of="pyinfra"),
    Aim(benchmark="again", contestant="cube", at_most=0.6),
    Aim(benchmark="read", contestant="cube nodes, the first time", at_most=3.0),
    Aim(benchmark="read", contestant="cube nodes, later", at_most=3.0),
    Aim(benchmark="read", contestant="cube, connections live", at_most=0.8),
    Aim(benchmark="commands", contestant="cube --help", at_most=0.15),
    Aim(benchmark="commands", contestant="cube status", at_most=0.3),
    Aim(benchmark="commands", contestant="cube nodes", at_most=0.4),
)

HOW = """\
## How it was measured

Every figure is the wall time of a whole process, from its start to its end; the tables show the median
of several runs, the quickest and the slowest, and the median of the CPU time that the client itself
took. The contestants take turns (A B C, A B C), so that whatever drifts in the machine meets all of
them. Between two turns every container is removed, and with it Cube's state and Ansible's kept
connections. After each deploy the running containers are counted: who did not do the work is not
measured. The nodes are the lab's: containers with an SSH server and a Docker engine each, all on one
machine, so engines and contestants share its cores. Every single run is in
[fleet.json](benchmarks/fleet.json).

- **cube**: `cube deploy`, with a fresh state file each time. Its containers have the limits that Cube
  gives to every task (memory, CPU, processes, capabilities, size of logs, an init process); those of the
  others are plain.
- **docker run by each node**: ten times `docker run -d` by the node's own command line, one after
  another, on all nodes at once, each over one `ssh`: what one would expect to be the floor. Once plain,
  once with Cube's limits.
- **pyinfra**: ten `docker.container` operations.
- **Ansible**: `community.docker.docker_container` in a loop, 5 forks, `pull: never`. When it runs again
  it finds its connections open.
- **Docker Swarm**: `docker service create --replicas 30 --no-resolve-image` on a swarm that exists
  already. *All run* is when its last task ran; the command returns later, because it watches the tasks
  for a while.
- **Reading**: load, memory, CPU and the list of containers of every node. The first time that `cube
  nodes` sees a node it samples the CPU twice, and never again. pyinfra `exec`; Ansible's `raw` module
  with 50 forks (its other modules need Python on the nodes).

Measured beside others, too: [pushes of images](images.md#what-it-costs), by bytes and seconds;
[requests lost](templates.md#requests-lost-beside-docker-swarm) while a service is updated; and
[placements](scheduling.md#how-quickly-how-tightly).

`make bench` makes this page. `RUNS=3 make bench` is quicker; `ONLY=deploy make bench` runs one part,
prints it, and writes nothing.
"""


def table(figures: Sequence[Figure]) -> str:
    """All benchmarks as Markdown tables, each with ratios to Cube, and then the aims."""
    names = dict.fromkeys(figure.benchmark for figure in figures)
    parts = [_benchmark(name, [figure for figure in figures if figure.benchmark == name]) for name in names]
    return "\n\n".join([*parts, "\n".join(_aims(figures))]) + "\n"


def markdown(figures: Sequence[Figure], facts: Facts) -> str:
    """The page docs/benchmarks.md."""
    versions = ", ".join(f"{name} {number}" for name, number in facts.versions.items())
    load = [value for figure in figures for value in figure.load]
    head = (
        "# Benchmarks\n\n<!-- made by `make bench`; do not edit -->\n\n"
        f"Measured on {facts.day} on one machine with {facts.machine}.\n{versions}.\n"
        f"Its load when runs began: {min(load):.1f} to {max(load):.1f}, median {median(load):.1f}.\n\n"
    )
    return head + table(figures) + "\n" + HOW


def as_json(figures: Sequence[Figure], facts: Facts) -> str:
    """Every single run, in seconds."""
    results = [
        {
            "name": f"{figure.benchmark}: {figure.contestant}",
            "unit": "s",
            "runs": [round(run, 4) for run in figure.runs],
            "client_cpu": [round(seconds, 4) for seconds in figure.cpu],
            "load": [round(value, 2) for value in figure.load],
        }
        for figure in figures
    ]
    return json.dumps({**asdict(facts), "results": results}, indent=1) + "\n"


def figures_of(text: str) -> list[Figure]:
    """What `as_json` wrote."""
    names = [(found, found["name"].partition(": ")) for found in json.loads(text)["results"]]
    return [
        Figure(
            benchmark=benchmark,
            contestant=contestant,
            runs=found["runs"],
            cpu=found["client_cpu"],
            load=found["load"],
        )
        for found, (benchmark, _, contestant) in names
    ]


def _benchmark(name: str, figures: Sequence[Figure]) -> str:
    first = next((figure for figure in figures if figure.contestant == FIRST.get(name)), None)
    lines = [_row(figure, first) for figure in figures]
    head = (
        "| | median | quickest | slowest | client CPU | times Cube |\n| --- | --: | --: | --: | --: | --: |"
    )
    return "\n".join([f"## {TITLES[name]}", "", head, *lines])


def _row(figure: Figure, first: Figure | None) -> str:
    ratio = f"{figure.median / first.median:.2f}" if first else ""
    seconds = [f"{value:.2f} s" for value in (figure.median, min(figure.runs), max(figure.runs))]
    return "| " + " | ".join([figure.contestant, *seconds, f"{median(figure.cpu):.2f} s", ratio]) + " |"


def _aims(figures: Sequence[Figure]) -> Iterator[str]:
    medians = {(figure.benchmark, figure.contestant): figure.median for figure in figures}
    yield from ("## Aims", "", "| aim | measured | |", "| --- | --: | --- |")
    for aim in AIMS:
        measured, other = (medians.get((aim.benchmark, name)) for name in (aim.contestant, aim.of))
        if measured is None or (aim.of and other is None):
            continue
        value = measured / other if other else measured
        unit = f" times {aim.of}" if aim.of else " s"
        verdict = "met" if value <= aim.at_most else "**missed**"
        what = f"{TITLES[aim.benchmark]}: {aim.contestant} at most {aim.at_most:.2f}{unit}"
        yield f"| {what} | {value:.2f} | {verdict} |"
