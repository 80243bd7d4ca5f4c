"""Drawings of the page: dot plots in table rows, line plots, legends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from panglot.report.labels import format_number
from panglot.report.markup import Child, Markup, tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Scale:
    """A linear scale from ``low`` to ``high``."""

    low: float
    high: float

    def share(self, value: float) -> float:
        """Return the position of ``value``: 0 at the low end, 1 at the high end, never outside.

        >>> Scale(0, 4).share(1), Scale(0, 4).share(9), Scale(2, 2).share(2)
        (0.25, 1.0, 0.5)
        """
        if self.high <= self.low:
            return 0.5
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def percent(self, value: float) -> str:
        """Return the place of ``value`` as a CSS percentage."""
        return f"{100 * self.share(value):.2f}%"


def around(values: Iterable[float], *, least: float | None = None, most: float | None = None) -> Scale:
    """Return a scale with round ends around ``values``, within ``least`` and ``most``.

    >>> around([0.783, 0.812], least=0, most=1)
    Scale(low=0.78, high=0.82)
    >>> around([309, 1287], least=0)
    Scale(low=200.0, high=1400.0)
    """
    known = list(values)
    if not known:
        return Scale(0.0, 1.0)
    low, high = min(known), max(known)
    width = (high - low) or abs(high) * 0.1 or 1.0
    # A width of almost nothing has no logarithm.
    step = _round_step(max(width / 5, 1e-300))
    bottom, top = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    if least is not None:
        bottom = max(bottom, least)
    if most is not None:
        top = min(top, most)
    return Scale(round(bottom, 10), round(top, 10))


def ticks(scale: Scale, most: int = 5) -> Sequence[float]:
    """Return at most about ``most`` round values within ``scale``.

    >>> ticks(Scale(0, 1), 5)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    width = scale.high - scale.low
    if width <= 0:
        return [scale.low]
    step = _round_step(width / most)
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    return [round(place * step, 10) for place in range(first, last + 1)]


def decimals(values: Sequence[float]) -> int:
    """Return how many decimals distinguish ``values``.

    >>> decimals([0.805, 0.81]), decimals([0.2, 0.4]), decimals([100, 200])
    (3, 1, 0)
    """
    return next((n for n in range(9) if all(abs(round(value, n) - value) < 1e-9 for value in values)), 9)


def _round_step(width: float) -> float:
    power = 10.0 ** math.floor(math.log10(width))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= width * 0.999)


# Shapes distinguish series where colour cannot. Each is centred at (0, 0) and about ten pixels wide.
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
    """Return the mark of a series by itself, for a legend or before a name."""
    return tag("svg", marker(series), class_="swatch", width=14, height=14, aria_hidden="true")


@dataclass(frozen=True)
class Mark:
    """One figure on a track.

    Args:
        series: Number of the model, or of whatever the mark stands for.
        value: Where it lies.
        low: Lower end of its interval.
        high: Upper end of its interval.
        title: What a browser shows while the pointer is over it.
    """

    series: int
    value: float
    low: float | None = None
    high: float | None = None
    title: str | None = None


@dataclass(frozen=True)
class Track:
    """The figures of one row of a table as a dot plot.

    Args:
        scale: From figures to the width.
        marks: Drawn in their order.
        spans: Thin lines as (start, end, series).
        notch: Where an upright line shows what would be fair, or chance.
        rules: Where faint lines cross the row, so that the rows read as one plot.
    """

    scale: Scale
    marks: tuple[Mark, ...]
    spans: tuple[tuple[float, float, int], ...] = ()
    notch: float | None = None
    rules: tuple[float, ...] = ()


def draw_track(track: Track, height: int = 20) -> Markup:
    """Return a track as wide as its cell.

    The same figures are text in the same row, so the drawing is hidden from screen readers.
    """
    at = track.scale.percent
    parts: list[Child] = [
        tag("line", x1=at(rule), x2=at(rule), y1="0", y2="100%", class_="rule") for rule in track.rules
    ]
    if track.notch is not None:
        parts.append(tag("line", x1=at(track.notch), x2=at(track.notch), y1="15%", y2="85%", class_="notch"))
    parts += [
        tag("line", x1=at(start), x2=at(end), y1="50%", y2="50%", class_=f"span k{series % COLOURS}")
        for start, end, series in track.spans
    ]
    for mark in track.marks:
        if mark.low is not None and mark.high is not None:
            look = f"whisker k{mark.series % COLOURS}"
            parts.append(tag("line", x1=at(mark.low), x2=at(mark.high), y1="50%", y2="50%", class_=look))
        parts.append(marker(mark.series, at(mark.value), title=mark.title))
    base = tag("line", x1="0", x2="100%", y1="50%", y2="50%", class_="base")
    return tag("svg", base, parts, class_="track", width="100%", height=height, aria_hidden="true")


def line(points: Iterable[tuple[float, float]], series: int, *, faint: bool = False) -> Markup:
    """Return a line through ``points``, which are between 0 and 1 from the lower left, in a box of 100 × 100."""
    places = " ".join(f"{100 * x:.2f},{100 - 100 * y:.2f}" for x, y in points)
    look = f"curve k{series % COLOURS}" + (" faint" if faint else "")
    return tag("polyline", points=places, class_=look, vector_effect="non-scaling-stroke")


def upright(x: float, low: float, high: float, series: int) -> Markup:
    """Return the upright line of an interval, in the coordinates of :func:`line`."""
    ends = {
        "x1": f"{100 * x:.2f}",
        "x2": f"{100 * x:.2f}",
        "y1": f"{100 - 100 * low:.2f}",
        "y2": f"{100 - 100 * high:.2f}",
    }
    return tag("line", **ends, class_=f"upright k{series % COLOURS}", vector_effect="non-scaling-stroke")


@dataclass(frozen=True)
class Series:
    """A line of a plot.

    Args:
        name: Its name in the legend.
        number: Selects its colour and shape.
        points: (x, y) with rising x.
        behind: Points to draw faintly behind it, such as those before smoothing.
        ends: Intervals as (x, low, high).
    """

    name: str
    number: int
    points: Points
    behind: Points | None = None
    ends: Sequence[tuple[float, float, float]] = ()


def legend(names: Sequence[tuple[int, str]], note: Child = None) -> Markup:
    """Return a legend of (number of the series, name)."""
    items = [tag("li", swatch(number), tag("bdi", name)) for number, name in names]
    return tag("ul", items, tag("li", note, class_="note") if note else None, class_="legend")


def plot(
    title: str, series: Sequence[Series], *, label: str, x_label: str = "step", names: Sequence[tuple[float, str]] = ()
) -> Markup:
    """Return a line plot as wide as its container, with text that keeps its size.

    Args:
        title: What is plotted.
        series: The lines.
        label: What the plot shows, for screen readers.
        x_label: What x counts.
        names: Labels (x, text) below the plot, instead of numbers.
    """
    every = [point for one in series for point in one.points]
    seen = every + [point for one in series for point in one.behind or ()]
    seen += [(x, end) for one in series for x, *both in one.ends for end in both]
    across = [x for x, _ in [*every, *names]]
    x_scale = Scale(min(across), max(across))
    y_scale = around(y for _, y in seen)

    def placed(points: Points) -> Points:
        return [(x_scale.share(x), y_scale.share(y)) for x, y in points]

    y_ticks = list(ticks(y_scale, 4))
    digits = max(2 if y_scale.high < 10 else 0, decimals(y_ticks))
    x_ticks = [(x, f"{x:,.0f}") for x in ticks(x_scale, 4) if x_scale.share(x) <= 0.97]
    rules = [
        tag(
            "line", x1=0, x2=100, y1=100 - 100 * y_scale.share(y), y2=100 - 100 * y_scale.share(y),
            class_="grid", vector_effect="non-scaling-stroke",
        )
        for y in y_ticks
    ]  # fmt: skip
    faint = [line(placed(one.behind), one.number, faint=True) for one in series if one.behind]
    lines = [line(placed(one.points), one.number) for one in series]
    lines += [
        upright(x_scale.share(x), y_scale.share(low), y_scale.share(high), one.number)
        for one in series
        for x, low, high in one.ends
    ]
    picture = tag(
        "svg",
        rules,
        faint,
        lines,
        viewBox="0 0 100 100",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )
    dots = [
        tag("svg", [marker(one.number, f"{100 * x:.2f}%", f"{100 - 100 * y:.2f}%")
                    for x, y in placed(one.points[-1:] if len(one.points) > 12 else one.points)],
            class_="dots", aria_hidden="true")
        for one in series
    ]  # fmt: skip
    y_labels = [
        tag("span", format_number(y, digits=digits), class_="y", style=f"bottom:{100 * y_scale.share(y):.2f}%")
        for y in y_ticks
    ]
    x_labels = [
        tag("span", name, class_="x", style=f"left:{100 * x_scale.share(x):.2f}%") for x, name in names or x_ticks
    ]
    scale = tag(
        "div", y_labels, x_labels, tag("span", x_label, class_="x unit") if not names else None, aria_hidden="true"
    )
    return tag("figure", tag("figcaption", title), tag("div", picture, dots, scale, class_="area"), class_="plot")
