"""Whether somebody still sweeps the fleet, judged by how often that was done."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from cube.cli import render
from cube.store.rows import Sweep

SWEEPS = 10
"""So many of the newest sweeps tell how often they usually come."""

FEWEST = 4
"""With fewer there is no habit to be late by."""

GRACE = 600.0
"""Seconds for which no sweep is called late."""


def lateness(sweeps: Sequence[Sweep], now: float) -> str:
    """A warning where the last sweep is longer ago than three usual gaps; empty: there is none."""
    if len(sweeps) < FEWEST:
        return ""
    starts = sorted(sweep.started for sweep in sweeps)
    usual = median(later - earlier for earlier, later in pairwise(starts))
    if now - starts[-1] <= max(3 * usual, GRACE):
        return ""
    usually = f"they used to come every {render.age(0.0, usual)}"
    return (
        f"the last sweep is {render.age(starts[-1], now)} ago, and {usually}; see: cube cron install --help"
    )
