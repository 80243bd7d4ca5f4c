"""``panglot data``: which data sets there are, what is in one, and what can be made of it."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import click
import pyarrow as pa

from panglot._errors import PanglotError
from panglot._files import write_json
from panglot.cli.data_convert import convert
from panglot.cli.data_lexicon import is_lexicon, show_lexicon
from panglot.cli.options import print_table, split
from panglot.data.collection import Collection
from panglot.data.convert import write_rows
from panglot.data.pages import from_docs as documents
from panglot.data.rows import RowError, write_rejected
from panglot.datasets import check as checking
from panglot.datasets import registry
from panglot.datasets.card import CARDS, DatasetCard

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
        _write(to, _findings(report))
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
        examples = ", ".join(_short(text, 60) for text in remark.examples)
        click.echo(f"look at: {remark.number:,} {remark.what} ({examples}). Fix: {remark.hint}")
    for overlap in report.overlaps:
        click.echo(
            f"overlap with {overlap.test}: {overlap.equal:,} equal texts, {overlap.near:,} near ones, in "
            f"{overlap.groups:,} groups. The highest share below the threshold is {overlap.highest:.2f}"
        )
        for own, other in overlap.examples:
            click.echo(f"  {_short(own, 100)} = {_short(other, 100)}")
        if overlap.nearest is not None:
            click.echo(f"  nearest below it: {_short(overlap.nearest[0], 100)} ~ {_short(overlap.nearest[1], 100)}")
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
@click.option("--language", help="Language of documents that do not tell theirs.")
@click.option("--ways", default="title,first-sentence", show_default=True, help="question, title, first-sentence.")
@click.option(
    "--shortest", default=40, show_default=True, type=click.IntRange(1), help="Letters of a passage at least."
)
@click.option("--column", "columns", multiple=True, metavar="ROLE=NAME",
              help="For CSV and TSV: which column is title, text, language, group; repeat for more.")  # fmt: skip
def from_docs(
    paths: tuple[Path, ...], output: Path, language: str | None, ways: str, shortest: int, columns: tuple[str, ...]
) -> None:
    """Make rows of HTML, Markdown, PO, XLIFF, CSV and TSV files, or of all such files in folders.

    A title, a question heading or a first sentence asks; the text below answers. Versions of a page in several
    languages are tied by path (en/page.html, de/page.html) and anchor.
    """
    roles: dict[str, str] = {}
    for text in columns:
        role, mark, name = text.partition("=")
        if not mark:
            raise PanglotError(f"{text!r} names no column", field="column", hint="write e.g. text=body")
        roles[role] = name
    made = documents.read(paths, language=language, ways=ways.split(","), shortest=shortest, columns=roles)
    write_rows(made.rows, output)
    spoken = sorted({row.language for row in made.rows})
    groups = sum(made.ways.values())
    click.echo(f"{output}: {len(made.rows):,} rows in {groups:,} groups, {made.tied:,} of them in several languages")
    click.echo(f"  languages: {' '.join(spoken)}")
    for way, number in made.ways.items():
        click.echo(f"  {way} asks: {number:,} groups")
    for why, number in made.left_out.items():
        click.echo(f"  left out, {why}: {number:,}")


_DATA_DIR = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Folder that holds the data sets; else PANGLOT_DATA."
)
_JSON = click.option("--json", "to", metavar="PATH", help="Write the figures as JSON; - is standard output.")


@click.group("data")
def data() -> None:
    """Look at data sets, convert and check them, and make them of documents."""


data.add_command(convert)
data.add_command(check)
data.add_command(from_docs)


@data.command("list")
@_DATA_DIR
@_JSON
def list_sets(data_dir: Path | None, to: str | None) -> None:
    """List the known data sets, and which of them are at hand."""
    found = {name: "comes with panglot" if card.shipped else str(registry.find(card, data_dir) or "")
             for name, card in CARDS.items()}  # fmt: skip
    if to:
        _write(to, [
            {"name": card.name, "title": card.title, "task": card.task, "languages": card.languages,
             "parallel": card.parallel, "size": card.size, "licence": card.licence, "source": card.source,
             "parts": card.parts, "candidates": card.candidates, "test_only": card.test_only, "hub": card.hub,
             "found": found[card.name] or None}
            for card in CARDS.values()
        ])  # fmt: skip
    if to == "-":
        return
    rows = [(card.name, _told(card, found[card.name])) for card in CARDS.values()]
    print_table(("name", "what it is, and where"), rows)


@data.command("show")
@click.argument("name")
@_DATA_DIR
@click.option("--limit", default=3, show_default=True, type=click.IntRange(0), help="How many questions to print.")
@click.option("--candidates", type=click.Choice(["sentence", "paragraph"]), help="What the passages are.")
@click.option("--against", metavar="DATASET", help="For a lexicon: how much of a data set's English it covers.")
@click.option("--languages", metavar="CODES", help="For a lexicon: these only, such as de,sw.")
@_JSON
def show(
    name: str,
    data_dir: Path | None,
    limit: int,
    candidates: str | None,
    against: str | None,
    languages: str | None,
    to: str | None,
) -> None:
    """Show what is in a data set (NAME, NAME:PART or a path), or in a lexicon, with some rows of it."""
    if is_lexicon(name):
        show_lexicon(name, data_dir, limit=limit, against=against, languages=split(languages) or [], to=to)
        return
    if against or languages:
        raise click.UsageError(f"--against and --languages are for lexicons, and {name} is none")
    collection = registry.read(name, data_dir=data_dir, candidates=candidates)
    counts = [_by_language(table) for table in (collection.questions, collection.passages)]
    samples = _samples(collection, limit)
    if to:
        _write(to, {
            "name": collection.name, "about": dict(collection.about), "digest": collection.digest,
            "questions": collection.questions.num_rows, "passages": collection.passages.num_rows,
            "judgements": collection.relevance.num_rows,
            "groups": len(collection.questions["group"].unique()),
            "by_language": {code: {"questions": counts[0][code], "passages": counts[1][code]}
                            for code in collection.languages},
            "samples": samples,
        })  # fmt: skip
    if to == "-":
        return
    from panglot.data.language import name as language_name

    click.echo(repr(collection))
    for key, value in collection.about.items():
        if value:
            click.echo(f"  {key}: {value}")
    rows = [
        (code, language_name(code), f"{counts[0][code]:,}", f"{counts[1][code]:,}") for code in collection.languages
    ]
    print_table(("code", "language", "questions", "passages"), rows, right=(2, 3))
    for sample in samples:
        click.echo(f"\n{sample['id']} [{sample['language']}] {sample['question']}")
        for passage in sample["passages"]:
            click.echo(f"  [{passage['language']}] {_short(passage['text'])}")


def _told(card: DatasetCard, place: str) -> str:
    """Return the lines of the list about one set."""
    parts = f"; parts: {', '.join(card.parts)}" if card.parts else ""
    never = "; never train on it" if "*" in card.test_only else ""
    where = f"at hand: {place}" if place else f"not at hand; get it from {card.source}"
    languages = f"{len(card.languages)} languages: {' '.join(card.languages)}"
    return "\n".join((card.title, languages, f"{card.size}; {card.licence}{parts}{never}", where, ""))


def _by_language(table: pa.Table) -> Counter[str]:
    return Counter({each["values"]: each["counts"] for each in table["language"].value_counts().to_pylist()})


def _samples(collection: Collection, limit: int) -> list[dict[str, Any]]:
    """Return the first ``limit`` questions, spread over the collection, with their relevant passages."""
    left, right = collection.pairs
    number = collection.questions.num_rows
    found: list[dict[str, Any]] = []
    for row in [number * i // limit for i in range(min(limit, number))]:
        question = collection.questions.slice(row, 1).to_pylist()[0]
        # `take` would put the whole table into memory.
        passages = [collection.passages.slice(place, 1).to_pylist()[0] for place in right[left == row].tolist()]
        answers = [{"language": passage["language"], "text": passage["text"]} for passage in passages]
        sample = {"id": question["id"], "language": question["language"], "question": question["text"]}
        found.append({**sample, "passages": answers})
    return found


def _short(text: str, length: int = 160) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def _write(to: str, value: object) -> None:
    if to == "-":
        click.echo(json.dumps(value, ensure_ascii=False, indent=2))
    else:
        write_json(to, value)
