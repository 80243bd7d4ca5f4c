"""``panglot diagnose``: measure the language bias of documents or an index, try what reduces it, and write a page."""

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
    json_option,
    progress_to,
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
@click.option(
    "--model", help="As for `panglot evaluate`; by default `panglot-small`, or the model that the index was built with."
)
@click.option("--queries", type=PATH, help="JSON lines of group, language and text to ask; by default titles.")
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
    same command resumes it, and later uses the same index. No labels are needed: titles are asked, or your --queries.

    An INDEX of `panglot index` is used as it is. A COLLECTION has vectors already, which are read and not changed:
    qdrant://host:6333/NAME, qdrant:FOLDER/NAME, milvus://host:19530/NAME, milvus:FILE.db/NAME, lancedb:FOLDER/TABLE,
    or postgresql://host/DB?table=TABLE. Name the --model that encoded it.

    The report, report.html, has rankings before and after, and code to paste.
    """
    from panglot._files import write_text
    from panglot.debiasing import transform
    from panglot.report.diagnosis import diagnosis_page
    from panglot.search.audit import read_queries, sample_queries
    from panglot.search.diagnosis import diagnose
    from panglot.search.ingest.collections import without_password
    from panglot.search.integrations.snippets import snippets
    from panglot.search.metadata import IndexMetadata

    progress = progress_to(to_json)
    # A mistake in the queries must not come up after the documents were encoded.
    given = read_queries(queries) if queries is not None else None
    folder = output or Path(f"{_short_name(source)}-diagnosis")
    index, documents = _open(source, folder, model, progress, options)
    asked = given or sample_queries(index.documents(), _GROUPS, seed)
    found = diagnose(index, asked, seed=seed, progress=progress)
    command = without_password(command_line())
    figures: dict[str, Any] = {"command": command, "index": str(index.folder), "seed": seed, **found.figures}
    name = model or IndexMetadata.open(index.folder).model or "the model"
    code: list[Snippet] = []
    if best := figures["best"]:
        if found.debiasing is not None:
            folder.mkdir(parents=True, exist_ok=True)
            transform.save(found.debiasing, folder, {"fitted_on": "the documents", "trial": best})
        code = snippets(best, index.folder, folder, documents=documents, model=name, output=folder / "corrected")
    figures["code"] = [each._asdict() for each in code]
    write_text(folder / "report.html", diagnosis_page(figures, code, command))
    index.close()
    if deliver_json(figures, to_json):
        _print(figures, folder)


def _open(
    source: str, folder: Path, model: str | None, progress: Callable[[str], None], options: dict[str, Any]
) -> tuple[Index, str]:
    """Return an index, which is built if documents are named, and the name of the documents."""
    from panglot._errors import PanglotError
    from panglot.encoders.shipped import DEFAULT
    from panglot.search.index import Index
    from panglot.search.ingest.collections import index_collection, is_collection
    from panglot.search.ingest.sources import find_documents
    from panglot.search.metadata import is_index

    if is_index(source):
        for name, flag in {"columns": "column", "language": "language", "chunk_tokens": "chunk-tokens"}.items():
            if options[name]:
                problem, hint = "an index has its documents already", f"leave out --{flag}"
                raise PanglotError(problem, field=name, hint=hint)
        return Index.open(source, model=model), "DOCUMENTS"
    if is_collection(source):
        if options["chunk_tokens"]:
            problem, hint = "documents of a collection have one vector each", "leave out --chunk-tokens"
            raise PanglotError(problem, field="chunk_tokens", hint=hint)
        if options["language"]:
            problem, hint = "languages of a collection are its own", "name their field with --column language=NAME"
            raise PanglotError(problem, field="language", hint=hint)
        columns = options["columns"]
        return index_collection(source, folder / "index", model or DEFAULT, columns, progress=progress), "DOCUMENTS"
    documents = find_documents(source, progress=progress, **options)
    return Index.build(documents, folder / "index", model=model or DEFAULT, progress=progress), source


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
