"""``panglot data list`` and ``panglot data show``: known data sets, and what a data set or lexicon contains."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from panglot._errors import PanglotError
from panglot.cli import options
from panglot.cli.options import COUNT
from panglot.data.language import name as language_name
from panglot.datasets import registry

if TYPE_CHECKING:
    import pyarrow as pa

    from panglot.augment.lexicons import Lexicon
    from panglot.data.collection import Collection
    from panglot.datasets.catalog import DatasetCard


@click.command("list")
@options.data_dir_option
@options.json_option()
def list_sets(data_dir: Path | None, to_json: str | None) -> None:
    """List the known data sets, and where each is on this machine."""
    keys = ("name", "title", "task", "languages", "parallel", "size", "licence", "source", "parts", "candidates",
            "test_only", "hub")  # fmt: skip
    listed: list[dict[str, Any]] = []
    rows: list[tuple[str, str]] = []
    for card in registry.CARDS.values():
        place = "comes with panglot" if card.shipped else str(registry.find(card, data_dir) or "")
        listed.append({**{key: getattr(card, key) for key in keys}, "found": place or None})
        rows.append((card.name, _describe(card, place)))
    if options.deliver_json(listed, to_json):
        options.print_table(("name", "what it is, and where"), rows)


def _describe(card: DatasetCard, place: str) -> str:
    parts = f"parts: {', '.join(card.parts)}" if card.parts else ""
    facts = filter(None, (card.size, card.licence, parts, "never train on it" if "*" in card.test_only else ""))
    where = f"found: {place}" if place else f"not found, get it from {card.source}"
    languages = f"{len(card.languages)} languages: {' '.join(card.languages)}"
    return "\n".join((card.title, languages, "; ".join(facts), where, ""))


@click.command("show")
@click.argument("name")
@options.language_option
@options.data_dir_option
@click.option(
    "--limit", default=3, type=COUNT, help="Number of questions to print, or of lexicon entries per language."
)
@options.candidates_option
@click.option("--against", metavar="DATASET", help="For a lexicon: data set whose English words to look up.")
@options.list_option("--languages", metavar="CODES", help="For a lexicon: languages to show, such as de,sw.")
@options.json_option()
def show(
    name: str, language: str | None, data_dir: Path | None, limit: int, candidates: str | None, against: str | None,
    languages: list[str] | None, to_json: str | None,
) -> None:  # fmt: skip
    """Show what is in a data set (NAME, NAME:PART or a path) or a lexicon, with some of its rows."""
    from panglot.augment.lexicon_files import looks_like
    from panglot.augment.lexicons import KNOWN

    if name in KNOWN or (Path(name).exists() and looks_like(Path(name))):
        figures = _lexicon_figures(name, data_dir, limit, against, languages or [])
        printed = _print_lexicon
    elif against or languages:
        raise click.UsageError(f"--against and --languages are for lexicons, and {name} is a data set")
    else:
        collection = registry.read(options.in_language([name], language)[0], data_dir=data_dir, candidates=candidates)
        if to_json != "-":
            click.echo(repr(collection))
        figures = _collection_figures(collection, limit)
        printed = _print_collection
    if options.deliver_json(figures, to_json):
        printed(figures)


def _collection_figures(collection: Collection, limit: int) -> dict[str, Any]:
    questions, passages = _by_language(collection.questions), _by_language(collection.passages)
    return {
        "name": collection.name, "metadata": dict(collection.metadata), "digest": collection.digest,
        "questions": collection.questions.num_rows, "passages": collection.passages.num_rows,
        "judgements": collection.qrels.num_rows,
        "groups": len(collection.questions["group"].unique()),
        "by_language": {code: {"questions": questions[code], "passages": passages[code]}
                        for code in collection.languages},
        "samples": _question_samples(collection, limit),
    }  # fmt: skip


def _print_collection(figures: dict[str, Any]) -> None:
    from panglot.report.labels import shorten

    for key, value in figures["metadata"].items():
        if value:
            click.echo(f"  {key}: {value}")
    rows = [
        (code, language_name(code), f"{counts['questions']:,}", f"{counts['passages']:,}")
        for code, counts in figures["by_language"].items()
    ]
    options.print_table(("code", "language", "questions", "passages"), rows, right=(2, 3))
    for sample in figures["samples"]:
        click.echo(f"\n{sample['id']} [{sample['language']}] {sample['question']}")
        for passage in sample["passages"]:
            click.echo(f"  [{passage['language']}] {shorten(passage['text'], 160)}")


def _by_language(table: pa.Table) -> Counter[str]:
    return Counter({each["values"]: each["counts"] for each in table["language"].value_counts().to_pylist()})


def _question_samples(collection: Collection, limit: int) -> list[dict[str, Any]]:
    """Return ``limit`` questions, spread evenly over the collection, with their relevant passages."""
    left, right = collection.pairs
    number = collection.questions.num_rows
    found: list[dict[str, Any]] = []
    for row in [number * i // limit for i in range(min(limit, number))]:
        question = collection.questions.slice(row, 1).to_pylist()[0]
        # `take` would load the whole table into memory.
        passages = [collection.passages.slice(place, 1).to_pylist()[0] for place in right[left == row].tolist()]
        answers = [{"language": passage["language"], "text": passage["text"]} for passage in passages]
        sample = {"id": question["id"], "language": question["language"], "question": question["text"]}
        found.append({**sample, "passages": answers})
    return found


def _lexicon_figures(
    name: str, data_dir: Path | None, limit: int, against: str | None, languages: list[str]
) -> dict[str, Any]:
    """Return what ``panglot data show --json`` writes of a lexicon, with the words of ``against`` that it covers."""
    from panglot.augment import lexicons

    lexicon = lexicons.read([name], languages, data_dir)
    return {"name": name, "licence": lexicons.KNOWN.get(name), "digest": lexicon.digest, "entries": dict(lexicon.sizes),
            "missing": list(lexicon.missing), "coverage": _coverage(lexicon, against, data_dir) if against else None,
            "samples": _entry_samples(lexicon, limit)}  # fmt: skip


def _entry_samples(lexicon: Lexicon, limit: int) -> dict[str, list[list[str]]]:
    """Return ``limit`` entries of each language, spread evenly."""
    rows: dict[str, list[list[str]]] = {code: [] for code in lexicon.languages}
    for english, targets in lexicon.entries.items():
        for code, target in targets.items():
            rows[code].append([english, target])
    return {
        code: [found[len(found) * i // limit] for i in range(min(limit, len(found)))] for code, found in rows.items()
    }


def _coverage(lexicon: Lexicon, against: str, data_dir: Path | None) -> dict[str, Any]:
    from panglot.augment.codeswitch import coverage, english_texts

    texts = english_texts(registry.read(against, data_dir=data_dir))
    if not texts:
        hint = "name a data set with English, because lexicons translate from English"
        raise PanglotError(f"{against} has no English text", field="against", hint=hint)
    found = coverage(texts, lexicon)
    return {"against": against, "texts": found.texts, "words": found.words, "any": found.share(),
            "by_language": {code: found.share(code) for code in lexicon.languages}}  # fmt: skip


def _print_lexicon(figures: dict[str, Any]) -> None:
    """Print what :func:`_lexicon_figures` returned."""
    entries, share = figures["entries"], figures["coverage"]
    click.echo(f"{figures['name']}: {sum(entries.values()):,} usable entries in {len(entries)} languages")
    if figures["licence"]:
        click.echo(f"  licence: {figures['licence']}")
    if figures["missing"]:
        click.echo(f"  no entries in: {', '.join(figures['missing'])}")
    if share:
        click.echo(
            f"  covers {share['any']:.1%} of the {share['words']:,} words of {share['texts']:,} English texts of "
            f"{share['against']} in at least one language"
        )
    head = ("code", "language", "entries", *(("covers",) if share else ()), "rows")
    rows: list[tuple[str, ...]] = []
    for code, number in entries.items():
        covers = (f"{share['by_language'][code]:.1%}",) if share else ()
        some = "; ".join(f"{english} → {target}" for english, target in figures["samples"][code])
        rows.append((code, language_name(code), f"{number:,}", *covers, some))
    options.print_table(head, rows, right=(2, 3) if share else (2,))
