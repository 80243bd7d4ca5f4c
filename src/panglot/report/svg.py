"""SVG marks that stay sharp at any width: places are percentages, sizes are pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from panglot.report.markup import Child, Markup, join, tag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from panglot.report.scales import Scale

# Shape tells series apart where colour cannot: around (0, 0), about ten pixels wide.
_SHAPES = (
    "M0-5A5 5 0 1 1 0 5A5 5 0 1 1 0-5Z",  # circle
    "M-4.4-4.4H4.4V4.4H-4.4Z",  # square
    "M0-6.2L6.2 0L0 6.2L-6.2 0Z",  # diamond
    "M0-5.6L5.6 4.4H-5.6Z",  # triangle
    "M0 5.6L5.6-4.4H-5.6Z",  # triangle, point down
    "M-2-5.5H2V-2H5.5V2H2V5.5H-2V2H-5.5V-2H-2Z",  # plus
)
COLOURS = 8


def marker(series: int, x: str = "50%", y: str = "50%", title: str | None = None) -> Markup:
    """Return the mark of a series: its shape in its colour, centred at (x, y)."""
    path = tag("path", tag("title", title) if title else None, d=_SHAPES[series % len(_SHAPES)])
    return tag("svg", path, x=x, y=y, class_=f"mark k{series % COLOURS}", overflow="visible")


def swatch(series: int) -> Markup:
    """Return the mark of a series on its own, for a legend or before a name."""
    return tag("svg", marker(series), class_="swatch", width=14, height=14, aria_hidden="true")


def track(scale: Scale, marks: Iterable[Child], *, rules: Iterable[float] = (), height: int = 20) -> Markup:
    """Return one row of a dot plot as wide as its cell.

    Its numbers stand in the same row of the table, so it is hidden from those who listen.

    Args:
        scale: From figures to the width.
        marks: Drawn in their order.
        rules: Where thin lines cross the row, so that rows read as one plot.
        height: In pixels.
    """
    lines = [tag("line", x1=scale.percent(at), x2=scale.percent(at), y1="0", y2="100%", class_="rule") for at in rules]
    base = tag("line", x1="0", x2="100%", y1="50%", y2="50%", class_="base")
    return tag("svg", base, lines, join(marks), class_="track", width="100%", height=height, aria_hidden="true")


def whisker(scale: Scale, low: float, high: float, series: int) -> Markup:
    """Return the line from one end of an interval to the other."""
    ends = {"x1": scale.percent(low), "x2": scale.percent(high)}
    return tag("line", **ends, y1="50%", y2="50%", class_=f"whisker k{series % COLOURS}")


def span(scale: Scale, start: float, end: float, series: int) -> Markup:
    """Return the thin line that ties two marks of one row."""
    ends = {"x1": scale.percent(start), "x2": scale.percent(end)}
    return tag("line", **ends, y1="50%", y2="50%", class_=f"span k{series % COLOURS}")


def notch(scale: Scale, at: float) -> Markup:
    """Return the upright line of what would be fair, or chance."""
    place = scale.percent(at)
    return tag("line", x1=place, x2=place, y1="15%", y2="85%", class_="notch")


def line(points: Iterable[tuple[float, float]], series: int, *, faint: bool = False) -> Markup:
    """Return a line through ``points``, shares of 1 from the lower left, in a picture of 100 × 100."""
    places = " ".join(f"{100 * x:.2f},{100 - 100 * y:.2f}" for x, y in points)
    look = f"curve k{series % COLOURS}" + (" faint" if faint else "")
    return tag("polyline", points=places, class_=look, vector_effect="non-scaling-stroke")


def upright(x: float, low: float, high: float, series: int) -> Markup:
    """Return the upright line of an interval, places as in :func:`line`."""
    ends = {
        "x1": f"{100 * x:.2f}",
        "x2": f"{100 * x:.2f}",
        "y1": f"{100 - 100 * low:.2f}",
        "y2": f"{100 - 100 * high:.2f}",
    }
    return tag("line", **ends, class_=f"upright k{series % COLOURS}", vector_effect="non-scaling-stroke")
