"""Small plots of the scheduler's figures, as SVG text. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape

COLOURS = ("#1f6feb", "#2da44e", "#bf8700", "#cf222e")
WIDTH, LEFT, RIGHT, ROW = 720, 210, 80, 24
HEIGHT, TOP, BOTTOM = 300, 20, 40
POINTS = 240
"""Of how many moments a line is drawn."""


def bars(title: str, shares: Mapping[str, float]) -> str:
    """A bar for each share, 0.5 is 50 %, in the order given."""
    longest = max(shares.values(), default=0) or 1
    height = ROW * (len(shares) + 1) + 8

    def drawn() -> Iterator[str]:
        yield _text(LEFT, 17, title)
        for row, (name, share) in enumerate(shares.items(), 1):
            length = (WIDTH - LEFT - RIGHT) * share / longest
            top = row * ROW
            yield _text(LEFT - 8, top + 17, name, anchor="end")
            yield f'<rect x="{LEFT}" y="{top + 5}" width="{length:.1f}" height="15" fill="{COLOURS[0]}"/>'
            yield _text(LEFT + length + 6, top + 17, f"{share:.2%}")

    return _svg(height, drawn())


def lines(across: str, up: str, curves: Mapping[str, Sequence[float]]) -> str:
    """A line for each curve, all from 0 on, one step across for each value."""
    most = max(max(curve) for curve in curves.values())
    steps = max(len(curve) for curve in curves.values()) - 1
    left, wide, high = 60, WIDTH - 60 - RIGHT, HEIGHT - TOP - BOTTOM

    def drawn() -> Iterator[str]:
        foot = TOP + high
        yield f'<path d="M{left} {TOP}V{foot}H{left + wide}" fill="none" stroke="#8b949e"/>'
        yield _text(left, 14, up)
        yield _text(left + wide, foot + 32, across, anchor="end")
        yield _text(left - 6, TOP + 12, f"{most:,}", anchor="end")
        yield _text(left + wide, foot + 16, f"{steps:,}", anchor="end")
        for row, (name, curve), colour in zip(range(len(curves)), curves.items(), COLOURS, strict=False):
            at = range(0, len(curve), max(len(curve) // POINTS, 1))
            points = " ".join(
                f"{left + wide * step / steps:.1f},{foot - high * curve[step] / most:.1f}" for step in at
            )
            yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
            yield _text(left + wide - 8, foot - 12 - 18 * row, name, anchor="end", colour=colour)

    return _svg(HEIGHT, drawn())


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#57606a") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _svg(height: int, parts: Iterator[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
    back = f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    return "\n".join([f'{head} font-family="sans-serif" font-size="13">', back, *parts, "</svg>", ""])
