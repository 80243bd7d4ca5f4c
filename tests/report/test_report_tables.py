"""One table, three writers: each shows every cell, and none takes text for markup."""

from __future__ import annotations

import html
import io
import re

import pytest
import sample_figures
from rich.console import Console

from panglot.report import print_table
from panglot.report.contents import contents
from panglot.report.evaluations import read_results
from panglot.report.markup import table_to_html
from panglot.report.tables import Cell, Column, Row, Table, simple_table, table_to_markdown

GROUPED = Table(
    "By language",
    [Column("Passages"), Column("a", "mAP"), Column("b", "mAP"), Column("a", "MRR"), Column("b", "MRR")],
    [Row("de", [Cell("7"), *(Cell(f".{number}") for number in range(4))], language=True)],
)


def tables() -> list[Table]:
    results = [read_results(sample_figures.figures()), read_results(sample_figures.comparison())]
    parts = [part for one in results for part in contents(one.datasets[0], compared=one.compared)]
    return [part for part in parts if isinstance(part, Table)]


def printed(table: Table) -> str:
    out = io.StringIO()
    print_table(table, Console(file=out, width=200))
    return out.getvalue()


@pytest.mark.parametrize("table", tables(), ids=lambda table: table.title or "headline")
def test_every_writer_shows_every_cell(table: Table) -> None:
    markdown = "\n".join(table_to_markdown(part) for part in table.split())
    page = html.unescape(re.sub(r"<[^>]+>", " ", table_to_html(table)))
    texts = {"terminal": printed(table), "markdown": html.unescape(markdown.replace("\\", "")), "page": page}
    for name, text in texts.items():
        for row in table.rows:
            assert [cell.text for cell in row.cells if cell.text not in text] == [], name


def test_groups_become_tables_and_columns_without_one_go_with_the_first() -> None:
    first, second = GROUPED.split()
    assert (first.title, second.title) == ("By language: mAP", "By language: MRR")
    assert [column.heading for column in first.columns] == ["Passages", "a", "b"]
    assert [cell.text for cell in first.rows[0].cells] == ["7", ".0", ".1"]
    assert [cell.text for cell in second.rows[0].cells] == [".2", ".3"]
    assert first.split() == [first]


def test_texts_are_never_markup() -> None:
    text = "[red]a|b <i>*c*"
    table = simple_table(["x", "y"], [[text, text]])
    assert "[red]a|b <i>*c*" in printed(table)
    assert "<i>" not in table_to_html(table)
    assert "\\[red\\]a\\|b &lt;i&gt;\\*c\\*" in table_to_markdown(table)
