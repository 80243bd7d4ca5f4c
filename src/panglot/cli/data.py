"""``panglot data``: which data sets there are, what is in one, and what can be made of it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click
import pyarrow as pa

from panglot._files import write_json
from panglot.cli._measuring import split
from panglot.cli._tables import print_table
from panglot.cli.data_check import check
from panglot.cli.data_convert import convert
from panglot.cli.data_from_docs import from_docs
from panglot.cli.data_lexicon import is_lexicon, show_lexicon
from panglot.corpus import registry
from panglot.corpus.cards import CARDS, Card
from panglot.corpus.collection import Collection

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
    found = {name: "comes with panglot" if not card.folder else str(registry.find(card, data_dir) or "")
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
    from panglot.corpus.language import name as language_name

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


def _told(card: Card, place: str) -> str:
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
