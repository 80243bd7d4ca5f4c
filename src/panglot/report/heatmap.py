"""A matrix over languages as a table with coloured cells: numbers stay text, and scroll when they must."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from panglot.report.charts import language_heading
from panglot.report.colours import gradient, step
from panglot.report.markup import Child, Markup, tag
from panglot.report.names import language

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
    """Return the table of a matrix, in a container of its own that scrolls sideways.

    Args:
        matrix: Row language → column language → value; what is absent stays empty.
        codes: The languages, in order.
        look: Colours and numbers.
        caption: What the table shows.
        corner: What rows and columns are.
        column: A heading and a value per row language, to stand behind the matrix without colour.
        row: A heading and a value per column language, to stand below it.
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
            tag("td", _written(column[1].get(x), look), class_="margin") if column else None,
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
                [tag("td", _written(row[1].get(y), look)) for y in codes],
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


def scrolling(table: Markup) -> Markup:
    """Return a table in a container that scrolls sideways, by finger, wheel or arrow keys."""
    return tag("div", table, class_="scroll", tabindex=0, role="group", aria_label="Table, may scroll sideways")


def scale_legend(letter: str, low: str, high: str, middle: str | None = None) -> Markup:
    """Return the colour scale with what its ends, and its middle, mean."""
    bar = tag("span", class_="bar", style=f"background:{gradient(letter)}")
    ends = [tag("span", low), bar, tag("span", high)]
    note = tag("span", f"({middle})", class_="note") if middle else None
    return tag("div", ends, note, class_="scale")


def _column_heading(code: str) -> Markup:
    named = language(code)
    return tag("th", tag("abbr", named.code, title=named.english), scope="col")


def _cell(value: float | None, x: str, y: str, look: Look) -> Markup:
    if value is None:
        return tag("td", class_="empty")
    look_class = f"{look.letter}{step(look.share(x, y, value))}"
    return tag("td", look.write(value), class_=f"{look_class} own" if x == y and look.diagonal else look_class)


def _written(value: float | None, look: Look) -> str:
    return "" if value is None else look.write(value)
