"""Charts that several sections share: legends, axes, line plots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from panglot.report import svg
from panglot.report.markup import Child, Markup, tag
from panglot.report.names import LanguageName, language
from panglot.report.numbers import written
from panglot.report.scales import Scale, around, decimals, ticks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from panglot.report.curves import Points


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
    items = [tag("li", svg.swatch(number), tag("bdi", name)) for number, name in names]
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
    faint = [svg.line(placed(one.behind), one.number, faint=True) for one in series if one.behind]
    lines = [svg.line(placed(one.points), one.number) for one in series]
    lines += [
        svg.upright(x_scale.share(x), y_scale.share(low), y_scale.share(high), one.number)
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
        tag("svg", [svg.marker(one.number, f"{100 * x:.2f}%", f"{100 - 100 * y:.2f}%")
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
