"""The terminal table and Markdown."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
import sample_figures
from rich.cells import cell_len
from rich.console import Console

from panglot.report import print_report, print_table, to_markdown
from panglot.report.diagnosis_page import trials_table

NASTY = "[bold]a|b[/bold] <script>x</script>\x1b[31m*c*_d_`e`"


def printed(figures: dict[str, Any], width: int = 80, *, colour: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, color_system="standard" if colour else None)
    print_report(figures, console)
    return out.getvalue()


@pytest.mark.parametrize("make", [sample_figures.figures, sample_figures.comparison, sample_figures.not_parallel])
def test_eighty_columns_are_enough(make: Any) -> None:
    text = printed(make())
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    assert "…" not in text


def test_no_heading_is_broken_inside_of_a_word() -> None:
    out = io.StringIO()
    print_table(trials_table(sample_figures.diagnosis(), intervals=False), Console(file=out, width=80))
    lines = out.getvalue().splitlines()
    assert max(map(cell_len, lines)) <= 80
    assert {"translations", "ranking", "language", "change"} <= set(" ".join(lines[:6]).split())


@pytest.mark.parametrize("width", [74, 80, 88, 96, 104])
def test_a_narrow_terminal_breaks_headings_and_cuts_no_column_off(width: int) -> None:
    table, out = trials_table(sample_figures.diagnosis(), intervals=False), io.StringIO()
    print_table(table, Console(file=out, width=width))
    shown = out.getvalue().split()
    assert [cell.text for row in table.rows for cell in row.cells if cell.text not in shown] == []


def test_the_headline_stands_with_its_intervals() -> None:
    text = printed(sample_figures.figures())
    assert re.search(r"bundled +\.800 +\.640 +\.298 +1,214\n +\[\.789, \.811\]", text)
    assert "37% of the monolingual mAP remains" in text
    assert re.search(r"th +Thai +852", text)


def test_bold_is_only_what_is_best_beyond_chance() -> None:
    text = printed(sample_figures.comparison(), colour=True)
    green = set(re.findall(r"\x1b\[1;32m *([^\x1b ]+) *\x1b", text))
    assert green == {".566"}


def test_reasons_are_printed() -> None:
    text = " ".join(printed(sample_figures.not_parallel()).split())
    assert "Cross-lingual not measured: no passage in another language answers a question." in text


def test_names_command_neither_rich_nor_the_terminal() -> None:
    text = printed(sample_figures.renamed(sample_figures.comparison(), "runs/mono", NASTY), width=300, colour=False)
    assert "\x1b" not in text
    assert "[bold]a|b" in text


def cells(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line))


def test_markdown_tables_have_as_many_cells_in_every_row() -> None:
    comparison = sample_figures.renamed(sample_figures.comparison(), "runs/mono", NASTY)
    for figures in (sample_figures.figures(), comparison, sample_figures.not_parallel()):
        text = to_markdown(figures)
        for block in text.split("\n\n"):
            lines = block.strip().split("\n")
            if lines[0].startswith("|"):
                assert len({cells(line) for line in lines}) == 1, lines[0]


def test_markdown_shows_names_as_they_are() -> None:
    text = to_markdown(sample_figures.renamed(sample_figures.comparison(), "runs/mono", NASTY))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "\\*c\\*" in text
    assert "\x1b" not in text


def test_markdown_is_bold_only_where_the_lead_is_real() -> None:
    text = to_markdown(sample_figures.comparison())
    assert set(re.findall(r"\*\*(.+?)\*\*", text)) == {".566"}
    assert "| runs/hybrid | .809 [.798, .820] | .708 [.699, .717] | **.566** [.558, .574] | 309" in text
