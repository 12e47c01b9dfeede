"""Plots as PNG files, where matplotlib is installed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cube.errors import InputError


def write(file: Path, draw: Callable[[Any], None]) -> None:
    """Write what `draw` puts on a pair of axes to the file. Raises InputError."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        cure = "Install it beside Cube: pip install 'cube[plot]'"
        raise InputError("matplotlib draws --plot, and is not installed", cure=cure) from None
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    draw(axes)
    axes.legend()
    try:
        figure.savefig(file, format="png", dpi=120)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InputError("the plot cannot be written", where=str(file), why=why) from None
