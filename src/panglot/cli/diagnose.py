"""Commands that find where a search or a model fails in a language: ``diagnose`` and ``probe``."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from panglot._errors import PanglotError
from panglot.cli import options
from panglot.cli.options import COUNT, OUTPUT, OUTPUT_FILE, PATH, POSITIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console

    from panglot.report.tables import Cell, Row, Table
    from panglot.search.index import Index
    from panglot.search.integrations.snippets import Snippet

_GROUPS = 50  # Documents, with their translations, whose titles are asked.
_EXAMPLES = 3  # Weak pairs that are printed.
_RECORD = "diagnosis.json"  # The file of a folder that says what its diagnosis is of.


@click.command("diagnose", cls=options.SectionedCommand, sections={
    "output": "Output", "model": "Model", "queries": "Queries", "columns": "Documents", "to_json": "Output",
})  # fmt: skip
@click.argument("source", metavar="DOCUMENTS|INDEX|COLLECTION")
@click.option("--output", type=OUTPUT, metavar="FOLDER",
              help="Folder of the report and of the index of DOCUMENTS, which must not be an index itself. By default "
              "NAME-diagnosis in the current folder.")  # fmt: skip
@click.option("--model", help="Model to encode with, as for `panglot evaluate`. By default `panglot-small`, or the "
              "model that the index was built with.")  # fmt: skip
@click.option(
    "--queries", type=PATH, help="Queries to ask, as JSON lines of group, language and text. By default titles."
)
@click.option("--seed", default=0, type=COUNT, help="Seed of the sample of titles and of the intervals.")
@options.column_option
@click.option("--language", metavar="CODE", help="Language of documents that do not name theirs. Detected by default.")
@options.chunk_option
@options.data_dir_option
@options.json_option()
def diagnose_command(
    source: str, output: Path | None, model: str | None, queries: Path | None, seed: int, to_json: str | None,
    **reading: Any,
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
    from panglot._files import write_json, write_text
    from panglot.debiasing import correction
    from panglot.report.diagnosis_page import diagnosis_page
    from panglot.search.diagnosis import diagnose
    from panglot.search.ingest.collections import describe_collection, is_collection, without_password
    from panglot.search.integrations.snippets import snippets
    from panglot.search.metadata import IndexMetadata, is_index
    from panglot.search.queries import read_queries, sample_queries

    progress = options.progress_to(to_json)
    # A mistake in the queries must not come up after the documents were encoded.
    given = read_queries(queries) if queries is not None else None
    folder = _choose_folder(source, output)
    index = _open_index(source, folder, model, progress, reading)
    write_json(folder / _RECORD, {"source": _relative(source, folder)})
    asked = given or sample_queries(index.documents(), _GROUPS, seed)
    found = diagnose(index, asked, seed=seed, progress=progress)
    command = without_password(options.command_line())
    figures: dict[str, Any] = {"command": command, "index": str(index.folder), "seed": seed, **found.figures}
    named = IndexMetadata.open(index.folder).model
    moved = model if model and is_index(source) and model != named else ""
    code: list[Snippet] = []
    if best := figures["best"]:
        if found.debiasing is not None:
            correction.save(found.debiasing, folder, {"fitted_on": "the documents", "trial": best})
        code = snippets(
            best, index.folder, folder, model=moved or named, moved=moved, output=folder / "corrected",
            strength=found.debiasing.strength if found.debiasing else 1.0,
            layout=describe_collection(source, reading["columns"]) if is_collection(source) else None,
        )  # fmt: skip
    figures["code"] = [each._asdict() for each in code]
    write_text(folder / "report.html", diagnosis_page(figures, code, command))
    index.close()
    if options.deliver_json(figures, to_json):
        _print_diagnosis(figures, folder)


def _choose_folder(source: str, output: Path | None) -> Path:
    """Return the folder to write: ``output``, or by default one in the current folder that is named after the source.

    Raises:
        PanglotError: The folder is an index or a debiased model, whose correction would be replaced. Or it is the
            default, and the diagnosis in it is of another source.
    """
    from panglot.debiasing.correction import HEAD
    from panglot.search.metadata import is_index

    folder = output or Path(f"{_short_name(source)}-diagnosis")
    head = folder / HEAD
    # The correction of a diagnosis names its trial.
    if is_index(folder) or (head.is_file() and '"trial"' not in head.read_text("utf-8", "replace")):
        problem = "the folder is an index or a debiased model, whose own correction would be replaced"
        raise PanglotError(problem, file=folder, field="output", hint="name another folder")
    try:
        before = json.loads((folder / _RECORD).read_text("utf-8"))["source"]
    except (OSError, ValueError, KeyError, TypeError):  # Earlier versions kept no record.
        return folder
    if output is None and before != (now := _relative(source, folder)):
        problem = f"the folder has the diagnosis of {before}, and {now} is named (both as seen from the folder)"
        hint = f"name a folder with --output. `--output {folder}` replaces the documents that its index holds"
        raise PanglotError(problem, file=folder, field="output", hint=hint)
    return folder


def _open_index(
    source: str, folder: Path, model: str | None, progress: Callable[[str], None], reading: dict[str, Any]
) -> Index:
    """Return the index that is named, or one of the documents that are, which is kept in the folder."""
    from panglot.encoders.model_folders import DEFAULT
    from panglot.search.index import Index
    from panglot.search.ingest.collections import index_collection, is_collection
    from panglot.search.ingest.sources import find_documents
    from panglot.search.metadata import is_index

    if is_index(source):
        options.refuse(reading, "does nothing for an index, which has its documents already", "leave it out")
        return Index.open(source, model=model)
    if is_collection(source):
        options.refuse({"language"}, "does nothing for a collection", "name the field with --column language=NAME")
        options.refuse(
            {"chunk_tokens"}, "does nothing for a collection, whose documents have one vector each", "leave it out"
        )
        options.refuse({"data_dir"}, "does nothing for a collection", "leave it out")
        columns = reading["columns"]
        return index_collection(source, folder / "index", model or DEFAULT, columns, progress=progress)
    documents = find_documents(source, progress=progress, **reading)
    if not is_index(folder / "index"):
        return Index.build(documents, folder / "index", model=model or DEFAULT, progress=progress)
    index = Index.open(folder / "index", model=model)
    done = ", ".join(f"{number:,} {what}" for what, number in index.update(documents).items() if number)
    progress(f"{folder / 'index'} is of an earlier call; {done or 'nothing changed'}")
    return index


def _relative(source: str, folder: Path) -> str:
    """Return a path as seen from the folder, so that both can be moved together. Other names stay as they are."""
    from panglot.search.ingest.collections import without_password

    path = Path(source).expanduser()
    if not path.exists():
        return without_password(source)
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # On Windows, the two may be on different drives.
        return path.resolve().as_posix()


def _short_name(source: str) -> str:
    """Return the name of a file, an index or a collection.

    >>> _short_name("data/help.jsonl.gz"), _short_name("postgresql://host/db?table=help")
    ('help', 'db-table-help')
    """
    name = source.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^\w-]+", "-", name.partition(".")[0]) or "documents"


def _print_diagnosis(found: dict[str, Any], folder: Path) -> None:
    from panglot.report import print_table
    from panglot.report.diagnosis_page import HEADINGS, findings, headline, trials_table

    click.echo(f"{headline(found)}.\n")
    print_table(trials_table(found, intervals=False), options.console())
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


@click.command("probe", cls=options.SectionedCommand, sections={
    "languages": "Questions", "start": "Search for changes", "pools": "Data", "to_json": "Output", "data_dir": "Data",
})  # fmt: skip
@click.argument("model")
@click.argument("dataset")
@click.option("--language", "languages", multiple=True, metavar="CODE", help="Language to probe. Repeat for more.")
@click.option(
    "--k", default=10, type=POSITIVE, help="Number of first passages among which a question must find a relevant one."
)
@click.option("--start", type=click.Choice(["both", "near", "weak", "random"]), default="both",
              help="Questions to start from: nearest to failing, already weak, both in turn, or random.")  # fmt: skip
@click.option("--limit", default=20, type=COUNT, help="Number of start questions per language.")
@click.option("--beam", default=3, type=POSITIVE, help="Number of changed versions to keep per question.")
@click.option("--depth", default=2, type=COUNT, help="Number of changes in a row. 0 turns the search off.")
@click.option("--budget", default=2000, type=COUNT, help="Maximum number of texts to encode.")
@click.option("--distractors", default=2, type=COUNT, help="Number of added sentences to try per question.")
@click.option(
    "--pools", type=click.Choice(["whole", "common"]), help="Passages to search: all, or those of common groups."
)
@options.candidates_option
@options.context_option
@click.option("--seed", default=0, type=COUNT, help="Seed of the drawn sentences and questions.")
@options.json_option()
@click.option("--output", type=OUTPUT_FILE, help="File for the weak pairs, as JSON lines.")
@options.data_dir_option
@options.trust_option
def probe_command(
    model: str, dataset: str, languages: tuple[str, ...], to_json: str | None, output: Path | None, **settings: Any
) -> None:
    """Find questions that succeed in English and fail in another language, over parallel pools of DATASET.

    Then search for changes of questions that keep the meaning and hurt the other language more than English. Train on
    the pairs that are found, or hold them out.
    """
    from panglot.probe.probe import probe

    progress = options.progress_to(to_json)
    settings["languages"] = list(languages) or None
    found = probe(model, dataset, command=options.command_line(), progress=progress, **settings)
    if output is not None:
        found.write_pairs(output)
        progress(f"wrote {len(found.pairs):,} lines to {output}" if found.pairs else f"no weak pair: {output} is empty")
        if found.pairs and found.figures["dataset"]["test_only"]:
            progress(f"{found.figures['dataset']['name']} is a test set: hold these pairs out, never train on them")
    if options.deliver_json(found.figures, to_json):
        _print_weak(found.figures, options.console())


def _print_weak(figures: Mapping[str, Any], console: Console) -> None:
    from rich.text import Text

    from panglot.report import print_table
    from panglot.report.labels import sanitize

    dataset, k = figures["dataset"], figures["settings"]["k"]
    weak = f"{sanitize(figures['model']['name'])}, weak at {k}: found in the first {k} in English, but not otherwise"
    console.print()
    console.print(Text.assemble((sanitize(dataset["name"]), "bold"), "  ", (weak, "dim")))
    for kind, slices in figures["by"].items():
        if kind != "all" and (len(slices) > 1 or kind == "language"):
            console.print()
            print_table(_slices(kind, slices, figures["languages"]), console)
    console.print()
    if not figures["weak"]:
        console.print("No weak pair: the other languages find everything that English finds.")
    else:
        print_table(_examples(figures["weak"]), console)
    if search := figures["search"]:
        console.print()
        print_table(_changes(search), console)
        console.print(Text(_search_result(search), style="italic"))
    for missing in figures["not_measured"]:
        console.print(Text.assemble("\n", (sanitize(missing["what"]), "bold"), f": {sanitize(missing['why'])}."))


def _slices(kind: str, slices: Mapping[str, Any], languages: Mapping[str, Any]) -> Table:
    from panglot.report.labels import format_interval, format_number, language_name
    from panglot.report.tables import Cell, Column, Row, Table

    own = kind == "language"
    headings = ["weak", "of", "share", "interval", "against the rest", *(["reverse"] if own else [])]
    rows: list[Row] = []
    for name, one in slices.items():
        texts = [
            format_number(one["weak"], "count"), format_number(one["questions"], "count"), format_number(one["rate"]),
            format_interval(one["interval"]), format_interval(one["difference_interval"], sign=True),
            *([format_number(languages[name]["only_in_the_other"], "count")] if own else []),
        ]  # fmt: skip
        rows.append(Row(name, [Cell(text) for text in texts], language=own and language_name(name).english != name))
    title = f"Weak by {kind}" + (" of the English version" if kind in {"length", "question word"} else "")
    return Table(title, [Column(heading) for heading in headings], rows, corner=kind)


def _examples(weak: Sequence[Mapping[str, Any]]) -> Table:
    from panglot.report.labels import shorten
    from panglot.report.tables import Cell, Column, Row, Table

    count = min(_EXAMPLES, len(weak))
    rows: list[Row] = []
    for number in range(count):
        # Spread over the list, which is ordered by language.
        one = weak[number * len(weak) // count]
        texts = (one["question_in_english"], one["question"], f"→ {one['instead']['text']}")
        codes, ranks = ("en", str(one["language"])), (one["rank_in_english"], one["rank"])
        question = Cell("\n".join(shorten(text, 120) for text in texts))
        rows.append(Row("/".join(codes), [Cell("\n".join(f"{rank:,}" for rank in ranks)), question]))
    columns = [Column("rank"), Column("question, and the passage that comes first instead", left=True)]
    return Table(f"Weak pairs, {count} of {len(weak):,}; the JSON has all", columns, rows, corner="")


def _changes(search: Mapping[str, Any]) -> Table:
    from panglot.report.labels import format_interval, format_number
    from panglot.report.tables import simple_table

    rows: list[list[str | Cell]] = []
    for name, one in search["changes"].items():
        margins = [format_number(one[key], digits=4, sign=True) for key in ("drop", "drop_in_english", "score")]
        interval = format_interval(one["score_interval"], digits=4, sign=True)
        weak = f"{one['made_weak']} of {one['not_weak_before']}"
        rows.append([name, format_number(one["questions"], "count"), *margins, interval, weak])
    headings = ("change", "of", "drop", "English", "score", "interval", "made weak")
    title = "Single changes, the strongest first: drop of the margin, also in English"
    return simple_table(headings, rows, title=title)


def _search_result(search: Mapping[str, Any]) -> str:
    made = sum(one["made_weak"] for one in search["by_language"].values())
    sound = sum(one["not_weak_before"] for one in search["by_language"].values())
    return (
        f"Search from {search['questions']:,} of {search['questions_wanted']:,} questions, {search['texts']:,} texts: "
        f"{made} of the {sound} that were not weak became weak."
    )
