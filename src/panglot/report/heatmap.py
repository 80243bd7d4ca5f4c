"""Heat maps over languages: HTML tables with coloured cells, and the sections of the page that are made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from panglot.report.by_language import (
    Matrix,
    distances,
    matrix,
    mean_by_passage,
    mean_by_question,
    own_share,
    share_key,
    shares,
)
from panglot.report.charts import Scale, around, swatch
from panglot.report.html_tables import language_heading, scrolling, table_to_html
from panglot.report.labels import format_number, language_name
from panglot.report.markup import Child, Markup, beside, folded, section, tag
from panglot.report.results import Dataset, number

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
def color_classes() -> str:
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
    cells: Matrix,
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
        cells: Row language → column language → value. Missing cells stay empty.
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
            [_cell(cells.get(x, {}).get(y), x, y, look) for y in codes],
            tag("td", _format(column[1].get(x), look), class_="margin") if column else None,
        )
        for x in codes
        if x in cells
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


def matrices(dataset: Dataset) -> Markup:
    """Return the heat map of the leading measure, one per model on one scale."""
    key = dataset.leading_measure()
    found = {model: cells for model in dataset.models if (cells := matrix(dataset, model))}
    scale = _around(found)
    if scale is None:
        return Markup("")
    look = Look("s", lambda _x, _y, value: scale.share(value), partial(format_number, digits=2))
    tables = [
        heatmap(
            cells,
            dataset.languages,
            look,
            caption=_caption(dataset, model, f"{key} by language of question and passage"),
            corner=("asked in", "answered in"),
            column=("mean", mean_by_question(cells)),
            row=("mean", mean_by_passage(cells)),
        )
        for model, cells in found.items()
    ]
    explanation = (
        f"{key} of questions in one language over passages in another. The outlined cells are monolingual. "
        "The means exclude them."
    )
    return section("Every pair of languages", explanation, _scale(scale), beside(*tables), wide=len(tables) > 1)


def _around(found: Mapping[str, Matrix]) -> Scale | None:
    values = [value for cells in found.values() for row in cells.values() for value in row.values()]
    return around(values, least=0) if values else None


def _scale(scale: Scale) -> Markup:
    return scale_legend("s", format_number(scale.low, digits=2), format_number(scale.high, digits=2))


def _caption(dataset: Dataset, model: str, text: str) -> Child:
    if len(dataset.models) == 1:
        return text
    place = dataset.models.index(model)
    return [swatch(place), tag("bdi", model), tag("span", f", {text}", class_="quiet")]


# On the scale of colours, one end is eight times a fair share and the other an eighth.
_DOUBLINGS = 3


def language_shares(dataset: Dataset) -> Markup:
    """Return each language's share of the first results, by language of the question."""
    key = share_key(dataset)
    if key is None:
        return Markup("")
    k = key.rpartition("@")[2]
    pool = {
        code: share
        for code in dataset.languages
        if (share := number(dataset.any, "multilingual", "pool_share", code)) is not None
    }

    def place(_x: str, y: str, value: float) -> float:
        fair = pool.get(y)
        return 0.5 + math.log2(max(value, 1e-9) / fair) / (2 * _DOUBLINGS) if fair else 0.5

    look = Look("d", place, lambda value: f"{100 * value:.0f}")
    text = f"Percentage of the first {k} passages in each language"
    tables = [
        heatmap(cells, dataset.languages, look, caption=_caption(dataset, model, text),
                        corner=("asked in", "found in"), row=("pool", pool))
        for model, cells in shares(dataset, key).items()
    ]  # fmt: skip
    explanation = (
        f"How many of the first {k} passages are in the question's own language. The upright line is that language's "
        "share of the pool. A mark on the line means that language makes no difference."
    )
    whole = [beside(*tables), scale_legend("d", "⅛ of its share", "8×", "white: its share of the pool")]
    return section(
        "Which languages come first",
        explanation,
        table_to_html(own_share(dataset, key), "dots"),
        _fold(dataset, "Shares of all languages", whole) if tables else None,
    )


def _fold(dataset: Dataset, text: str, parts: Sequence[Child]) -> Markup:
    """Return heat maps, closed until clicked if there is one for each of several models."""
    return folded(text, *parts) if len(dataset.models) > 1 else tag("div", parts, class_="stack")


def distance_maps(dataset: Dataset) -> Child:
    """Return the heat maps of the distances between the mean embeddings of languages, if there are any."""
    found = distances(dataset, [model for model in dataset.models if model in dataset.figures])
    scale = _around(found)
    if scale is None:
        return None
    look = Look("s", lambda _x, _y, value: scale.share(value), partial(format_number, digits=2))
    text = "Distance between the mean embeddings of two languages"
    tables = [
        heatmap(cells, dataset.languages, look, caption=_caption(dataset, model, text),
                        corner=("from", "to"))
        for model, cells in found.items()
    ]  # fmt: skip
    return _fold(dataset, "Distances between the means of languages", [beside(*tables), _scale(scale)])
