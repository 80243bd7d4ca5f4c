"""Build HTML and SVG from functions: elements, marks, dot plots, tables, rankings. Text is escaped, markup is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any, TypeAlias

from panglot.report.labels import format_number, language_name, sanitize, shorten
from panglot.report.tables import Cell, Column, Row, Table, Track


class Markup(str):
    """A string of HTML that is not escaped again."""

    __slots__ = ()


Child: TypeAlias = "str | Iterable[Child] | None"

_VOID = {"meta", "link"}
_EMPTY_SHAPES = {"line", "path", "polyline"}


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """Return an element around text, markup, and iterables of both. ``None`` adds nothing.

    A trailing underscore of an attribute is dropped and others become hyphens. ``None`` and ``False`` omit the
    attribute, ``True`` writes its bare name.

    >>> tag("p", "a < b", class_="x", aria_hidden="true")
    '<p class="x" aria-hidden="true">a &lt; b</p>'
    >>> tag("p", tag("b", "bold"))
    '<p><b>bold</b></p>'
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if not children and name in _VOID:
        return Markup(f"<{name}{written}>")
    if not children and name in _EMPTY_SHAPES:  # HTML closes elements of SVG by themselves, as XML does
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Child, between: str = "") -> Markup:
    """Return the markup of all ``children``. Plain text is escaped."""
    if children is None:
        return Markup("")
    if isinstance(children, str):
        return children if isinstance(children, Markup) else Markup(escape(sanitize(children)))
    return Markup(between.join(join(child) for child in children))


def _attribute(key: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f' {name}="{escape(sanitize(text))}"'


def section(heading: str, explanation: Child, *content: Child, wide: bool = False) -> Markup:
    """Return a section of tables and drawings, or nothing if it has none.

    ``explanation`` says how to read them. ``wide`` content takes the whole width, below the heading.
    """
    if not any(content):
        return Markup("")
    head = tag("div", tag("h3", heading), tag("p", explanation) if explanation else None, class_="aside")
    return tag("section", head, tag("div", content, class_="content"), class_="part wide" if wide else "part")


def beside(*parts: Child) -> Markup:
    """Return parts side by side if there is room."""
    return tag("div", parts, class_="beside")


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

_SHOWN = 120  # Characters of a result.
_FEW, _MANY = 2, 8  # Columns that fit on a phone, and columns of a table that becomes blocks there.


def marker(series: int, x: str = "50%", y: str = "50%", title: str | None = None) -> Markup:
    """Return the mark of a series: its shape in its colour, centred at (x, y)."""
    path = tag("path", tag("title", title) if title else None, d=_SHAPES[series % len(_SHAPES)])
    return tag("svg", path, x=x, y=y, class_=f"mark k{series % COLOURS}", overflow="visible")


def swatch(series: int) -> Markup:
    """Return the mark of a series by itself, for a legend or before a name."""
    return tag("svg", marker(series), class_="swatch", width=14, height=14, aria_hidden="true")


def legend(names: Sequence[tuple[int, str]]) -> Markup:
    """Return a legend of (number of the series, name)."""
    items = [tag("li", swatch(number), tag("bdi", name)) for number, name in names]
    return tag("ul", items, class_="legend")


def draw_track(track: Track, height: int = 20) -> Markup:
    """Return a track as wide as its cell.

    The same figures are text in the same row, so the drawing is hidden from screen readers.
    """
    at = track.scale.percent

    def across(start: str, end: str, look: str) -> Markup:
        return tag("line", x1=start, x2=end, y1="50%", y2="50%", class_=look)

    parts = [across("0", "100%", "base")]
    parts += [tag("line", x1=at(rule), x2=at(rule), y1="0", y2="100%", class_="rule") for rule in track.rules]
    if track.notch is not None:
        parts.append(tag("line", x1=at(track.notch), x2=at(track.notch), y1="15%", y2="85%", class_="notch"))
    parts += [across(at(start), at(end), f"span k{series % COLOURS}") for start, end, series in track.spans]
    for mark in track.marks:
        if mark.interval:
            low, high = map(at, mark.interval)
            parts.append(across(low, high, f"whisker k{mark.series % COLOURS}"))
        parts.append(marker(mark.series, at(mark.value), title=mark.title))
    return tag("svg", parts, class_="track", width="100%", height=height, aria_hidden="true")


def table_to_html(table: Table, look: str = "", keys: Child = None) -> Markup:
    """Return a table in a container that scrolls sideways.

    ``look`` names classes of the style sheet. ``keys`` is a legend, by default of the models whose marks are in the
    table's head.
    """
    drawn = any(row.track for row in table.rows)
    models = {column.series: column.heading for column in table.columns if column.series is not None}
    # With groups or drawings the names of models would take too much room, so a legend has them.
    legended = len(models) > 1 and (drawn or bool(table.groups))
    if keys is None and legended:
        keys = legend(list(models.items()))
    caption = tag("caption", tag("div", tag("strong", table.title), tag("span", table.note) if table.note else None,
                                 keys, class_="pin"))  # fmt: skip
    head = _head(table, drawn=drawn, legended=legended)
    body = tag("tbody", [_row(row, table.columns, drawn=drawn) for row in table.rows])
    # On a phone, each row of such a table becomes a block, and its cells need labels.
    stacked = _FEW < len(table.columns) <= _MANY
    known = {"tracks": drawn, "groups": bool(table.groups), "blocks": stacked}
    classes = " ".join(filter(None, ["figures", *(name for name, there in known.items() if there), look]))
    return scroll(tag("table", caption, head, body, _foot(table) if drawn else None, class_=classes))


def scroll(table: Markup) -> Markup:
    """Return a table in a container that scrolls sideways, by touch, wheel or arrow keys."""
    return tag("div", table, class_="scroll", tabindex=0, role="group", aria_label="Table, may scroll sideways")


def language_heading(code: str) -> Markup:
    """Return a language as the head of a row: its code and its own name, each in its own direction."""
    named = language_name(code)
    parts: list[Child] = [tag("span", named.code, class_="code")]
    if named.autonym != named.code:
        parts += [" ", tag("bdi", named.autonym, dir="auto", lang=named.tag, class_="autonym")]
    return tag("span", *parts, class_="language", title=named.english if named.english != named.code else None)


def _head(table: Table, *, drawn: bool, legended: bool) -> Child:
    if not any((table.corner, *(column.heading for column in table.columns))):
        return None
    rows = 2 if table.groups else 1
    corner = tag("th", table.corner, scope="col", rowspan=rows) if table.corner else tag("td", rowspan=rows)
    drawing = tag("td", rowspan=rows) if drawn else None
    if not table.groups:
        return tag("thead", tag("tr", corner, drawing, [_heading(column, legended) for column in table.columns]))
    top: list[Child] = []
    below: list[Child] = []
    for group, members in groupby(table.columns, key=lambda column: column.group):
        columns = list(members)
        if not group:
            top += [tag("th", column.heading, scope="col", rowspan=rows) for column in columns]
            continue
        top.append(tag("th", group, scope="colgroup", colspan=len(columns), class_="first"))
        below += [_heading(column, legended, first=place == 0) for place, column in enumerate(columns)]
    return tag("thead", tag("tr", corner, drawing, top), tag("tr", below))


def _heading(column: Column, legended: bool, *, first: bool = False) -> Markup:
    name: Child = _with_arrow(column.heading)
    if column.series is not None:
        shown = tag("span", column.heading, class_="unseen") if legended else tag("bdi", column.heading)
        name = [swatch(column.series), shown]
    looks = " ".join(filter(None, ["text" if column.left else "", "first" if first else ""]))
    return tag("th", name, scope="col", class_=looks or None)


def _with_arrow(heading: str) -> str:
    """Return a heading whose arrow stays beside its last word."""
    return heading.replace(" ↓", "\N{NO-BREAK SPACE}↓")


def _row(row: Row, columns: Sequence[Column], *, drawn: bool) -> Markup:
    name: Child = language_heading(row.name) if row.language else tag("bdi", _with_arrow(row.name))
    if row.series is not None:
        name = [swatch(row.series), name]
    note = tag("span", row.note, class_="meaning") if row.note else None
    track = tag("td", draw_track(row.track) if row.track else None, class_="drawn") if drawn else None
    head = tag("th", name, note, scope="row") if row.name else tag("td")
    cells = [_cell(cell, column) for cell, column in zip(row.cells, columns, strict=True)]
    return tag("tr", head, track, cells, class_="unsure" if row.faint else None)


def _cell(cell: Cell, column: Column) -> Markup:
    value = tag("strong", cell.text, title="significantly best") if cell.best else cell.text
    interval = tag("span", cell.interval, class_="interval") if cell.interval else None
    label = ": ".join(filter(None, (column.group, column.heading)))
    return tag("td", value, interval, class_="text" if column.left else None, data_label=label or None)


def _foot(table: Table) -> Child:
    if table.axis is None:
        return None
    scale, kind = table.axis
    digits = 3 if kind != "percent" and scale.high - scale.low < 0.04 else 2
    ends = [tag("span", format_number(end, kind, digits=digits)) for end in scale.ends]
    axis = tag("td", tag("div", ends, class_="axis"), class_="drawn")
    row = tag("tr", tag("td"), axis, tag("td", colspan=len(table.columns)))
    return tag("tfoot", row, aria_hidden="true")


def example(
    heading: str, query: str, language: str, rankings: Mapping[str, Sequence[Mapping[str, Any]]], marked: str,
    *, folded: bool = False,
) -> Markup:  # fmt: skip
    """Return a query with its first results, side by side for each way of ranking.

    Args:
        heading: What it is an example of.
        query: The query.
        language: Its language.
        rankings: Name of the way of ranking → results with ``language``, ``text`` and perhaps ``title``. What is
            ``relevant`` or a ``version`` of the query's document gets a mark.
        marked: What the mark means.
        folded: Whether only the heading and the query are seen until clicked.
    """
    shown = tag("bdi", query, lang=language_name(language).tag, dir="auto")
    lists = [_ranking(name, hits, language) for name, hits in rankings.items()]
    good = any(_is_good(hit) for hits in rankings.values() for hit in hits)
    legend = tag("p", f"✓ {marked}", class_="quiet") if good else None
    if folded:
        return tag("details", tag("summary", heading, ": ", shown), beside(*lists), legend, class_="example")
    return tag("div", tag("h3", heading), tag("p", shown, class_="lead"), beside(*lists), legend, class_="example")


def _is_good(hit: Mapping[str, Any]) -> bool:
    return bool(hit.get("relevant") or hit.get("version"))


def _ranking(name: str, hits: Sequence[Mapping[str, Any]], asked: str) -> Markup:
    own = sum(each["language"] == asked for each in hits)
    head = tag("p", tag("strong", tag("bdi", name)), f": {own} of {len(hits)} in {language_name(asked).english}")
    # Passages of one section have one title, which would look like one result many times.
    titles = Counter(each.get("title") for each in hits)
    shown = [_hit(each, asked, whole=titles[each.get("title")] > 1) for each in hits]
    return tag("div", head, tag("ol", shown, class_="ranking"))


def _hit(hit: Mapping[str, Any], asked: str, *, whole: bool) -> Markup:
    named = language_name(hit["language"])
    badge = tag("span", named.code, class_="badge own" if hit["language"] == asked else "badge", title=named.english)
    title, start = hit.get("title") or "", hit["text"]
    text = f"{title[:60]}: {start}" if title and whole else title or start
    mark = tag("span", "✓") if _is_good(hit) else None
    return tag("li", tag("div", badge, mark, tag("bdi", shorten(text, _SHOWN), lang=named.tag, dir="auto")))
