"""How an amount went over time, in one line of text. Pure."""

from collections.abc import Iterable

STEPS = "▁▂▃▄▅▆▇█"


def course(
    points: Iterable[tuple[float, float]], *, since: float, until: float, top: float, width: int
) -> str:
    """The highest of the points (when, how much) in each of `width` parts of the time, as a share of `top`.

    A part of which nothing is known is blank.
    """
    highest: dict[int, float] = {}
    length = max(until - since, 1.0) / width
    for at, amount in points:
        if since <= at <= until:
            part = min(int((at - since) / length), width - 1)
            highest[part] = max(amount, highest.get(part, 0.0))
    return "".join(_step(highest[part], top) if part in highest else " " for part in range(width))


def _step(amount: float, top: float) -> str:
    share = min(max(amount / top, 0.0), 1.0) if top else 0.0
    return STEPS[min(int(share * len(STEPS)), len(STEPS) - 1)]
