"""Write tables and reports as Markdown: for a README, an issue, a model card."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from panglot.report.contents import contents, description
from panglot.report.labels import MISSING, language_name, sanitize
from panglot.report.results import Figures, read_results
from panglot.report.tables import Cell, Row, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["escape_markdown", "markdown_list", "table_to_markdown", "to_markdown"]


def to_markdown(figures_or_comparison: Figures) -> str:
    """Return an evaluation's dictionary of figures, or a comparison, as Markdown.

    A figure of a comparison is bold only if it is significantly the best. Text from outside is escaped.

    Raises:
        PanglotError: The argument is neither.
    """
    results = read_results(figures_or_comparison)
    blocks: list[str] = []
    for dataset in results.datasets:
        blocks += [f"## {escape_markdown(dataset.name)}", escape_markdown(description(dataset))]
        for part in contents(dataset, compared=results.compared):
            if isinstance(part, list):
                blocks.append(markdown_list(part))
                continue
            for table in part.split():
                blocks += [f"### {escape_markdown(table.title)}"] if table.title else []
                blocks.append(table_to_markdown(table))
    return "\n\n".join(blocks) + "\n"


def table_to_markdown(table: Table) -> str:
    """Return a table without its title, and with the notes of its rows as the last column.

    >>> from panglot.report.tables import simple_table
    >>> print(table_to_markdown(simple_table(["a", "b"], [["x", "1"]])))
    | a | b |
    |:--|--:|
    | x | 1 |
    """
    notes = any(row.note for row in table.rows)
    header = [table.corner, *(column.heading for column in table.columns), *(["meaning"] if notes else [])]
    marks = [":--", *(":--" if column.left else "--:" for column in table.columns), *([":--"] if notes else [])]
    lines = [_line([escape_markdown(heading) for heading in header]), f"|{'|'.join(marks)}|"]
    name = ""
    for row in table.rows:
        # An empty name repeats the one above, but nobody sees that in the source of a table.
        name = _name(row) or name
        note = [escape_markdown(row.note)] if notes else []
        lines.append(_line([name, *(_cell(cell) for cell in row.cells), *note]))
    return "\n".join(lines)


def markdown_list(lines: Sequence[str]) -> str:
    """Return sentences as a list; one alone is a paragraph."""
    texts = [escape_markdown(line) for line in lines]
    return texts[0] if len(texts) == 1 else "\n".join(f"- {text}" for text in texts)


def escape_markdown(text: object) -> str:
    r"""Return text from outside so that Markdown shows it as it is.

    >>> escape_markdown("a|b <c> [d](e)")
    'a\\|b &lt;c&gt; \\[d\\](e)'
    """
    plain = sanitize(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", plain)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _name(row: Row) -> str:
    name = escape_markdown(row.name)
    if row.language:
        return f"`{name}` {escape_markdown(language_name(row.name).english)}"
    return f"`{name}`" if row.code else name


def _cell(cell: Cell) -> str:
    text = escape_markdown(cell.text) or MISSING
    text = f"**{text}**" if cell.best else text
    return f"{text} {cell.interval}" if cell.interval else text
