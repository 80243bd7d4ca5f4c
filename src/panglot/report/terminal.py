"""Write tables and reports to the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from panglot.report.contents import contents, description
from panglot.report.labels import language_name, sanitize
from panglot.report.results import Figures, read_results
from panglot.report.tables import Cell, Row, Table

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table as RichTable
    from rich.text import Text

__all__ = ["print_report", "print_table"]


def print_report(figures_or_comparison: Figures, console: Console) -> None:
    """Print an evaluation, or a comparison, in which a figure is bold only if it is significantly the best.

    Args:
        figures_or_comparison: The dictionary of figures, or what ``compare`` returned.
        console: Where to print. 80 columns are enough for four models.

    Raises:
        PanglotError: The first argument is neither.
    """
    from rich.text import Text

    results = read_results(figures_or_comparison)
    for dataset in results.datasets:
        console.print()
        console.print(Text.assemble((sanitize(dataset.name), "bold"), "  ", (description(dataset), "dim")))
        for part in contents(dataset, compared=results.compared):
            if isinstance(part, Table):
                console.print()
                print_table(part, console)
            else:
                console.print(Text("\n".join(part), style="italic"))


def print_table(table: Table, console: Console) -> None:
    """Print a table. Groups of columns become tables of their own, side by side if there is room."""
    from rich.columns import Columns

    parts = [_rich(part) for part in table.split()]
    console.print(parts[0] if len(parts) == 1 else Columns(parts, padding=(0, 3, 1, 0)))
    if table.note:
        console.print(table.note, style="dim", markup=False, highlight=False)


def _rich(table: Table) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    headings = [column.short or column.heading for column in table.columns]
    found = RichTable(
        title=Text(sanitize(table.title)) if table.title else None,
        title_justify="left",
        title_style="bold",
        show_header=any([table.corner, *headings]),
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="dim",
    )
    # Names of models may be long. Names of languages and measures are not, and read better on one line.
    fixed = not any(row.note for row in table.rows) and max((len(row.name) for row in table.rows), default=0) < 30
    found.add_column(table.corner, no_wrap=fixed, overflow="fold")
    for column, heading in zip(table.columns, headings, strict=True):
        shown = Text("\n".join(map(sanitize, heading.split("\n"))))
        found.add_column(shown, justify="left" if column.left else "right", overflow="fold")
    # Beside explanations there is no room for the intervals of several models.
    intervals = len(table.columns) == 1 or not any(row.note for row in table.rows)
    following = [*table.rows[1:], None]
    for row, after in zip(table.rows, following, strict=True):
        last = after is not None and bool(after.name) and not row.name
        found.add_row(_name(row), *(_cell(cell, intervals) for cell in row.cells), style="dim" if row.faint else "",
                      end_section=last)  # fmt: skip
    return found


def _name(row: Row) -> Text:
    from rich.text import Text

    if row.language:
        named = language_name(row.name)
        # Terminals disagree about right-to-left letters, so the names are English.
        return Text(f"{named.code:<3} {named.english}" if named.english != named.code else named.code)
    text = Text(sanitize(row.name))
    return Text("\n").join([text, Text(sanitize(row.note), style="dim")]) if row.note else text


def _cell(cell: Cell, intervals: bool) -> RenderableType:
    from rich.text import Text

    # The lines of a cell are lines in the terminal, too.
    text = Text("\n".join(map(sanitize, cell.text.split("\n"))), style="bold green" if cell.best else "")
    if cell.interval and intervals:
        return Text("\n").join([text, Text(cell.interval, style="dim")])
    return text
