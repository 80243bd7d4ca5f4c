"""Write tables as HTML, with dot plots in their rows."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from panglot.report.charts import draw_track, legend, swatch
from panglot.report.labels import format_number, language_name
from panglot.report.markup import Child, Markup, tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.report.tables import Cell, Column, Row, Table

__all__ = ["language_heading", "scrolling", "table_to_html"]


def table_to_html(table: Table, look: str = "", keys: Child = None) -> Markup:
    """Return a table in a container that scrolls sideways.

    Args:
        table: The table.
        look: Names of classes in the page's style sheet.
        keys: A legend, by default of the models whose marks are in the table's head.
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
    classes = " ".join(filter(None, ["figures", "tracks" if drawn else "", "groups" if table.groups else "", look]))
    return scrolling(tag("table", caption, head, body, _foot(table) if drawn else None, class_=classes))


def scrolling(table: Markup) -> Markup:
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
    grouped = bool(table.groups)
    rows = 2 if grouped else 1
    corner = tag("th", table.corner, scope="col", rowspan=rows) if table.corner else tag("td", rowspan=rows)
    drawing = tag("td", rowspan=rows) if drawn else None
    if not grouped:
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
    name: Child = column.heading
    if column.series is not None:
        shown = tag("span", column.heading, class_="unseen") if legended else tag("bdi", column.heading)
        name = [swatch(column.series), shown]
    looks = " ".join(filter(None, ["text" if column.left else "", "first" if first else ""]))
    return tag("th", name, scope="col", class_=looks or None)


def _row(row: Row, columns: Sequence[Column], *, drawn: bool) -> Markup:
    name: Child = language_heading(row.name) if row.language else tag("bdi", row.name)
    if row.series is not None:
        name = [swatch(row.series), name]
    note = tag("span", row.note, class_="meaning") if row.note else None
    track = tag("td", draw_track(row.track) if row.track else None, class_="drawn") if drawn else None
    head = tag("th", name, note, scope="row") if row.name else tag("td")
    return tag(
        "tr",
        head,
        track,
        [_cell(cell, column) for cell, column in zip(row.cells, columns, strict=True)],
        class_="unsure" if row.faint else None,
    )


def _cell(cell: Cell, column: Column) -> Markup:
    value = tag("strong", cell.text, title="significantly best") if cell.best else cell.text
    interval = tag("span", cell.interval, class_="interval") if cell.interval else None
    return tag("td", value, interval, class_="text" if column.left else None)


def _foot(table: Table) -> Child:
    if table.axis is None:
        return None
    scale, kind = table.axis
    digits = 3 if kind != "percent" and scale.high - scale.low < 0.04 else 2
    ends = [tag("span", format_number(end, kind, digits=digits)) for end in (scale.low, scale.high)]
    axis = tag("td", tag("div", ends, class_="axis"), class_="drawn")
    row = tag("tr", tag("td"), axis, tag("td", colspan=len(table.columns)))
    return tag("tfoot", row, aria_hidden="true")
