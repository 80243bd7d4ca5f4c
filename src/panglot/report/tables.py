"""The one model of a table: the terminal, Markdown and HTML each have a writer for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from panglot.report.labels import MISSING, Kind, format_interval, format_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.report.charts import Scale, Track
    from panglot.report.results import Estimate


@dataclass(frozen=True)
class Cell:
    """One cell, as plain text that a writer escapes.

    Args:
        text: The text.
        interval: The interval of a figure, which writers set apart.
        best: Whether the figure is significantly the best of its kind.
    """

    text: str
    interval: str = ""
    best: bool = False


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        heading: What the column holds.
        group: A heading over neighbouring columns. Columns without one belong to the table as a whole.
        short: A heading for narrow terminals; line breaks are kept.
        series: Number of the model, whose mark HTML puts before the heading.
        left: Whether the column is text and aligned left. Figures are aligned right.
    """

    heading: str
    group: str = ""
    short: str = ""
    series: int | None = None
    left: bool = False


@dataclass(frozen=True)
class Row:
    """One row.

    Args:
        name: What the row is about, or a language code.
        cells: One per column.
        note: An explanation of the name, in one sentence.
        language: Whether ``name`` is a language code, which writers show with the language's name.
        series: Number of the model, whose mark HTML puts before the name.
        track: The same figures as a drawing, which only HTML shows.
        code: Whether ``name`` is an identifier, which Markdown sets in backticks.
        faint: Whether the row is of less weight, such as a difference that is not significant.
    """

    name: str
    cells: Sequence[Cell]
    note: str = ""
    language: bool = False
    series: int | None = None
    track: Track | None = None
    code: bool = False
    faint: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        title: What the table shows.
        columns: The columns behind the row names.
        rows: The rows.
        corner: Heading of the row names.
        note: A sentence about the whole table.
        axis: Scale of the tracks and how its ends are formatted, if all rows share it.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    corner: str = ""
    note: str = ""
    axis: tuple[Scale, Kind] | None = None

    @property
    def groups(self) -> list[str]:
        """The groups of columns, in order."""
        return list(dict.fromkeys(column.group for column in self.columns if column.group))

    def split(self) -> list[Table]:
        """Return one table per group of columns, for writers that cannot show groups side by side.

        Columns without a group go with the first one.
        """
        groups = self.groups
        if not groups:
            return [self]
        parts: list[Table] = []
        for group in groups:
            chosen = [
                place
                for place, column in enumerate(self.columns)
                if column.group == group or (not column.group and group == groups[0])
            ]
            columns = [replace(self.columns[place], group="") for place in chosen]
            rows = [replace(row, cells=[row.cells[place] for place in chosen]) for row in self.rows]
            parts.append(replace(self, title=f"{self.title}: {group}", columns=columns, rows=rows))
        return parts


def figure(value: Estimate | float | None, kind: Kind = "score", *, best: bool = False, digits: int = 3,
           sign: bool = False) -> Cell:  # fmt: skip
    """Return the cell of a number, or of an estimate with its interval.

    >>> figure(0.5).text, figure(None).text, figure(1214, "rank").text
    ('.500', '–', '1,214')
    """
    if value is None:
        return Cell(MISSING)
    if isinstance(value, int | float):
        return Cell(format_number(value, kind, digits=digits, sign=sign), best=best)
    ends = format_interval(value.low, value.high, kind, digits=digits, sign=sign)
    return Cell(format_number(value.value, kind, digits=digits, sign=sign), ends, best)


def simple_table(headings: Sequence[str], rows: Sequence[Sequence[str | Cell]], *, title: str = "",
                 left: Sequence[int] = (), code: bool = False) -> Table:  # fmt: skip
    """Return a table of texts and cells.

    Args:
        headings: One per column. The first is that of the row names.
        rows: The name and the cells of each row.
        title: What the table shows.
        left: Numbers of the columns, besides the first, that are aligned left.
        code: Whether the row names are identifiers.
    """
    columns = [Column(heading, left=place in left) for place, heading in enumerate(headings) if place]
    made = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    return Table(title, columns, [Row(row[0].text, row[1:], code=code) for row in made], corner=headings[0])
