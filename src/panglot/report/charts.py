"""Charts that several sections share: legends, axes, line plots."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from panglot.report.labels import LanguageName, language, written
from panglot.report.markup import Child, Markup, join, tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from panglot.report.curves import Points


@dataclass(frozen=True)
class Scale:
    """A straight scale from ``low`` to ``high``."""

    low: float
    high: float

    def share(self, value: float) -> float:
        """Return where ``value`` lies, 0 at the low end and 1 at the high end, never outside.

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
    step = _round_step(width / 5)
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
    """Return how many decimals tell ``values`` apart.

    >>> decimals([0.805, 0.81]), decimals([0.2, 0.4]), decimals([100, 200])
    (3, 1, 0)
    """
    return next((n for n in range(9) if all(abs(round(value, n) - value) < 1e-9 for value in values)), 9)


def _round_step(width: float) -> float:
    power = 10.0 ** math.floor(math.log10(width))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= width * 0.999)


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


@dataclass(frozen=True)
class Series:
    """A line of a plot.

    Args:
        name: In the legend.
        number: Tells its colour and shape.
        points: (x, y), rising in x.
        behind: Points to draw faintly behind it, such as those that it smooths.
        ends: Intervals as (x, low, high).
    """

    name: str
    number: int
    points: Points
    behind: Points | None = None
    ends: Sequence[tuple[float, float, float]] = ()


def legend(names: Sequence[tuple[int, str]], note: Child = None) -> Markup:
    """Return which mark stands for which name."""
    items = [tag("li", swatch(number), tag("bdi", name)) for number, name in names]
    return tag("ul", items, tag("li", note, class_="note") if note else None, class_="legend")


def axis(scale: Scale, write: Callable[[float], str]) -> Markup:
    """Return the two ends of a scale, to stand under tracks."""
    return tag(
        "div",
        tag("span", write(scale.low)),
        tag("span", write(scale.high)),
        class_="axis",
        aria_hidden="true",
    )


def language_heading(code: str, *, full: bool = True) -> Markup:
    """Return a language for the head of a row: its code and its name in itself, each in its own direction."""
    named = language(code)
    parts: list[Child] = [tag("span", named.code, class_="code")]
    if full and named.autonym != named.code:
        parts += [" ", autonym(named)]
    return tag("span", *parts, class_="language", title=named.english if named.english != named.code else None)


def autonym(named: LanguageName) -> Markup:
    """Return a language's name in itself, in its own direction."""
    return tag("bdi", named.autonym, dir="auto", lang=named.tag, class_="autonym")


def plot(
    title: str, series: Sequence[Series], *, label: str, x_label: str = "step", names: Sequence[tuple[float, str]] = ()
) -> Markup:
    """Return a line plot as wide as its place, with text that does not shrink with it.

    Args:
        title: What is plotted.
        series: The lines.
        label: What the plot shows, for those who listen.
        x_label: What x counts.
        names: What stands below some x, instead of numbers.
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
        tag("span", written(y, digits=digits), class_="y", style=f"bottom:{100 * y_scale.share(y):.2f}%")
        for y in y_ticks
    ]
    x_labels = [
        tag("span", name, class_="x", style=f"left:{100 * x_scale.share(x):.2f}%") for x, name in names or x_ticks
    ]
    scale = tag(
        "div", y_labels, x_labels, tag("span", x_label, class_="x unit") if not names else None, aria_hidden="true"
    )
    return tag("figure", tag("figcaption", title), tag("div", picture, dots, scale, class_="area"), class_="plot")
