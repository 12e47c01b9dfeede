"""The scheduler's figures as people read them: tables between markers in docs/scheduling.md. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

BEGIN = "<!-- figures: made by make bench-scheduler -->"
END = "<!-- end of figures -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Every run of one measurement. `must` and `stretch`: what its median should reach; None: nothing.

    `is_most`: the figure should be at most that, else at least.
    """

    table: str
    name: str
    unit: str
    runs: Sequence[float]
    must: float | None = None
    stretch: float | None = None
    is_most: bool = False

    @property
    def median(self) -> float:
        """The run that half of the others stay below."""
        return median(self.runs)

    def reaches(self, aim: float | None) -> bool:
        """The median is as good as that; nothing reaches an aim that there is none of."""
        return aim is not None and (self.median <= aim if self.is_most else self.median >= aim)

    @property
    def verdict(self) -> str:
        """Which of its aims the median reaches, in a word; empty: it has none."""
        if self.must is not None and not self.reaches(self.must):
            return "**missed**"
        if self.stretch is not None:
            return "stretch" if self.reaches(self.stretch) else "must" if self.must is not None else "none"
        return "must" if self.must is not None else ""


TABLES: Mapping[str, str] = {
    "speed": "Placements a second, one by one, about 100 classes of requests",
    "ratio": "Times as quick as the naive three steps, measured in the same run",
    "shapes": "Other shapes of work",
    "packing": "Nodes needed for Alibaba's trace of 2023, over the fewest that have the CPU and the memory",
    "identical": "Identical nodes needed",
}


def as_json(results: Sequence[Result], facts: Mapping[str, str]) -> str:
    """Every single run."""
    return json.dumps({"machine": facts, "results": [asdict(found) for found in results]}, indent=1) + "\n"


def from_json(text: str) -> list[Result]:
    """What `as_json` wrote."""
    return [Result(**found) for found in json.loads(text)["results"]]


def section(results: Sequence[Result], facts: Mapping[str, str]) -> str:
    """The tables, and on what they were measured."""
    lines = [
        f"Measured on {facts['machine']}, one process on one core, its CPU time, Python {facts['python']}.",
        "",
        *_missed(results),
    ]
    for table, title in TABLES.items():
        rows = [found for found in results if found.table == table]
        if rows:
            lines += ["", f"**{title}**", "", *_table(rows)]
    return "\n".join(lines)


def with_section(page: str, text: str) -> str:
    """The page with that text between its markers. Raises ValueError where it has none."""
    before, after = page.index(BEGIN) + len(BEGIN), page.index(END)
    return f"{page[:before]}\n\n{text}\n\n{page[after:]}"


def _missed(results: Sequence[Result]) -> Iterator[str]:
    """How many of the aims are not reached; what must be is named."""
    for word, aims in (
        ("must", [(found, found.must) for found in results]),
        ("stretch", [(found, found.stretch) for found in results]),
    ):
        asked = [(found, aim) for found, aim in aims if aim is not None]
        missed = [found for found, aim in asked if not found.reaches(aim)]
        names = f": {'; '.join(found.name for found in missed)}" if word == "must" and missed else ""
        yield f"- Of {len(asked)} figures with a *{word}* {len(missed)} miss it{names}."


def _table(rows: Sequence[Result]) -> Iterator[str]:
    yield "| | median | must | stretch | reached | runs, least to most |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in rows:
        value = _shown(row.median, row.unit)
        aims = " | ".join("" if aim is None else _shown(aim, row.unit) for aim in (row.must, row.stretch))
        spread = f"{_shown(min(row.runs), row.unit)} to {_shown(max(row.runs), row.unit)}"
        yield f"| {row.name} | {value} | {aims} | {row.verdict} | {spread} ({len(row.runs)}) |"


def _shown(value: float, unit: str) -> str:
    match unit:
        case "x":
            return f"{value:,.0f}x"
        case "of the bound":
            return f"{value:.4f}"
        case "/s" | "nodes":
            return f"{value:,.0f}"
        case _:
            return f"{value:.3f} {unit}"
