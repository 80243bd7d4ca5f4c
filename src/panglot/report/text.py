"""Write tables and reports as text: to the terminal, and as Markdown for a README, an issue or a model card."""

from __future__ import annotations

import re
from textwrap import wrap
from typing import TYPE_CHECKING

from panglot.report.contents import contents, description, scoreboards
from panglot.report.evaluations import Figures, dig, read_results
from panglot.report.labels import MISSING, language_name, sanitize
from panglot.report.tables import Cell, Row, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

__all__ = ["escape_markdown", "print_report", "print_table", "table_to_markdown", "to_markdown"]


def to_markdown(figures_or_comparison: Figures) -> str:
    """Return an evaluation's dictionary of figures, or a comparison, as Markdown.

    A figure of a comparison is bold only if it is significantly the best. Text from outside is escaped.

    Raises:
        PanglotError: The argument is neither.
    """
    results = read_results(figures_or_comparison)
    blocks: list[str] = []
    for title, board, lines in scoreboards(results):
        blocks += [f"## {escape_markdown(title)}"]
        for table in board.split():
            blocks += [f"### {escape_markdown(table.title)}", table_to_markdown(table)]
        blocks.append(_markdown_list(lines))
    for dataset in results.datasets:
        blocks += [f"## {escape_markdown(dataset.name)}", escape_markdown(description(dataset))]
        for part in contents(dataset, compared=results.compared):
            if isinstance(part, list):
                blocks.append(_markdown_list(part))
                continue
            for table in part.split():
                blocks += [f"### {escape_markdown(table.title)}"] if table.title else []
                blocks.append(table_to_markdown(table))
    return "\n\n".join(blocks) + "\n"


def table_to_markdown(table: Table) -> str:
    """Return a table without its title, with the notes of its rows as the last column.

    >>> from panglot.report.tables import simple_table
    >>> print(table_to_markdown(simple_table(["a", "b"], [["x", "1"]])))
    | a | b |
    |:--|--:|
    | x | 1 |
    """
    notes = any(row.note for row in table.rows)
    header = [table.corner, *(column.heading for column in table.columns), *(["meaning"] if notes else [])]
    marks = [":--", *(":--" if column.left else "--:" for column in table.columns), *([":--"] if notes else [])]
    lines = [_line(map(escape_markdown, header)), f"|{'|'.join(marks)}|"]
    name = ""
    for row in table.rows:
        # An empty name repeats the one above, but nobody sees that in the source of a table.
        name = _markdown_name(row) or name
        note = [escape_markdown(row.note)] if notes else []
        lines.append(_line([name, *(_markdown_cell(cell) for cell in row.cells), *note]))
    return "\n".join(lines)


def _markdown_list(lines: Sequence[str]) -> str:
    """Return sentences as a list; one alone is a paragraph."""
    texts = list(map(escape_markdown, lines))
    return texts[0] if len(texts) == 1 else "\n".join(f"- {text}" for text in texts)


def escape_markdown(text: object) -> str:
    r"""Return text from outside so that Markdown shows it as it is.

    >>> escape_markdown("a|b <c> [d](e)")
    'a\\|b &lt;c&gt; \\[d\\](e)'
    """
    plain = sanitize(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", plain)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_name(row: Row) -> str:
    name = escape_markdown(row.name)
    if row.language:
        return f"`{name}` {escape_markdown(language_name(row.name).english)}"
    return f"`{name}`" if row.code else name


def _markdown_cell(cell: Cell) -> str:
    text = escape_markdown(cell.text) or MISSING
    text = f"**{text}**" if cell.best else text
    return f"{text} {cell.interval}" if cell.interval else text


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
    for title, board, lines in scoreboards(results):
        console.print()
        console.print(Text(title, style="bold"))
        print_table(board, console)
        console.print(Text("\n".join(lines), style="italic"))
    forms = {form for suite in (dig(results.metadata, "suites") or {}).values() for form in suite["forms"]}
    for dataset in results.datasets:
        if dataset.name in forms:  # The scoreboard has their figures. Reports and JSON have all of them.
            continue
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

    parts = [_fitting(part, console) for part in table.split()]
    console.print(parts[0] if len(parts) == 1 else Columns(parts, padding=(0, 3, 1, 0)))
    if table.note:
        console.print(table.note, style="dim", markup=False, highlight=False)


def _fitting(table: Table, console: Console) -> RichTable:
    """Return a table whose headings are broken into more lines if it would not fit otherwise.

    rich takes the same from all columns, and then cuts the table off at the right.
    """
    found = _rich(table)
    wide = console.measure(found, options=console.options.update(width=1 << 16)).maximum > console.width
    return _rich(table, narrow=True) if wide else found


def _rich(table: Table, *, narrow: bool = False) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable

    headings = [column.short or column.heading for column in table.columns]
    found = RichTable(title=_lines(sanitize(table.title)) if table.title else None, title_justify="left",
                      title_style="bold", show_header=any([table.corner, *headings]), box=box.SIMPLE_HEAD,
                      show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")  # fmt: skip
    # Names of models may be long. Names of languages and measures are not, and read better on one line.
    fixed = not any(row.note for row in table.rows) and max((len(row.name) for row in table.rows), default=0) < 30
    found.add_column(table.corner, no_wrap=fixed, overflow="fold")
    for number, (column, heading) in enumerate(zip(table.columns, headings, strict=True)):
        # Headings break between words alone.
        widest = max(map(len, heading.split()), default=0)
        lines = heading
        if narrow and heading and not column.left:
            texts = [f"{row.cells[number].text}\n{row.cells[number].interval}" for row in table.rows]
            longest = max(map(len, "\n".join(texts).split("\n")))
            lines = "\n".join(wrap(heading, max(longest, widest), break_long_words=False, break_on_hyphens=False))
        found.add_column(
            _lines(lines), justify="left" if column.left else "right", overflow="fold", min_width=min(widest, 16)
        )
    # Beside explanations there is no room for the intervals of several models.
    intervals = len(table.columns) == 1 or not any(row.note for row in table.rows)
    for row, after in zip(table.rows, [*table.rows[1:], None], strict=True):
        cells = (_lines(cell.text, cell.interval if intervals else "", "bold green" if cell.best else "")
                 for cell in row.cells)  # fmt: skip
        # Rows without a name belong to the one above them.
        last = after is not None and bool(after.name) and not row.name
        found.add_row(_rich_name(row), *cells, style="dim" if row.faint else "", end_section=last)
    return found


def _rich_name(row: Row) -> Text:
    if row.language:
        named = language_name(row.name)
        # Terminals disagree about right-to-left letters, so the names are English.
        return _lines(f"{named.code:<3} {named.english}" if named.english != named.code else named.code)
    return _lines(sanitize(row.name), sanitize(row.note))


def _lines(text: str, below: str = "", style: str = "") -> Text:
    """Return a text with its line breaks, and another one, dim, below it."""
    from rich.text import Text

    shown = Text("\n".join(map(sanitize, text.split("\n"))), style=style)
    return Text("\n").join([shown, Text(below, style="dim")]) if below else shown
