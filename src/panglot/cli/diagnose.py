"""``panglot diagnose`` and ``panglot debias``: measure the language bias of a search, and reduce that of a model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from panglot.cli.options import (
    COUNT,
    PATH,
    chunk_option,
    column_option,
    command_line,
    data_dir_option,
    deliver_json,
    in_language,
    json_option,
    language_option,
    list_option,
    progress_to,
    refuse,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from panglot.search.index import Index
    from panglot.search.integrations.snippets import Snippet

_GROUPS = 50  # Documents, with their translations, whose titles are asked.


@click.command("diagnose")
@click.argument("source", metavar="DOCUMENTS|INDEX|COLLECTION")
@click.option("--output", type=PATH, metavar="FOLDER",
              help="Folder of the index and the report. By default NAME-diagnosis in the current folder.")  # fmt: skip
@click.option("--model", help="Model to encode with, as for `panglot evaluate`. By default `panglot-small`, or the "
              "model that the index was built with.")  # fmt: skip
@click.option(
    "--queries", type=PATH, help="Queries to ask, as JSON lines of group, language and text. By default titles."
)
@click.option("--seed", default=0, type=COUNT, help="Seed of the sample of titles and of the intervals.")
@column_option
@click.option("--language", metavar="CODE", help="Language of documents that do not name theirs. Detected by default.")
@chunk_option
@data_dir_option
@json_option()
def diagnose_command(
    source: str, output: Path | None, model: str | None, queries: Path | None, seed: int, to_json: str | None,
    **options: Any,
) -> None:  # fmt: skip
    """Say whether a search over DOCUMENTS prefers the language of the query, what helps, and what that costs.

    DOCUMENTS are what `panglot index` takes. They are indexed into the output folder. If the command is stopped, the
    same command resumes it, and later encodes only what has changed. No labels are needed: titles are asked, or your
    --queries.

    An INDEX of `panglot index` is used as it is. A COLLECTION has vectors already, which are read and not changed:
    qdrant://host:6333/NAME, qdrant:FOLDER/NAME, milvus://host:19530/NAME, milvus:FILE.db/NAME, lancedb:FOLDER/TABLE,
    or postgresql://host/DB?table=TABLE. Name the --model that encoded it.

    The report, report.html, has rankings before and after, and code to paste.
    """
    from panglot._files import write_text
    from panglot.debiasing import transform
    from panglot.report.diagnosis import diagnosis_page
    from panglot.search.diagnosis import diagnose
    from panglot.search.ingest.collections import without_password
    from panglot.search.integrations.snippets import snippets
    from panglot.search.metadata import IndexMetadata, is_index
    from panglot.search.queries import read_queries, sample_queries

    progress = progress_to(to_json)
    # A mistake in the queries must not come up after the documents were encoded.
    given = read_queries(queries) if queries is not None else None
    folder = output or Path(f"{_short_name(source)}-diagnosis")
    index = _open(source, folder, model, progress, options)
    asked = given or sample_queries(index.documents(), _GROUPS, seed)
    found = diagnose(index, asked, seed=seed, progress=progress)
    command = without_password(command_line())
    figures: dict[str, Any] = {"command": command, "index": str(index.folder), "seed": seed, **found.figures}
    named = IndexMetadata.open(index.folder).model
    moved = model if model and is_index(source) and model != named else ""
    code: list[Snippet] = []
    if best := figures["best"]:
        if found.debiasing is not None:
            folder.mkdir(parents=True, exist_ok=True)
            transform.save(found.debiasing, folder, {"fitted_on": "the documents", "trial": best})
        code = snippets(
            best, index.folder, folder, model=moved or named, moved=moved, output=folder / "corrected",
            strength=found.debiasing.strength if found.debiasing else 1.0,
        )  # fmt: skip
    figures["code"] = [each._asdict() for each in code]
    write_text(folder / "report.html", diagnosis_page(figures, code, command))
    index.close()
    if deliver_json(figures, to_json):
        _print(figures, folder)


def _open(
    source: str, folder: Path, model: str | None, progress: Callable[[str], None], options: dict[str, Any]
) -> Index:
    """Return an index, which is built if documents are named."""
    from panglot.encoders.shipped import DEFAULT
    from panglot.search.index import Index
    from panglot.search.ingest.collections import index_collection, is_collection
    from panglot.search.ingest.sources import find_documents
    from panglot.search.metadata import is_index

    if is_index(source):
        refuse(options, "does nothing for an index, which has its documents already", "leave it out")
        return Index.open(source, model=model)
    if is_collection(source):
        refuse({"language"}, "does nothing for a collection", "name the field with --column language=NAME")
        refuse({"chunk_tokens"}, "does nothing for a collection, whose documents have one vector each", "leave it out")
        refuse({"data_dir"}, "does nothing for a collection", "leave it out")
        columns = options["columns"]
        return index_collection(source, folder / "index", model or DEFAULT, columns, progress=progress)
    documents = find_documents(source, progress=progress, **options)
    if not is_index(folder / "index"):
        return Index.build(documents, folder / "index", model=model or DEFAULT, progress=progress)
    index = Index.open(folder / "index", model=model)
    done = ", ".join(f"{number:,} {what}" for what, number in index.update(documents).items() if number)
    progress(f"{folder / 'index'} is of an earlier call; {done or 'nothing changed'}")
    return index


def _short_name(source: str) -> str:
    """Return the name of a file, an index or a collection.

    >>> _short_name("data/help.jsonl.gz"), _short_name("postgresql://host/db?table=help")
    ('help', 'db-table-help')
    """
    name = source.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^\w-]+", "-", name.partition(".")[0]) or "documents"


def _print(found: dict[str, Any], folder: Path) -> None:
    from rich.console import Console

    from panglot.report import print_table
    from panglot.report.diagnosis import HEADINGS, findings, headline, trials_table

    click.echo(f"{headline(found)}.\n")
    print_table(trials_table(found, intervals=False), Console())
    for key, lines in findings(found).items():
        if lines:
            click.echo(f"\n{HEADINGS[key]}")
            for line in lines:
                click.echo(f"  - {line}")
    for snippet in found["code"][:1]:
        click.echo(f"\nCode to paste\n\n{snippet['code']}")
    others = [each["title"] for each in found["code"][1:]]
    more = f", with code for {', '.join(others)}" if others else ""
    click.echo(f"Rankings before and after{more}: {folder / 'report.html'}")


@click.command("debias")
@click.argument("model")
@click.option(
    "--on", multiple=True, metavar="SET",
    help="Data set to fit on, as NAME[:PART][@CANDIDATES] or a path. Repeat for more. By default those of "
    "starter:train, ntrex-128:train@passage and libreoffice-help:train that are on this machine.",
)  # fmt: skip
@click.option(
    "--method", type=click.Choice(["center", "shift", "lir", "lsar", "leace"]), default="center",
    help="Method of debiasing.",
)  # fmt: skip
@click.option("--strength", type=float, default=1.0, help="Share of the correction to apply, from 0 to 1.")
@click.option(
    "--whiten", type=float, metavar="SHRINKAGE",
    help="Whiten the result within groups of translations, with a shrinkage from 0 to 1, such as .8.",
)  # fmt: skip
@click.option("--output", type=PATH, required=True, help="Folder to write.")
@click.option("--rank", type=int, help="Number of directions to remove, for lir (1) and lsar (languages less one).")
@list_option("--languages", metavar="CODES", help="Languages to fit on, such as en,de,zh. All by default.")
@click.option("--texts", default=200, help="Maximum number of texts per side and language.")
@click.option("--pivot", metavar="CODE", help="Language that `shift` does not change. English by default.")
@click.option("--seed", type=COUNT, default=0, help="Seed of the sample of texts.")
@language_option
@data_dir_option
@json_option("settings and figures")
def debias_command(model: str, on: tuple[str, ...], to_json: str | None, language: str | None, **options: Any) -> None:
    """Make MODEL's vectors similar across languages without training, and write both as a folder.

    center subtracts the mean of a text's language. shift subtracts a mean that is measured on translations, from
    passages only. lir removes the leading directions of each language. lsar removes those in which languages differ.
    leace erases the language with the smallest change of the vectors. lsar, leace and `--strength 0 --whiten .8` need
    no language, so plain sentence-transformers applies them.
    """
    import json

    from panglot.debiasing.debias import debias
    from panglot.debiasing.transform import HEAD

    folder = debias(model, in_language(on, language) or None, progress=progress_to(to_json), **options)
    head: dict[str, Any] = {"folder": str(folder), **json.loads((folder / HEAD).read_text("utf-8"))}
    if not deliver_json(head, to_json):
        return
    click.echo(f"fitted on {', '.join(each['name'] for each in head['on'])}")
    others = [(f" of {name}", distance) for name, distance in head["on_other_text"].items()]
    for where, distance in [("", head["distance_between_languages"]), *others]:
        for side, before in distance["before"].items():
            after = distance["after"][side]
            click.echo(f"mean distance between languages, {side}s{where}: {before:.3f} before, {after:.3f} after")
    click.echo(f"wrote {folder}. Next: panglot compare {model} {folder} --test DATASET")
