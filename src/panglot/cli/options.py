"""Options and output that several commands share."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def split(names: str | None) -> list[str] | None:
    """Return the names in a comma-separated list, or None if there are none.

    >>> split("en, de"), split(None)
    (['en', 'de'], None)
    """
    found = [name.strip() for name in (names or "").split(",") if name.strip()]
    return found or None


def _split(_: click.Context, __: click.Parameter, names: str | None) -> list[str] | None:
    return split(names)


data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that holds the known data sets.  [default: $PANGLOT_DATA]",
)
candidates_option = click.option(
    "--candidates", type=click.Choice(["sentence", "paragraph"]), help="Unit of the passages."
)
context_option = click.option("--context", is_flag=True, help="Append its paragraph to each sentence.")
trust_option = click.option("--trust-remote-code", is_flag=True, help="Run Python code that comes with the model.")


def json_option(content: str = "the figures") -> Callable[[Command], Command]:
    """Return the option ``--json``, for a command that writes ``content`` by :func:`deliver_json`."""
    return click.option("--json", "to_json", metavar="PATH", help=f"Write {content} as JSON; - is standard output.")


_OPTIONS = (
    data_dir_option,
    candidates_option,
    context_option,
    click.option("--languages", metavar="CODES", callback=_split, help="Languages to measure, such as en,de,zh."),
    click.option("--measures", metavar="NAMES", callback=_split, help="Measures to compute, such as mAP,R@10,nDCG@10."),
    click.option(
        "--draws",
        default=1000,
        show_default=True,
        type=click.IntRange(0),
        help="Number of bootstrap draws for the intervals; 0 for no intervals.",
    ),
    click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the draws."),
    json_option(),
    trust_option,
    click.option("--report", type=click.Path(path_type=Path), help="Write a report: .html, or .md for Markdown."),
)


def measuring_options(command: Command) -> Command:
    """Add the options that ``evaluate`` and ``compare`` share. Their names are those of the functions' arguments."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def shorten(text: str, length: int) -> str:
    """Return a text as one line of at most so many characters.

    >>> shorten("one  two three", 8)
    'one two…'
    """
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def command_line() -> str:
    """Return the command as it was typed, for the record."""
    return shlex.join(["panglot", *sys.argv[1:]])


def progress_to(to_json: str | None) -> Callable[[str], None]:
    """Return a function that prints progress to standard error, or not at all if JSON goes to standard output."""
    return (lambda _: None) if to_json == "-" else (lambda line: click.echo(line, err=True))


def deliver_json(value: object, to_json: str) -> None:
    """Write a value as JSON to a file, or to standard output for ``-``."""
    from panglot._files import write_json

    if to_json == "-":
        click.echo(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))
    else:
        write_json(Path(to_json), value)


def deliver(figures: Mapping[str, Any], to_json: str | None, report: Path | None, models: Sequence[str]) -> None:
    """Print the figures, and write JSON and a page if asked for.

    The page has the training curves of those ``models`` that are run folders.
    """
    from panglot._files import write_text
    from panglot.report import from_log, print_report, to_markdown, write_html

    if to_json:
        deliver_json(figures, to_json)
    if report is not None:
        if report.suffix.lower() == ".md":
            write_text(report, to_markdown(figures))
        else:
            runs = {Path(model).name: Path(model) for model in models if (Path(model) / "log.jsonl").is_file()}
            write_html(report, figures, {name: from_log(folder) for name, folder in runs.items()} or None)
    if to_json != "-":
        from rich.console import Console

        print_report(figures, Console())


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print a table of texts to standard output.

    Args:
        head: The column headings.
        rows: The texts.
        right: Numbers of the columns that are aligned right.
    """
    from rich.console import Console

    from panglot.report import print_table as print_to
    from panglot.report.tables import simple_table

    print_to(simple_table(head, rows, left=[place for place in range(len(head)) if place not in right]), Console())
