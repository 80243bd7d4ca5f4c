"""``panglot data``: list, show, convert and check data sets, and make them from documents."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from panglot._errors import PanglotError
from panglot._progress import progress
from panglot.batching.table import cache_rows
from panglot.cli import options
from panglot.cli.data_show import list_sets, show
from panglot.cli.options import COUNT, OUTPUT, OUTPUT_FILE, PATH, POSITIVE
from panglot.data import convert as converting
from panglot.data import transform
from panglot.data.collection import Collection
from panglot.data.files import RowError, row_files, write_rejected
from panglot.data.language import canonical
from panglot.data.pages import from_docs as documents
from panglot.datasets import check as checking
from panglot.datasets import registry

_SHOWN = 20
_LOOKED_FOR = "looked for broken rows, repeats, wrong decoding, tags, and other languages in a sample"
_ON_ERROR = click.Choice(["raise", "skip"])


@click.command("check")
@click.argument("name")
@click.option("--against", multiple=True, metavar="DATASET", help="Test set to compare with. Repeat for more.")
@click.argument("more", nargs=-1)
@options.language_option
@options.data_dir_option
@click.option("--on-error", type=_ON_ERROR, default="raise",
              help="Handling of rows that cannot be used. skip writes them to a file and succeeds.")  # fmt: skip
@click.option("--rejected", "place", type=OUTPUT_FILE, help="File for rejected rows.  [default: NAME.rejected.jsonl]")
@options.json_option("the findings")
def check(
    name: str, against: tuple[str, ...], more: tuple[str, ...], language: str | None, data_dir: Path | None,
    on_error: str, place: Path | None, to_json: str | None,
) -> int:  # fmt: skip
    """Find everything that is wrong in the data set NAME, and say where it is and how to fix it.

    ``--against A B`` compares it with test sets. The exit status is 2 if a row cannot be used.
    """
    # An option of click takes one value. Further test sets behind --against arrive as arguments.
    if more and not against:
        raise click.UsageError(f"one data set expected, got {1 + len(more)}: {name} {' '.join(more)}")
    if on_error == "skip":
        place = place or Path(f"{Path(name)}.rejected.jsonl")
        converting.check_source(place, [registry.find_source(name, data_dir)])
    report = checking.check(options.in_language([name], language)[0], against=(*against, *more), data_dir=data_dir)
    place = place if on_error == "skip" and report.rejected else None
    if place:
        write_rejected(report.rejected, place)
    if options.deliver_json(_findings(report), to_json):
        _print_findings(report, name, place)
    return 2 if report.rejected and not (on_error == "skip" and report.collection is not None) else 0


def _findings(report: checking.Report) -> dict[str, object]:
    found = report.collection
    return {"name": report.name, "questions": found.questions.num_rows if found else 0,
            "passages": found.passages.num_rows if found else 0,
            "rejected": [dataclasses.asdict(error) for error in report.rejected],
            "remarks": [dataclasses.asdict(remark) for remark in report.remarks],
            "overlaps": [dataclasses.asdict(overlap) for overlap in report.overlaps],
            "unread": dict(report.unread)}  # fmt: skip


def _print_findings(report: checking.Report, name: str, place: Path | None) -> None:
    from panglot.report.labels import shorten

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
            nearest = (shorten(text, 100) for text in overlap.nearest)
            click.echo(f"  nearest below it: {' ~ '.join(nearest)}")
    for test, reason in report.unread.items():
        click.echo(f"not compared with {test}: {reason}")
    if not (report.rejected or report.remarks or any(overlap.equal or overlap.near for overlap in report.overlaps)):
        click.echo(f"nothing is wrong ({_LOOKED_FOR})")


def _where(error: RowError, name: str) -> str:
    file, line = error.file if error.file != name else "", f"line {error.line:,}" if error.line else ""
    where = ", ".join(filter(None, (file, line, f'field "{error.field}"' if error.field else "")))
    return f"{where}: " if where else ""


@click.command("convert")
@click.argument("name")
@click.argument("output", type=OUTPUT)
@click.option("--to", "form", required=True, type=click.Choice(converting.FORMATS), help="Format to write.")
@options.language_option
@options.data_dir_option
@options.list_option("--languages", metavar="CODES", help="Languages to keep, such as en,de.")
@click.option("--rows", type=POSITIVE, help="Maximum number of questions to keep, drawn in whole groups.")
@click.option("--seed", default=0, type=COUNT, help="Seed for drawing the questions.")
@click.option("--min-characters", type=int, help="Leave out passages with fewer characters.")
@click.option("--max-characters", type=POSITIVE, help="Leave out passages with more characters.")
@click.option("--ray", "on_ray", is_flag=True, help="Read the rows in Ray's workers (arrow only).")
@click.option("--split", default="test", help="Name of the BEIR split.")
@click.option(
    "--untie", is_flag=True, help="Give groups of their own to questions that rows cannot hold (jsonl and parquet)."
)
@click.option("--on-error", type=_ON_ERROR, default="raise",
              help="Handling of rows that cannot be used. skip writes them to a file and continues.")  # fmt: skip
@click.option("--rejected", "place", type=OUTPUT_FILE, help="File for rejected rows.  [default: OUTPUT.rejected.jsonl]")
def convert(
    name: str, output: Path, form: str, language: str | None, data_dir: Path | None, languages: list[str] | None,
    seed: int, on_error: str, place: Path | None, *, on_ray: bool, split: str, untie: bool, **limits: Any,
) -> None:  # fmt: skip
    """Write the data set NAME (NAME, NAME:PART or a path) to OUTPUT as Arrow, BEIR, JSON lines, Parquet or TREC.

    JSON lines and Parquet of any size become Arrow in bounded memory.
    """
    codes = [canonical(code) for code in languages or ()]
    limits = {key: value for key, value in limits.items() if value}
    filtered = bool(codes or limits)
    converting.check_place(form, output)
    known, skip = registry.is_known(name), on_error == "skip"
    ignored = {
        "split": form != "beir", "untie": form not in ("jsonl", "parquet"), "seed": not limits.get("rows"),
        "place": not skip,
    }  # fmt: skip
    options.refuse({each for each, idle in ignored.items() if idle}, "does nothing with these options", "leave it out")
    converting.check_source(output, [source := registry.find_source(name, data_dir)])
    place = place or output.with_name(f"{output.name}.rejected.jsonl")
    if skip:
        converting.check_source(place, [source])
    # A known name wins over a file or folder of the same name.
    files = [] if known else row_files(Path(name))
    # Whole files become Arrow in pieces only if each row names its language.
    named = options.in_language([name], language)[0]
    # Other readers select languages themselves: some read nothing else.
    walked = bool(files) or (not known and (Path(name) / "collection.json").is_file())
    if on_ray and (form != "arrow" or not files or filtered or skip):
        problem = "Ray reads whole files of JSON lines or Parquet, to write them as arrow"
        raise PanglotError(problem, field="ray", hint="leave it out; filter what was written in a second step")
    if form == "arrow" and files and not filtered and not skip and not language:
        with progress("rows", None, unit="rows") as advance:
            _print_converted(converting.convert_rows(files, output, advance, on_ray=on_ray), form)
        return
    if skip:
        collection, rejected = registry.read_usable(named, data_dir=data_dir)
        if rejected:
            click.echo(f"{write_rejected(rejected, place):,} rejected rows written to {place}", err=True)
        if collection is None:
            raise PanglotError("no row can be used", file=name, hint=rejected[0].hint)
    else:
        collection = registry.read(named, data_dir=data_dir, languages=None if walked else codes)
    transform.check_languages([collection], codes)
    marks = None
    if limits or (codes and walked):
        marks = transform.select_rows(collection, languages=codes, seed=seed, **limits)
    _print_converted(converting.write(collection, form, output, split=split, untie=untie, marks=marks), form)


def _print_converted(done: converting.Converted, form: str) -> None:
    """Print what was written. Cache the training rows of an Arrow collection too."""
    click.echo(f"{done.path}: {done.questions:,} questions, {done.passages:,} passages, {done.judgements:,} judgements")
    for why, number in done.lost.items():
        click.echo(f"  {why}: {number:,}")
    if form == "arrow":
        cache_rows(Collection.open(done.path))


@click.command("from-docs")
@click.argument("paths", nargs=-1, required=True, type=PATH)
@click.option("--output", required=True, type=OUTPUT_FILE, help="File to write, .jsonl or .parquet.")
@click.option("--language", metavar="CODE", help="Language of all documents. It overrides what they and their paths "
              "say, but not a `language` column. For PO and XLIFF, the source language.")  # fmt: skip
@click.option(
    "--ways", default="title,first-sentence", help="Ways to make questions, from question, title and first-sentence."
)
@click.option("--shortest", default=40, type=POSITIVE, help="Minimum length of a passage in characters.")
@options.column_option
def from_docs(paths: tuple[Path, ...], output: Path, ways: str, **reading: Any) -> None:
    """Make rows of pages, of translation files (PO, XLIFF) and of files of documents, or of all of them in folders.

    Files of documents are those that `panglot index` takes, but they need no id.

    A title, a question heading or a first sentence becomes the question, and the text below it the passage. Versions
    of a page in several languages are tied by path (en/page.html, de/page.html) and anchor.
    """
    converting.check_source(output, paths)
    made = documents.read(paths, ways=ways.split(","), **reading)
    converting.write_rows(made.rows, output)
    languages = sorted({row.language for row in made.rows})
    groups = sum(made.ways.values())
    click.echo(f"{output}: {len(made.rows):,} rows in {groups:,} groups, {made.tied:,} of them in several languages")
    click.echo(f"  languages: {' '.join(languages)}")
    for way, number in made.ways.items():
        click.echo(f"  {way} asks: {number:,} groups")
    for reason, number in made.left_out.items():
        click.echo(f"  left out, {reason}: {number:,}")
    for note in made.notes:
        click.echo(f"  {note}")


@click.group("data", commands=[convert, check, from_docs, list_sets, show])
def data() -> None:
    """List, show, convert and check data sets, and make them from documents."""
