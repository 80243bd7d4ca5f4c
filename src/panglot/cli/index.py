"""``panglot index``, ``search`` and ``serve``: build and change an index, search in it, serve it over HTTP."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from panglot._environment import require
from panglot._errors import PanglotError
from panglot.cli import options
from panglot.cli.options import COUNT, PATH, POSITIVE
from panglot.search.document import Filter
from panglot.search.ranking.modes import MODES, Mode
from panglot.search.request import Hit, Option, SearchRequest, SearchResult, Version, search_options

if TYPE_CHECKING:
    from panglot._environment import Precision

_FLAGS = {"k": "--top", "preferred_languages": "--prefer"}
_METAVARS = {"language": "CODE", "default_language": "CODE", "languages": "CODES", "preferred_languages": "CODES",
             "fields": "NAMES"}  # fmt: skip
_TOP = 5
"""Results to print: fewer than a program gets, because each takes some lines of a terminal."""


@click.command("index", cls=options.SectionedCommand, sections={
    "output": "Index", "model": "Encoding", "add": "Changes to an index", "columns": "Documents", "to_json": "Output",
})  # fmt: skip
@click.argument("documents", required=False)
@click.option("--output", type=PATH, required=True, metavar="INDEX", help="Folder of the index.")
@click.option("--model", help="Model to encode with, as for `panglot evaluate`. By default `panglot-small`, or the "
              "model that the index was built with.")  # fmt: skip
@click.option("--backend", type=click.Choice(["auto", "torch", "openvino"]), default="auto",
              help="Inference backend used while indexing. auto is numpy for few texts, else torch.")  # fmt: skip
@options.precision_option
@click.option("--store", metavar="WHERE", help="Store of documents, milvus://host:port/NAME. By default the folder.")
@click.option("--encoder", "on", metavar="WHERE",
              help="Encode in a Ray cluster, ray or ray://host:port. By default in this process.")  # fmt: skip
@click.option("--processes", type=POSITIVE, metavar="N", help="Encode in N processes on this machine.")
@click.option("--center-strength", type=float, metavar="SHARE",
              help="Share of a language's mean that centered and balanced subtract, 0 to 1. By default 1.")  # fmt: skip
@click.option("--hybrid", is_flag=True, help="Index words now instead of at the first hybrid search.")
@click.option("--add", is_flag=True, help="Add DOCUMENTS to an index, in place of those with the same ids.")
@click.option("--update", is_flag=True, help="Make an index hold DOCUMENTS and no others, and encode what is new.")
@click.option("--delete", metavar="IDS", help="Delete documents by id, such as 17,18. @FILE has one id per line.")
@click.option("--snapshot", type=PATH, metavar="FOLDER",
              help="Copy the index to a new folder, with hard links where possible.")  # fmt: skip
@options.column_option
@click.option("--language", metavar="CODE", help="Language of documents that do not name theirs. Detected by default.")
@options.chunk_option
@options.data_dir_option
@options.json_option("what was done")
def index_command(
    documents: str | None, output: Path, model: str | None, backend: str, precision: Precision, store: str | None,
    on: str | None, processes: int | None, center_strength: float | None, *, hybrid: bool, add: bool, update: bool,
    delete: str | None, snapshot: Path | None, to_json: str | None, **source: Any,
) -> None:  # fmt: skip
    """Encode DOCUMENTS and write an index to search in.

    DOCUMENTS is a file of JSON lines, a JSON array, Parquet, CSV or TSV with `id` and `text`, a folder of pages (HTML,
    Markdown, text, PDF, PO, XLIFF), an index, a BEIR folder, or a data set as `panglot evaluate` takes it, by path or
    by name. Optional fields are `title`, `language`, and `group`, which translations share. Other fields are kept.

    If the command is stopped, the same command resumes it. If it is finished, the same command changes nothing.
    """
    from panglot.encoders.model_folders import DEFAULT
    from panglot.search import metadata
    from panglot.search.index import Index
    from panglot.search.ingest.sources import find_documents

    if snapshot is not None:
        options.refuse(
            {"documents", *options.all_but("output", "snapshot", "to_json")},
            "does nothing for a snapshot",
            "leave it out",
        )
        metadata.snapshot(output, snapshot)
        if options.deliver_json({"folder": str(output), "snapshot": str(snapshot)}, to_json):
            click.echo(f"{snapshot}: a copy of {output}")
        return
    if documents is None and delete is None:
        raise PanglotError("DOCUMENTS is required", field="documents", hint="name a file, or ids to --delete")
    if documents is None:
        options.refuse({"add", *source}, "does nothing without DOCUMENTS", "name them, or leave it out")
    if on and processes:
        hint = "leave out --processes or --encoder"
        raise PanglotError("documents are encoded in one place", field="processes", hint=hint)
    on = on or (f"processes:{processes}" if processes else "")
    progress = options.progress_to(to_json)
    found = find_documents(documents, progress=progress, **source) if documents is not None else None
    done = {"added": 0, "deleted": 0}
    if update and (add or delete is not None or found is None):
        problem, hint = "--update makes an index hold DOCUMENTS and no others", "leave out --add and --delete"
        raise PanglotError(problem, field="update", hint=hint)
    if add or delete is not None or (update and metadata.is_index(output)):
        moved = store and store != metadata.IndexMetadata.open(output).store
        if moved or on or backend != "auto" or center_strength is not None:
            hint = "leave --store, --encoder, --processes, --backend and --center-strength out"
            problem = "an existing index keeps its store and strength and is changed in this process"
            raise PanglotError(problem, field="store", hint=hint)
        index = Index.open(output, model=model, precision=precision)
        if update and found is not None:
            done = index.update(found, progress=progress)
        else:
            ids = set(_ids(delete)) if delete is not None else set[str]()
            done["deleted"] = index.delete(ids)
            done["not found"] = len(ids) - done["deleted"]
            done["added"] = index.add(found) if found is not None else 0
    else:
        assert found is not None
        before = metadata.is_index(output)
        index = Index.build(
            found, output, model=model or DEFAULT, backend=backend, precision=precision, store=store or "", on=on,
            center_strength=1.0 if center_strength is None else center_strength, progress=progress,
        )  # fmt: skip
        done["added"] = 0 if before else len(index)
    if hybrid:
        index.lexical.open()
    counts = index.counts()
    index.close()
    total = sum(counts.values())
    if options.deliver_json({"folder": str(output), **done, "documents": total, "languages": counts}, to_json):
        most = ", ".join(f"{code} {number:,}" for code, number in list(counts.items())[:8])
        more = f" and {len(counts) - 8} more" if len(counts) > 8 else ""
        changes = ", ".join(f"{number:,} {what}" for what, number in done.items() if number) or "nothing changed"
        click.echo(f"{output}: {total:,} documents ({most}{more}); {changes}")
        quoted = shlex.quote(str(output))
        click.echo(f'Next: panglot search {quoted} "…", or panglot evaluate {quoted}')


def _ids(names: str) -> list[str]:
    """Return the ids in a list with commas, or in the lines of a file behind ``@``."""
    if not names.startswith("@"):
        return options.split(names) or []
    from panglot.data.letters import lines_of

    path = Path(names[1:])
    try:
        return [line.strip() for line in lines_of(path.read_text("utf-8")) if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise PanglotError(f"cannot be read: {error}", file=path, field="delete", hint="check the path") from error


def _flag(name: str) -> str:
    return _FLAGS.get(name, f"--{name.replace('_', '-')}")


def _as_typed(error: PanglotError) -> PanglotError:
    """Return an error of a request with the options as they are called on the command line."""
    if not error.field or error.field == "where":  # A filter names fields of documents, some of which are called so.
        return error
    names = {option.name: _flag(option.name) for option in search_options()[1:]}
    shown = [
        re.sub(r"`(\w+)`", lambda found: f"`{names.get(found[1], found[1])}`", text)
        for text in (error.problem, error.hint or "")
    ]
    return PanglotError(shown[0], field=names.get(error.field, error.field), hint=shown[1])


def _search_option(option: Option) -> Callable[[Any], Any]:
    """Return an option of a search as an option of the command line."""
    flags = (_flag(option.name), option.name)
    if option.type is bool:
        return click.option(*flags, is_flag=True, help=option.help)
    if option.choices:
        text = f"{option.help} By default `plain`, or `preferred` if --prefer is given."
        return click.option(*flags, type=click.Choice(list(option.choices)), help=text)
    if option.type is Filter:
        return click.option(*flags, metavar="FILTER", help=option.help)
    if option.type in (str, tuple):
        return click.option(*flags, default="", show_default=False, metavar=_METAVARS[option.name], help=option.help)
    if option.default is None:
        return click.option(*flags, type=option.type, metavar="NUMBER", help=option.help)
    default = _TOP if option.name == "k" else option.default
    return click.option(*flags, type=option.type, default=default, help=option.help)


@click.command("search", cls=options.SectionedCommand, sections={
    "k": "Results", "language": "Languages", "mode": "Ranking", "highlight": "Results", "reranker": "Models",
    "to_json": "Output",
})  # fmt: skip
@click.argument("index", type=PATH)
@click.argument("query")
@options.add_options([_search_option(option) for option in search_options()[1:]])
@click.option("--reranker", metavar="MODEL", help="Cross-encoder that reorders the first 50 results.")
@click.option("--model", help="Model that the index was built with, if it has moved.")
@options.json_option("the results")
def search_command(
    index: Path, reranker: str | None, model: str | None, to_json: str | None, mode: str | None, **asked: Any
) -> None:
    """Search an INDEX that `panglot index` wrote for QUERY, in any language."""
    from panglot.search.index import Index

    if not asked["preferred_languages"]:
        options.refuse({"boost"}, "does nothing without --prefer", "name the languages that get it with --prefer")
    asked["mode"] = mode or ("preferred" if asked["preferred_languages"] else "plain")
    # What is wrong with the request is said before the model is loaded.
    try:
        request = SearchRequest(**asked).validate()
    except PanglotError as error:
        raise _as_typed(error) from error
    opened = Index.open(index, model=model, reranker=reranker or "")
    result = opened.execute(request)
    languages = ", ".join(opened.counts())
    filtered = " that passes the filter" if request.where else ""
    opened.close()
    if options.deliver_json(result.as_json(), to_json):
        _print(result)
        if not result.hits:
            click.echo(f"No document{filtered} was found. The documents are in {languages}.")


def _print(result: SearchResult) -> None:
    from rich.text import Text

    from panglot.report.labels import sanitize

    console = options.console()
    # Where nothing can be bold, asterisks mark the best sentence.
    mark = "" if console.is_terminal else "**"
    console.print(Text(f"query in {_language(result)}; mode {result.mode}", style="dim"))
    for hit in result.hits:
        explanation = ", ".join(f"{name} {value:.3f}" for name, value in hit.explanation.items())
        document = hit.document
        found = "" if hit.matched == document.id else f", found by {hit.matched}"
        about = sanitize(f"  {document.language}  {hit.score:.3f} ({explanation})  {document.id}{found}")
        title = sanitize(document.title or document.id)
        console.print()
        console.print(Text.assemble((f"{hit.rank}. ", "bold"), (title, "bold"), (about, "dim")))
        console.print(_text(hit, mark))
        if others := [each for each in hit.versions if each.document.id != document.id]:
            named = (sanitize(_version(each)) for each in others)
            console.print(Text(f"also in: {', '.join(named)}", style="dim"))
    shares = sorted(result.shares.items(), key=lambda item: (-item[1][0], -item[1][1], item[0]))
    lines = [f"{code} {hits:.0%} of hits, {pool:.0%} of documents" for code, (hits, pool) in shares if hits]
    if lines:
        console.print()
        console.print(Text("\n".join(lines), style="dim"))


def _version(version: Version) -> str:
    document = version.document
    link = document.metadata.get("url")
    return f"{document.language} {version.score:.3f} {document.id}" + (f" {link}" if isinstance(link, str) else "")


def _language(result: SearchResult) -> str:
    """Return the language of the query, and how it is known."""
    if result.language_source == "declared":
        return result.language
    confidence = f"confidence {result.language_confidence or 0:.2f}"
    if result.detected:
        return f"{result.language}, detected ({confidence})"
    doubt = f"the detection is doubtful, {confidence}"
    return f"{result.language}, by default ({doubt})" if result.language else f"an unknown language ({doubt})"


def _text(hit: Hit, mark: str, longest: int = 300) -> Any:
    from rich.text import Text

    text = hit.document.text
    begin, end = hit.highlight or (0, 0)
    # A long text is cut so that the best sentence is in what is shown.
    start = max(0, min(begin - 40, len(text) - longest))
    stop = min(len(text), start + longest)
    begin, end = max(begin, start), min(end, stop)
    before, best, after = (options.harmless(part) for part in (text[start:begin], text[begin:end], text[end:stop]))
    marked = (mark, (best, "bold"), mark) if best else ("",)
    return Text.assemble("…" if start else "", before, *marked, after, "…" if stop < len(text) else "")


@click.command("serve", cls=options.SectionedCommand, sections={
    "port": "Address", "keys": "Access", "mode": "Ranking", "model": "Models", "queue": "Limits",
})  # fmt: skip
@click.argument("indexes", nargs=-1, required=True, metavar="INDEX")
@click.option("--port", default=8080, type=click.IntRange(0, 65535), help="Port to listen on. 0 takes any free port.")
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME",
              help="Host name of a proxy in front. Repeat for more.")  # fmt: skip
@click.option("--keys", type=PATH, help="File of API keys, each with `name=` and `rate=` after it if you like. "
              "$PANGLOT_SERVICE_KEYS by default.")  # fmt: skip
@click.option("--writable", is_flag=True, help="Let clients add, replace and delete documents.")
@click.option("--write-keys", type=PATH,
              help="File of API keys that may write. $PANGLOT_SERVICE_WRITE_KEYS by default.")  # fmt: skip
@click.option("--key-rate", default=0, show_default=False, type=COUNT, metavar="N",
              help="Maximum number of requests per minute of a key without a `rate`. More get status 429.")  # fmt: skip
@click.option("--mode", type=click.Choice([name for name, mode in MODES.items() if not mode.requires]),
              default="plain", help="Ranking mode of searches that do not name one.")  # fmt: skip
@click.option("--model", help="Model to encode queries with. By default the model that the index was built with.")
@options.precision_option
@click.option("--reranker", metavar="MODEL", help="Cross-encoder that reorders the first 50 results.")
@click.option(
    "--queue", default=256, type=POSITIVE, help="Maximum number of requests in progress. More get status 429."
)
@click.option("--batch-tokens", default=2048, type=POSITIVE, help="Maximum number of tokens encoded together.")
@click.option("--seconds", default=60.0, type=click.FloatRange(0.1),
              help="Time limit of a request in seconds. A late one gets status 504.")  # fmt: skip
def serve_command(
    indexes: tuple[str, ...], port: int, host: str, hosts: tuple[str, ...], keys: Path | None,
    write_keys: Path | None, key_rate: int, mode: Mode, model: str | None, precision: Precision, reranker: str | None,
    *, writable: bool, **limits: Any,
) -> None:  # fmt: skip
    """Serve the index INDEX: a web page at /, /search, and embeddings and reranking for OpenAI's and other clients.

    Several indexes are served as `panglot serve help=INDEX law=INDEX`, each below /indexes/NAME.

    The log is written to standard output as JSON lines. SIGTERM stops the service after the requests in progress.
    """
    require("the service", "fastapi", "orjson", "prometheus_client", "uvicorn", extra="serve", field="serve")
    from panglot.search.index import Index
    from panglot.service.batcher import Limits
    from panglot.service.middleware import Access
    from panglot.service.serve import open_indexes, read_keys, serve

    # Wrong settings are refused before the seconds that a model takes to open.
    access = Access(read_keys(keys), writable, read_keys(write_keys, "PANGLOT_SERVICE_WRITE_KEYS"), key_rate)
    checked = Limits(**limits)
    progress = options.progress_to(None)
    opened = open_indexes(indexes, model=model, precision=precision, reranker=reranker or "", progress=progress)
    try:
        serve(opened, checked, host=host, port=port, access=access, hosts=hosts, mode=mode, progress=progress)
    finally:
        for each in [opened] if isinstance(opened, Index) else opened.values():
            each.close()
