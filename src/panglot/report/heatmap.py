"""Drawings over languages: heat maps, which are HTML tables with coloured cells, and how languages flow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from panglot.report.dataset_tables import own_share
from panglot.report.evaluations import (
    Dataset,
    Matrix,
    distances,
    matrix,
    mean_by_passage,
    mean_by_question,
    number,
    share_key,
    shares,
)
from panglot.report.labels import format_number, language_name, percent
from panglot.report.markup import Child, Markup, beside, language_heading, scroll, section, swatch, table_to_html, tag
from panglot.report.tables import Scale, around, decimals

Colour = tuple[int, int, int]

# Cividis (Nunez, Anderton, Renslow 2018): from blue to yellow with evenly rising lightness, and equal to readers with
# red-green blindness. Colours between the eleven stops are mixed in sRGB.
_CIVIDIS = "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 f4dc43 fee838".split()  # noqa: SIM905
# From blue over near white to orange: less than a fair share, a fair share, more.
_DIVERGING = ["1f5a9c", "4a86bf", "8ab3d9", "c6dbec", "f3f1ee", "f8d9b8", "f0b070", "dc7f2b", "a85208"]

_SCALES = {"s": _CIVIDIS, "d": _DIVERGING}
STEPS = 41
_DENSE = 12  # Languages beyond which a phone has no room for figures in cells.
_MOST = 12  # Languages with a place of their own in a flow. The rest share one.
_OTHER = "…"
_LINE = 0.8  # Height of a label of a flow, as a share of the room of one language.


def colour(letter: str, share: float) -> Colour:
    """Return the colour at ``share`` of 1 on a scale.

    ``s`` is sequential, from dark blue (0) to yellow (1). ``d`` is diverging: blue (0), near white (.5), orange (1).
    """
    stops = _SCALES[letter]
    place = min(1.0, max(0.0, share)) * (len(stops) - 1)
    low = min(int(place), len(stops) - 2)
    part = place - low
    red, green, blue = (
        round(a + part * (b - a)) for a, b in zip(parse(stops[low]), parse(stops[low + 1]), strict=True)
    )
    return red, green, blue


def _css(colour: Colour) -> str:
    """Return a colour as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _ink(colour: Colour) -> str:
    """Return the colour of text on ``colour``: black or white, whichever stands out more.

    One of the two has a contrast of at least 4.58 on every colour; WCAG's level AA requires 4.5.
    """
    black, white = (0, 0, 0), (255, 255, 255)
    return _css(black if contrast(black, colour) >= contrast(white, colour) else white)


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


def _step(share: float) -> int:
    """Return the number of the scale's CSS class for ``share``, clipped to 0 and 1."""
    return round(min(1.0, max(0.0, share)) * (STEPS - 1))


@lru_cache(maxsize=1)
def color_classes() -> str:
    """Return the classes ``s0`` to ``s40`` (sequential) and ``d0`` to ``d40`` (diverging): ground and ink."""
    colours = {f"{letter}{n}": colour(letter, n / (STEPS - 1)) for letter in _SCALES for n in range(STEPS)}
    return "".join(f".{name}{{background:{_css(each)};color:{_ink(each)}}}" for name, each in colours.items())


def _luminance(colour: Colour) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (channel / 255 for channel in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@dataclass(frozen=True)
class Look:
    """How the cells of a heat map look: the scale's letter, the place on it of (row, column, value), and the text."""

    letter: str
    share: Callable[[str, str, float], float]
    write: Callable[[float], str]


def _heatmap(
    cells: Matrix, codes: Sequence[str], look: Look, *, caption: Child, corner: tuple[str, str],
    column: tuple[str, Mapping[str, float]] | None = None, row: tuple[str, Mapping[str, float]] | None = None,
) -> Markup:  # fmt: skip
    """Return a matrix as a table that scrolls sideways in its container. Missing cells stay empty.

    ``corner`` says what rows and columns are. ``column`` is a heading and a value per row language, for a last column
    without colour, and ``row`` the same for a last row.
    """

    def margin(values: Mapping[str, float], code: str, class_: str | None = None) -> Markup:
        return tag("td", look.write(values[code]) if code in values else "", class_=class_)

    def cell(x: str, y: str) -> Markup:
        if (value := cells[x].get(y)) is None:
            return tag("td", class_="empty")
        # The outlined cells are those of one language.
        own = " own" if x == y else ""
        return tag("td", look.write(value), class_=f"{look.letter}{_step(look.share(x, y, value))}{own}")

    head = tag(
        "tr",
        tag("td", f"{corner[0]} ↓ ", tag("span", f"{corner[1]} →"), class_="corner"),
        [tag("th", tag("abbr", language_name(y).code, title=language_name(y).english), scope="col") for y in codes],
        tag("th", column[0], scope="col", class_="margin") if column else None,
    )
    body = [
        tag("tr", tag("th", language_heading(x), scope="row"), [cell(x, y) for y in codes],
            margin(column[1], x, "margin") if column else None)
        for x in codes
        if x in cells
    ]  # fmt: skip
    foot = None
    if row:
        values = [margin(row[1], y) for y in codes]
        last = tag("td") if column else None
        foot = tag("tfoot", tag("tr", tag("th", row[0], scope="row"), values, last))
    title = tag("caption", tag("span", caption, class_="pin"))
    # On a phone, many languages leave room for colours only. Other tables have the figures.
    look_ = "heat dense" if len(codes) > _DENSE else "heat"
    return scroll(tag("table", title, tag("thead", head), tag("tbody", body), foot, class_=look_))


def _scale_legend(letter: str, low: str, high: str, middle: str | None = None) -> Markup:
    """Return a colour scale with labels for its ends and its middle."""
    gradient = ",".join(_css(colour(letter, place / 10)) for place in range(11))
    bar = tag("span", class_="bar", style=f"background:linear-gradient(90deg,{gradient})")
    note = tag("span", f"({middle})", class_="note") if middle else None
    return tag("div", tag("span", low), bar, tag("span", high), note, class_="scale")


def matrices(dataset: Dataset) -> Markup:
    """Return the heat map of the leading measure, one per model on one scale."""
    key = dataset.leading_measure()
    found = {model: cells for model in dataset.models if (cells := matrix(dataset, model))}
    if (shared := _shared_scale(found)) is None:
        return Markup("")
    look, legend = shared
    tables = [
        _heatmap(cells, dataset.languages, look, corner=("asked in", "answered in"),
                caption=_caption(dataset, model, f"{key} by language of question and passage"),
                column=("mean", mean_by_question(cells)), row=("mean", mean_by_passage(cells)))
        for model, cells in found.items()
    ]  # fmt: skip
    explanation = (
        f"{key} of questions in one language over passages in another. The outlined cells are monolingual. "
        "The means exclude them."
    )
    return section("Every pair of languages", explanation, legend, beside(*tables), wide=len(tables) > 1)


def _shared_scale(found: Mapping[str, Matrix], *, scores: bool = True) -> tuple[Look, Markup] | None:
    """Return the look of heat maps that can be compared with each other, and its legend. Scores go from 0 to 1."""
    values = [value for cells in found.values() for row in cells.values() for value in row.values()]
    if not values:
        return None
    scale = Scale(0, 1 if scores else around([0.0, *values]).high)
    # Small distances have the decimals that the end of their scale has.
    write = partial(format_number, digits=max(2, decimals(scale.ends)))
    return Look("s", lambda _x, _y, value: scale.share(value), write), _scale_legend("s", *map(write, scale.ends))


def _caption(dataset: Dataset, model: str, text: str) -> Child:
    if len(dataset.models) == 1:
        return text
    return [swatch(dataset.models.index(model)), tag("bdi", model), tag("span", f", {text}", class_="quiet")]


def language_shares(dataset: Dataset) -> Markup:
    """Return each language's share of the first results, by language of the question."""
    key = share_key(dataset)
    if key is None:
        return Markup("")
    k = key.rpartition("@")[2]
    fair = {code: number(dataset.any, "multilingual", "pool_share", code) for code in dataset.languages}
    pool = {code: share for code, share in fair.items() if share is not None}

    # On the scale of colours, one end is eight times a fair share and the other an eighth.
    doublings = 3

    def place(_x: str, y: str, value: float) -> float:
        # A share of 0 has no logarithm.
        return 0.5 + math.log2(max(value, 1e-9) / pool[y]) / (2 * doublings) if pool.get(y) else 0.5

    look = Look("d", place, lambda value: percent(value).removesuffix("%"))
    text = f"Percentage of the first {k} passages in each language"
    tables = [
        _heatmap(cells, dataset.languages, look, caption=_caption(dataset, model, text),
                corner=("asked in", "found in"), row=("pool", pool))
        for model, cells in shares(dataset, key).items()
    ]  # fmt: skip
    explanation = (
        f"How many of the first {k} passages are in the question's own language. The upright line is that language's "
        "share of the pool. A mark on the line means that language makes no difference."
    )
    whole = [beside(*tables), _scale_legend("d", "⅛ of its share", "8×", "white: its share of the pool")]
    return section("Which languages come first", explanation,
                   table_to_html(own_share(dataset, key), "dots"),
                   _fold(dataset, "Shares of all languages", whole) if tables else None)  # fmt: skip


def _fold(dataset: Dataset, text: str, parts: Sequence[Child]) -> Markup:
    """Return heat maps, closed until clicked if there is one for each of several models."""
    return tag("details", tag("summary", text), parts) if len(dataset.models) > 1 else tag("div", parts, class_="stack")


def distance_maps(dataset: Dataset) -> Child:
    """Return the heat maps of the distances between the mean embeddings of languages, if there are any."""
    found = distances(dataset)
    if (shared := _shared_scale(found, scores=False)) is None:
        return None
    look, legend = shared
    text = "Distance between the mean embeddings of two languages"
    tables = [
        _heatmap(cells, dataset.languages, look, caption=_caption(dataset, model, text), corner=("from", "to"))
        for model, cells in found.items()
    ]
    return _fold(dataset, "Distances between the means of languages", [beside(*tables), legend])


def flow(title: Child, shares: Matrix, codes: Sequence[str]) -> Markup:
    """Return a figure of two columns of languages with bands between them, in the same order on both sides.

    A band from x to y is as thick as the mean share of y among the first results of queries in x. Bands from a language
    to itself stand out.

    Args:
        title: What it shows.
        shares: Language of the query → language of the result → share.
        codes: All languages, in order. Those after the first twelve are drawn as one.
    """
    asked = [code for code in codes if code in shares]
    names = list(codes) if len(codes) <= _MOST else [*codes[: _MOST - 1], _OTHER]
    bands = dict.fromkeys(((x, y) for x in names for y in names), 0.0)
    own = 0.0
    for x in asked:
        for y, share in shares[x].items():
            bands[x if x in names else _OTHER, y if y in names else _OTHER] += share / len(asked)
            own += share / len(asked) * (x == y)
    left = {x: sum(bands[x, y] for y in names) for x in names}
    right = {y: sum(bands[x, y] for x in names) for y in names}
    starts, ends = _starts(left), _starts(right)
    parts: list[Markup] = []
    for x in names:
        for y in names:
            thick = bands[x, y]
            look = "own" if x == y != _OTHER else None
            parts += [_band(starts[x], ends[y], thick, look)] if thick > 0.0005 else []
            starts[x] += thick
            ends[y] += thick
    # What stands out is drawn last.
    parts.sort(key=lambda part: 'class="own"' in part)
    label = f"{percent(own)} of the first results are in the language of their query"
    picture = tag("svg", parts, viewBox="0 0 100 100", preserveAspectRatio="none", role="img", aria_label=label)
    sides = [_labels(left, "from"), picture, _labels(right, "to", shares=True)]
    area = tag("div", sides, class_="bands", style=f"height:{max(8, 1.5 * len(names)):g}rem")
    caption = tag("figcaption", title, tag("span", f"{percent(own)} in the same language", class_="quiet"))
    return tag("figure", caption, area, class_="flow")


def _starts(sizes: Mapping[str, float]) -> dict[str, float]:
    """Return where each part begins if they are stacked."""
    found, at = dict[str, float](), 0.0
    for name, size in sizes.items():
        found[name] = at
        at += size
    return found


def _band(start: float, end: float, thick: float, look: str | None) -> Markup:
    a, b, c, d = (f"{100 * value:.2f}" for value in (start, end, end + thick, start + thick))
    return tag("path", d=f"M0 {a}C50 {a} 50 {b} 100 {b}V{c}C50 {c} 50 {d} 0 {d}Z", class_=look)


def _labels(sizes: Mapping[str, float], side: str, *, shares: bool = False) -> Markup:
    """Return the names of the parts of a side, each beside the middle of its part if there is room."""
    starts = _starts(sizes)
    room = _LINE / len(sizes)
    places = [starts[name] + size / 2 for name, size in sizes.items()]
    # Down, so that none covers the one above, then up again from the lower end.
    for row in range(1, len(places)):
        places[row] = max(places[row], places[row - 1] + room)
    places[-1] = min(places[-1], 1 - room / 2)
    for row in range(len(places) - 2, -1, -1):
        places[row] = min(places[row], places[row + 1] - room)
    spans = [
        tag("span", _name(name), f" {percent(size)}" if shares else None, style=f"top:{100 * place:.2f}%")
        for (name, size), place in zip(sizes.items(), places, strict=True)
        if size > 0
    ]
    return tag("div", spans, class_=side)


def _name(code: str) -> Markup:
    return tag("abbr", code, title="other languages" if code == _OTHER else language_name(code).english)
