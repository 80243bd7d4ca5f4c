"""Find the reader that a path needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from panglot._errors import PanglotError
from panglot.data.collection import Collection, cached, source_key
from panglot.data.files import plain_name
from panglot.data.formats import beir, squad, trec
from panglot.data.ingest import Ingested, OnError, ingest
from panglot.data.language import canonical, canonical_or_none

# Files from this size on are parsed once and cached.
LARGE = 4_000_000
# A whole tag: de, pt-BR, zh-Hant, zho_Hant. Three letters alone are rather a word, such as dev.
_TAG = re.compile(r"[a-z]{2}([-_][A-Z][a-z]{3})?([-_]([A-Z]{2}|\d{3}))?|[a-z]{3}[-_][A-Z][a-z]{3}")


def read_path(path: Path, *, candidates: str | None, context: bool, languages: Sequence[str] | None) -> Collection:
    """Read a file or folder in one of the layouts that panglot knows.

    Raises:
        PanglotError: The layout is not known, an option does not go with it, or the file is broken.
    """
    wanted = [canonical(code) for code in languages or ()]
    ending = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    if path.is_file() and ending == "json":
        language = wanted[0] if len(wanted) == 1 else _language_of(path)
        chosen = candidates or "paragraph"
        _check(chosen, ("paragraph", "sentence"), context)

        def build() -> Collection:
            return squad.collect(plain_name(path), [(path, language)], candidates=chosen, context=context)

        if path.stat().st_size < LARGE:
            return build()
        return cached(source_key([path], language=language, candidates=chosen, context=context), build)
    _check(candidates or "passage", ("passage", "paragraph"), context)
    collection = _read_passages(path, ending)
    return collection.select(wanted) if wanted else collection


def _read_passages(path: Path, ending: str) -> Collection:
    if path.is_dir():
        if (path / "collection.json").is_file():
            return Collection.open(path)
        if any(path.glob("corpus.jsonl*")):
            return beir.read(path)
        if (path / "documents").is_dir() and (path / "topics").is_dir():
            return trec.read(path)
        if files := row_files(path):
            return read_rows(files, path.resolve().name).collection
        hint = (
            "give one with collection.json (saved by panglot), BEIR's corpus, queries and qrels, TREC's documents, "
            "topics and qrels, or files of JSON lines or Parquet"
        )
        raise PanglotError("unknown layout of a folder", file=path, hint=hint)
    if ending in ("jsonl", "ndjson", "parquet"):
        return read_rows([path]).collection
    raise PanglotError("unknown kind of file", file=path, hint="give .jsonl, .parquet or SQuAD's .json, or .gz")


def _check(candidates: str, known: tuple[str, ...], context: bool) -> None:
    if candidates not in known:
        problem = f"`candidates` must be one of {', '.join(known)}, got {candidates!r}"
        raise PanglotError(problem, field="candidates", hint="choose one of them")
    if context and candidates != "sentence":
        raise PanglotError("`context` needs sentences", field="context", hint="choose `sentence` as candidates")


def _language_of(path: Path) -> str:
    """Return the language that the file is named after: ``train.pt-BR.json``, ``fi.json``, ``squad-fi.json``.

    It is the part after the last dot, or else the only two letters between hyphens that are a code, at the end.
    """
    part = plain_name(path).rpartition(".")[2]
    if _TAG.fullmatch(part) and (code := canonical_or_none(part)):
        return code
    pieces = re.split(r"[-_]", part)
    codes = [code for piece in pieces if re.fullmatch(r"[a-z]{2}", piece) and (code := canonical_or_none(piece))]
    if len(codes) == 1 and codes[0] == canonical_or_none(pieces[-1]):
        return codes[0]
    problem, hint = "the language of this file is unknown", "name one language, such as `--languages de`"
    if len(codes) > 1:
        # MLQA calls the language of the passages context, and that of the questions question.
        problem = f"the file's name has several languages ({', '.join(codes)})"
        hint += ", if questions and passages are in one language; else read MLQA by its name, `mlqa`, with `--data-dir`"
    raise PanglotError(problem, file=path, field="language", hint=hint)


def read_rows(paths: Sequence[Path], name: str = "", on_error: OnError = "raise") -> Ingested:
    """Read files of rows as :func:`panglot.data.ingest.ingest` does. Large ones are parsed once and cached."""

    def make(folder: Path | None = None) -> Ingested:
        return ingest(paths, folder, name=name, on_error=on_error)

    if sum(path.stat().st_size for path in paths) < LARGE:
        return make()
    options = {"name": name} if name else {}
    options |= {"on_error": on_error} if on_error != "raise" else {}
    in_memory: list[Ingested] = []

    def build() -> Collection:
        in_memory.append(make())
        return in_memory[0].collection

    found = cached(source_key(paths, **options), build, lambda folder: make(folder).collection)
    return in_memory[0] if in_memory else Ingested.open(found)


def row_files(path: Path) -> list[Path]:
    """Return the JSON lines or Parquet files at a path: the file itself, or those of a folder, sorted by name."""
    if path.is_file():
        return [path] if _holds_rows(path) else []
    if any((path / name).exists() for name in ("collection.json", "qrels", "qrels.txt", "topics")):
        return []
    return sorted(each for each in path.iterdir() if each.is_file() and _holds_rows(each)) if path.is_dir() else []


def _holds_rows(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith((".jsonl", ".ndjson", ".parquet"))
