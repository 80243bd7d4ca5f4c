"""What ``evaluate`` and ``compare`` have in common on the command line."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        help="Folder that holds the data sets; else PANGLOT_DATA.",
    ),
    click.option("--candidates", type=click.Choice(["sentence", "paragraph"]), help="What the passages are."),
    click.option("--context", is_flag=True, help="Put its paragraph behind each sentence."),
    click.option("--languages", metavar="CODES", help="Keep these only, such as en,de,zh."),
    click.option("--measures", metavar="NAMES", help="Such as mAP,R@10,nDCG@10."),
    click.option(
        "--draws", default=1000, show_default=True, type=click.IntRange(0), help="For the intervals; 0: none."
    ),
    click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the draws."),
    click.option("--json", "to_json", metavar="PATH", help="Write the figures as JSON; - is standard output."),
    click.option("--trust-remote-code", is_flag=True, help="Let Python code that comes with a model run."),
    click.option("--report", type=click.Path(path_type=Path), help="Write a page: .html, or .md for Markdown."),
)


def measuring_options(command: Command) -> Command:
    """Add the options that both commands take."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def split(names: str | None) -> list[str] | None:
    """Return the names in a list with commas; None for nothing.

    >>> split("en, de"), split(None)
    (['en', 'de'], None)
    """
    found = [name.strip() for name in (names or "").split(",") if name.strip()]
    return found or None


def command_line() -> str:
    """Return the command as it was typed, for the record."""
    return shlex.join(["panglot", *sys.argv[1:]])


def tell(to_json: str | None) -> Callable[[str], None]:
    """Return where lines about the progress go: standard error, so that standard output stays clean."""
    return (lambda _: None) if to_json == "-" else (lambda line: click.echo(line, err=True))


def deliver_json(value: object, to_json: str) -> None:
    """Write a value as JSON to a file, or to standard output for ``-``."""
    from panglot._files import write_json

    if to_json == "-":
        click.echo(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))
    else:
        write_json(Path(to_json), value)


def deliver(
    figures: Mapping[str, Any], to_json: str | None, report: Path | None, *, models: Sequence[str], compared: bool
) -> None:
    """Print the figures, and write JSON and the page, with the training curves of run folders, where asked."""
    from panglot._files import write_text

    if to_json:
        deliver_json(figures, to_json)
    if report is not None:
        if report.suffix.lower() == ".md":
            from panglot.report.markdown import to_markdown

            write_text(report, to_markdown(figures))
        else:
            from panglot.report.html import from_log, write_html

            runs = {Path(model).name: Path(model) for model in models if (Path(model) / "log.jsonl").is_file()}
            write_html(report, figures, {name: from_log(folder) for name, folder in runs.items()} or None)
    if to_json == "-":
        return
    from rich.console import Console

    from panglot.report.terminal import print_comparison, print_evaluation

    (print_comparison if compared else print_evaluation)(figures, Console())


def print_table(head: tuple[str, ...], rows: list[tuple[str, ...]], right: tuple[int, ...] = ()) -> None:
    """Print rows below a head; columns in ``right`` are set to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, title in enumerate(head):
        table.add_column(title, justify="right" if place in right else "left", overflow="fold", no_wrap=place == 0)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
