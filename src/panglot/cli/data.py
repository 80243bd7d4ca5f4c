"""``panglot data``: which data sets there are, what is in one, and what can be made of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from panglot._errors import PanglotError
from panglot.cli.data_convert import convert
from panglot.cli.data_show import list_sets, show
from panglot.cli.options import deliver_json, shorten
from panglot.data.convert import write_rows
from panglot.data.pages import from_docs as documents
from panglot.data.rows import RowError, write_rejected
from panglot.datasets import check as checking

_SHOWN = 20


@click.command("check")
@click.argument("name")
@click.option("--against", multiple=True, metavar="DATASET", help="Test set to compare with. Repeat for more.")
@click.argument("more", nargs=-1)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder that holds the data sets; else PANGLOT_DATA.")
@click.option("--on-error", type=click.Choice(["raise", "skip"]), default="raise", show_default=True,
              help="With skip, rejected rows are written to a file, and are no failure.")  # fmt: skip
@click.option("--rejected", "place", type=click.Path(path_type=Path),
              help="File for rejected rows.  [default: NAME.rejected.jsonl]")  # fmt: skip
@click.option("--json", "to", metavar="PATH", help="Write the findings as JSON; - is standard output.")
def check(
    name: str,
    against: tuple[str, ...],
    more: tuple[str, ...],
    data_dir: Path | None,
    on_error: str,
    place: Path | None,
    to: str | None,
) -> int:
    """Find everything that is wrong in the data set NAME, and say where it is and how to fix it.

    ``--against A B`` compares it with test sets. The exit status is 2 if a row cannot be used.
    """
    if more and not against:
        raise click.UsageError(f"one data set expected, got {1 + len(more)}: {name} {' '.join(more)}")
    report = checking.check(name, against=(*against, *more), data_dir=data_dir)
    place = (place or Path(f"{name}.rejected.jsonl")) if on_error == "skip" and report.rejected else None
    if place:
        write_rejected(report.rejected, place)
    if to:
        deliver_json(_findings(report), to)
    if to != "-":
        _print(report, name, place)
    return 2 if report.rejected and not (on_error == "skip" and report.collection is not None) else 0


def _findings(report: checking.Report) -> dict[str, object]:
    found = report.collection
    return {
        "name": report.name,
        "questions": found.questions.num_rows if found else 0,
        "passages": found.passages.num_rows if found else 0,
        "rejected": [dataclasses.asdict(error) for error in report.rejected],
        "remarks": [dataclasses.asdict(remark) for remark in report.remarks],
        "overlaps": [dataclasses.asdict(overlap) for overlap in report.overlaps],
        "unread": dict(report.unread),
    }


def _print(report: checking.Report, name: str, place: Path | None) -> None:
    click.echo(repr(report.collection) if report.collection else f"{report.name}: nothing can be used")
    for error in report.rejected[:_SHOWN]:
        click.echo(f"rejected: {_where(error, name)}{error.problem}" + (f". Fix: {error.hint}" if error.hint else ""))
    if len(report.rejected) > _SHOWN:
        click.echo(f"rejected: {len(report.rejected) - _SHOWN:,} more")
    if place:
        click.echo(f"{len(report.rejected):,} rejected rows written to {place}")
    for remark in report.remarks:
        examples = ", ".join(shorten(text, 60) for text in remark.examples)
        click.echo(f"look at: {remark.number:,} {remark.what} ({examples}). Fix: {remark.hint}")
    for overlap in report.overlaps:
        click.echo(
            f"overlap with {overlap.test}: {overlap.equal:,} equal texts, {overlap.near:,} near ones, in "
            f"{overlap.groups:,} groups. The highest share below the threshold is {overlap.highest:.2f}"
        )
        for own, other in overlap.examples:
            click.echo(f"  {shorten(own, 100)} = {shorten(other, 100)}")
        if overlap.nearest is not None:
            click.echo(f"  nearest below it: {shorten(overlap.nearest[0], 100)} ~ {shorten(overlap.nearest[1], 100)}")
    for test, reason in report.unread.items():
        click.echo(f"not compared with {test}: {reason}")
    if not (report.rejected or report.remarks or any(overlap.equal or overlap.near for overlap in report.overlaps)):
        click.echo("nothing is wrong")


def _where(error: RowError, name: str) -> str:
    parts = (
        error.file if error.file != name else "",
        f"line {error.line:,}" if error.line else "",
        f'field "{error.field}"' if error.field else "",
    )
    where = ", ".join(part for part in parts if part)
    return f"{where}: " if where else ""


@click.command("from-docs")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--output", required=True, type=click.Path(path_type=Path), help="A .jsonl or .parquet file to write.")
@click.option("--language", help="Language of documents that do not name theirs.")
@click.option(
    "--ways",
    default="title,first-sentence",
    show_default=True,
    help="How questions are made: question, title, first-sentence.",
)
@click.option("--shortest", default=40, show_default=True, type=click.IntRange(1),
              help="Minimum length of a passage in characters.")  # fmt: skip
@click.option("--column", "columns", multiple=True, metavar="ROLE=NAME",
              help="For CSV and TSV: column of the title, text, language or group. Repeat for more.")  # fmt: skip
def from_docs(
    paths: tuple[Path, ...], output: Path, language: str | None, ways: str, shortest: int, columns: tuple[str, ...]
) -> None:
    """Make rows of HTML, Markdown, PO, XLIFF, CSV and TSV files, or of all such files in folders.

    A title, a question heading or a first sentence becomes the question, and the text below it the passage. Versions
    of a page in several languages are tied by path (en/page.html, de/page.html) and anchor.
    """
    roles: dict[str, str] = {}
    for text in columns:
        role, mark, name = text.partition("=")
        if not mark:
            raise PanglotError(f"expected ROLE=NAME, got {text!r}", field="column", hint="write text=body")
        roles[role] = name
    made = documents.read(paths, language=language, ways=ways.split(","), shortest=shortest, columns=roles)
    write_rows(made.rows, output)
    languages = sorted({row.language for row in made.rows})
    groups = sum(made.ways.values())
    click.echo(f"{output}: {len(made.rows):,} rows in {groups:,} groups, {made.tied:,} of them in several languages")
    click.echo(f"  languages: {' '.join(languages)}")
    for way, number in made.ways.items():
        click.echo(f"  {way} asks: {number:,} groups")
    for reason, number in made.left_out.items():
        click.echo(f"  left out, {reason}: {number:,}")


@click.group("data")
def data() -> None:
    """List, show, convert and check data sets, and make them from documents."""


data.add_command(convert)
data.add_command(check)
data.add_command(from_docs)
data.add_command(list_sets)
data.add_command(show)
