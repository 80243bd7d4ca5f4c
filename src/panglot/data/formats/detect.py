"""Find the reader that a path needs."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from panglot._errors import PanglotError
from panglot.data import names
from panglot.data.collection import Collection, cached, source_key
from panglot.data.document_rows import TABLES
from panglot.data.files import BOM, CUT_SHORT, RowError, ending_of, opened, plain_name
from panglot.data.formats import beir, squad, trec
from panglot.data.ingest import Ingested, OnError, ingest
from panglot.data.language import canonical, canonical_or_none
from panglot.data.rows import read_pieces

# Files from this size on are parsed once and cached.
LARGE = 4_000_000
# The part of a SQuAD file from which its language is detected, in bytes.
_START = 1 << 18
_CONTEXT = re.compile(r'"context"\s*:\s*("(?:[^"\\]|\\.)*")')


def read_path(
    path: Path,
    *,
    candidates: str | None = None,
    context: bool = False,
    languages: Sequence[str] | None = None,
    language: str | None = None,
    rejected: list[RowError] | None = None,
) -> Collection:
    """Read a file or folder in one of the layouts that panglot knows.

    ``language`` is that of texts that do not name theirs, whatever the names of files say. The collection's
    ``metadata["language"]`` says what was guessed. With a list ``rejected``, parts of SQuAD and TREC files
    that cannot be used are left out and added to it.

    Raises:
        PanglotError: The layout is not known, an option does not go with it, or the file is broken.
    """
    wanted = [canonical(code) for code in languages or ()]
    if path.is_file() and ending_of(path) == "json" and not _holds_rows(path):
        choice = _choose_language(path, language or (wanted[0] if len(wanted) == 1 else ""))
        guessed = choice.note and not (language or len(wanted) == 1)
        facts = {"language": f"{choice.language}: {choice.note}"} if guessed else {}
        chosen = candidates or "paragraph"
        _check(chosen, ("paragraph", "sentence"), context)

        def build() -> Collection:
            name, files = plain_name(path), [(path, choice.language)]
            opener = partial(squad.paragraphs, rejected=rejected)
            return squad.collect(name, files, candidates=chosen, context=context, opener=opener, metadata=facts)

        if path.stat().st_size < LARGE or rejected is not None:
            return build()
        return cached(source_key([path], language=choice.language, candidates=chosen, context=context), build)
    _check(candidates or "passage", ("passage", "paragraph"), context)
    collection = _read_passages(path, language, rejected)
    return collection.select(wanted) if wanted else collection


def split_language(text: str | Path) -> tuple[Path, str | None]:
    """Return the path in ``PATH?language=CODE``, and the code, or None without one.

    >>> split_language("data/scifact?language=en")[1], split_language("data/scifact")[1]
    ('en', None)
    """
    path, mark, code = str(text).rpartition("?language=")
    return (Path(path), code) if mark and not Path(text).exists() else (Path(text), None)


def is_trec(folder: Path) -> bool:
    """Return whether a folder has TREC's layout."""
    return (folder / "documents").is_dir() and (folder / "topics").is_dir()


def _read_passages(path: Path, language: str | None, rejected: list[RowError] | None) -> Collection:
    if path.is_dir():
        if (path / "collection.json").is_file():
            return Collection.open(path)
        if any(path.glob("corpus.jsonl*")):
            return beir.read(path, language=language)
        if is_trec(path):
            return trec.read(path, language=language, rejected=rejected)
        if files := row_files(path):
            return read_rows(files, path.resolve().name, language=language).collection
        hint = (
            "give one with collection.json (saved by panglot), BEIR's corpus, queries and qrels, TREC's documents, "
            "topics and qrels, or files of JSON lines, Parquet, CSV or TSV"
        )
        raise PanglotError("unknown layout of a folder", file=path, hint=hint)
    if _holds_rows(path):
        return read_rows([path], language=language).collection
    hint = "give .jsonl, .parquet, .csv, .tsv, a JSON array or SQuAD's .json, or .gz"
    raise PanglotError("unknown kind of file", file=path, hint=hint)


def _check(candidates: str, known: tuple[str, ...], context: bool) -> None:
    if candidates not in known:
        problem = f"`candidates` must be one of {', '.join(known)}, got {candidates!r}"
        raise PanglotError(problem, field="candidates", hint="choose one of them")
    if context and candidates != "sentence":
        raise PanglotError("`context` needs sentences", field="context", hint="choose `sentence` as candidates")


def _choose_language(path: Path, given: str) -> names.Choice:
    """Return the language of a SQuAD file by :func:`panglot.data.names.choose`."""
    place = Path(path.parent.name, path.name)
    if not given:
        # MLQA calls the language of the passages context, and that of the questions question.
        parts = re.split(r"[-_.]", plain_name(path))
        codes = {code: None for part in parts if re.fullmatch("[a-z]{2}", part) and (code := canonical_or_none(part))}
        if len(codes) > 1 and names.is_code(parts[-1]):
            problem = f"the file's name has several languages ({', '.join(codes)})"
            hint = "if questions and passages are in one language, name it, such as `--language de` or `--languages de`"
            hint += "; else read MLQA by its name, `mlqa`, with `--data-dir`"
            raise PanglotError(problem, file=path, field="language", hint=hint)
    start = ""
    with opened(path) as stream, contextlib.suppress(*CUT_SHORT):
        start = stream.read(_START).decode(errors="ignore")
    try:
        return names.choose(place, " ".join(_contexts(start)), given=given)
    except PanglotError as error:
        hint = "name one language, such as `--language de`, or `--languages de`"
        raise PanglotError(error.problem, file=path, field=error.field, hint=hint) from error


def _contexts(text: str) -> Iterator[str]:
    """Yield the texts of the beginning of a SQuAD file, without parsing all of it."""
    for found in _CONTEXT.findall(text):
        with contextlib.suppress(json.JSONDecodeError):
            yield str(json.loads(found))


def read_rows(
    paths: Sequence[Path], name: str = "", on_error: OnError = "raise", language: str | None = None
) -> Ingested:
    """Read files of rows as :func:`panglot.data.ingest.ingest` does. Large ones are parsed once and cached."""

    def make(folder: Path | None = None) -> Ingested:
        read = partial(read_pieces, language=canonical(language) if language else None)
        return ingest(paths, folder, name=name, on_error=on_error, read=read)

    if sum(path.stat().st_size for path in paths) < LARGE:
        return make()
    options = {"name": name} if name else {}
    options |= {"on_error": on_error} if on_error != "raise" else {}
    options |= {"language": language} if language else {}
    in_memory: list[Ingested] = []

    def build() -> Collection:
        in_memory.append(make())
        return in_memory[0].collection

    found = cached(source_key(paths, **options), build, lambda folder: make(folder).collection)
    return in_memory[0] if in_memory else Ingested.open(found)


def row_files(path: Path) -> list[Path]:
    """Return the files of rows at a path: the file itself, or those of a folder, sorted by name."""
    if path.is_file():
        return [path] if _holds_rows(path) else []
    if any((path / name).exists() for name in ("collection.json", "qrels", "qrels.txt", "topics")):
        return []
    return sorted(each for each in path.iterdir() if each.is_file() and _holds_rows(each)) if path.is_dir() else []


def _holds_rows(path: Path) -> bool:
    """Return whether a file holds rows: by its name, or if it is JSON, by its beginning."""
    if ending_of(path) != "json":
        return ending_of(path) in TABLES
    if not path.is_file():
        return False
    with opened(path) as stream, contextlib.suppress(*CUT_SHORT):
        start = stream.readline(_START).removeprefix(BOM).strip()
        # SQuAD's file is one object with `data`. JSON lines may be called .json too.
        with contextlib.suppress(ValueError):
            first = json.loads(start)
            is_row = isinstance(first, dict) and not {"passage", "question", "text"}.isdisjoint(first)
            return isinstance(first, list) or is_row
        return start.startswith(b"[")
    return False
