"""A matrix over languages as an HTML table with coloured cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from panglot.report.html_tables import language_heading, scrolling
from panglot.report.labels import language_name
from panglot.report.markup import Child, Markup, tag

Colour = tuple[int, int, int]

# Cividis (Nunez, Anderton, Renslow 2018): from blue to yellow with evenly rising lightness, and equal to readers with
# red-green blindness. Colours between the eleven stops are mixed in sRGB.
_CIVIDIS = "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 f4dc43 fee838".split()  # noqa: SIM905
# From blue over near white to orange: less than a fair share, a fair share, more.
_DIVERGING = ["1f5a9c", "4a86bf", "8ab3d9", "c6dbec", "f3f1ee", "f8d9b8", "f0b070", "dc7f2b", "a85208"]

STEPS = 41


def sequential(share: float) -> Colour:
    """Return the colour at ``share`` of 1 on the scale from dark blue (0) to yellow (1)."""
    return _between(_CIVIDIS, share)


def diverging(share: float) -> Colour:
    """Return the colour at ``share``: blue (0), near white (.5), orange (1)."""
    return _between(_DIVERGING, share)


def css(colour: Colour) -> str:
    """Return a colour as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def ink(colour: Colour) -> str:
    """Return the colour of text on ``colour``: black or white, whichever stands out more.

    One of the two has a contrast of at least 4.58 on every colour; WCAG's level AA requires 4.5.
    """
    black, white = (0, 0, 0), (255, 255, 255)
    return css(black if contrast(black, colour) >= contrast(white, colour) else white)


def contrast(one: Colour, other: Colour) -> float:
    """Return the contrast ratio of WCAG 2, from 1 to 21.

    >>> round(contrast((0, 0, 0), (255, 255, 255)))
    21
    """
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def parse(text: str) -> Colour:
    """Return the colour that ``#rrggbb`` or ``rrggbb`` writes."""
    text = text.removeprefix("#")
    return int(text[:2], 16), int(text[2:4], 16), int(text[4:6], 16)


def step(share: float) -> int:
    """Return the number of the scale's CSS class for ``share``, clipped to 0 and 1."""
    return round(min(1.0, max(0.0, share)) * (STEPS - 1))


@lru_cache(maxsize=1)
def stylesheet() -> str:
    """Return the classes ``s0`` to ``s40`` (sequential) and ``d0`` to ``d40`` (diverging): ground and ink."""
    rules: list[str] = []
    for letter, scale in (("s", sequential), ("d", diverging)):
        for place in range(STEPS):
            colour = scale(place / (STEPS - 1))
            rules.append(f".{letter}{place}{{background:{css(colour)};color:{ink(colour)}}}")
    return "".join(rules)


def gradient(letter: str) -> str:
    """Return the CSS gradient of a scale, ``s`` or ``d``, from left to right."""
    scale = sequential if letter == "s" else diverging
    return f"linear-gradient(90deg,{','.join(css(scale(place / 10)) for place in range(11))})"


def _between(stops: Sequence[str], share: float) -> Colour:
    place = min(1.0, max(0.0, share)) * (len(stops) - 1)
    low = min(int(place), len(stops) - 2)
    part = place - low
    a, b = parse(stops[low]), parse(stops[low + 1])
    return (
        round(a[0] + part * (b[0] - a[0])),
        round(a[1] + part * (b[1] - a[1])),
        round(a[2] + part * (b[2] - a[2])),
    )


def _luminance(colour: Colour) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (channel / 255 for channel in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


Matrix = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Look:
    """How the cells of a heat map look.

    Args:
        letter: ``s`` for the scale from blue to yellow, ``d`` for blue over white to orange.
        share: From (row, column, value) to a place on the scale, 0 to 1.
        write: From a value to the text of its cell.
        diagonal: Whether the diagonal is outlined.
    """

    letter: str
    share: Callable[[str, str, float], float]
    write: Callable[[float], str]
    diagonal: bool = True


def heatmap(
    matrix: Matrix,
    codes: Sequence[str],
    look: Look,
    *,
    caption: Child,
    corner: tuple[str, str],
    column: tuple[str, Mapping[str, float]] | None = None,
    row: tuple[str, Mapping[str, float]] | None = None,
) -> Markup:
    """Return a matrix as a table that scrolls sideways in its container.

    Args:
        matrix: Row language → column language → value. Missing cells stay empty.
        codes: The languages, in order.
        look: Colours and numbers.
        caption: What the table shows.
        corner: What rows and columns are.
        column: A heading and a value per row language, for a last column without colour.
        row: A heading and a value per column language, for a last row without colour.
    """
    head = tag(
        "tr",
        tag("td", f"{corner[0]} ↓ ", tag("span", f"{corner[1]} →"), class_="corner"),
        [_column_heading(code) for code in codes],
        tag("th", column[0], scope="col", class_="margin") if column else None,
    )
    body = [
        tag(
            "tr",
            tag("th", language_heading(x), scope="row"),
            [_cell(matrix.get(x, {}).get(y), x, y, look) for y in codes],
            tag("td", _format(column[1].get(x), look), class_="margin") if column else None,
        )
        for x in codes
        if x in matrix
    ]
    foot = (
        tag(
            "tfoot",
            tag(
                "tr",
                tag("th", row[0], scope="row"),
                [tag("td", _format(row[1].get(y), look)) for y in codes],
                tag("td") if column else None,
            ),
        )
        if row
        else None
    )
    table = tag(
        "table",
        tag("caption", tag("span", caption, class_="pin")),
        tag("thead", head),
        tag("tbody", body),
        foot,
        class_="heat",
    )
    return scrolling(table)


def scale_legend(letter: str, low: str, high: str, middle: str | None = None) -> Markup:
    """Return a colour scale with labels for its ends and its middle."""
    bar = tag("span", class_="bar", style=f"background:{gradient(letter)}")
    ends = [tag("span", low), bar, tag("span", high)]
    note = tag("span", f"({middle})", class_="note") if middle else None
    return tag("div", ends, note, class_="scale")


def _column_heading(code: str) -> Markup:
    named = language_name(code)
    return tag("th", tag("abbr", named.code, title=named.english), scope="col")


def _cell(value: float | None, x: str, y: str, look: Look) -> Markup:
    if value is None:
        return tag("td", class_="empty")
    look_class = f"{look.letter}{step(look.share(x, y, value))}"
    return tag("td", look.write(value), class_=f"{look_class} own" if x == y and look.diagonal else look_class)


def _format(value: float | None, look: Look) -> str:
    return "" if value is None else look.write(value)
