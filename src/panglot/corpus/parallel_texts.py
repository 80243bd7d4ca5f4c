"""Sentences beside their English, a language at a time: what a tokenizer's cost is measured on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from panglot._errors import PanglotError
from panglot.corpus import registry, sib200, tatoeba
from panglot.corpus._folder import files
from panglot.corpus.cards import CARDS
from panglot.corpus.language import canonical

#: The sets that have them, the longest texts first: a language is measured on the first set that has it.
SETS = ("ntrex-128", "sib-200", "tatoeba-112")

Sentences = list[tuple[str, str]]


def parallel_texts(name: str, data_dir: str | Path | None = None) -> Iterator[tuple[str, Sentences]]:
    """Yield each language of one of :data:`SETS` with its sentences, ``(text, English)``, none of them empty.

    Nothing where the set is not at hand. All parts are read: counting tokens is no training and no test.

    Raises:
        PanglotError: A file is not what it should be.
    """
    folder = registry.find(CARDS[name], data_dir)
    if folder is not None:
        for path in files(folder, "*.parquet"):
            yield from _WAYS[name](path)


def _wide(path: Path) -> Iterator[tuple[str, Sentences]]:
    table = _table(path)
    english = table["eng"].to_pylist() if "eng" in table.column_names else _lacking(path, "eng")
    for column in table.column_names:
        if column not in {"doc", "line"}:
            yield canonical(column), _both(table[column].to_pylist(), english)


def _long(path: Path) -> Iterator[tuple[str, Sentences]]:
    table = _table(path)
    if missing := {"lang", "index_id", "text"} - set(table.column_names):
        _lacking(path, missing.pop())
    by_language: dict[str, dict[int, str]] = {}
    columns = (table[column].to_pylist() for column in ("lang", "index_id", "text"))
    for code, row, text in zip(*columns, strict=True):
        if text and not sib200.is_mojibake(text):
            by_language.setdefault(code, {})[row] = text
    english = by_language.get("eng_Latn", {})
    for code, texts in by_language.items():
        yield sib200.code_of(code), [(text, english[row]) for row, text in texts.items() if row in english]


def _pairs(path: Path) -> Iterator[tuple[str, Sentences]]:
    table = _table(path)
    if missing := {"lang", "eng", "text"} - set(table.column_names):
        _lacking(path, missing.pop())
    by_language: dict[str, Sentences] = {}
    columns = (table[column].to_pylist() for column in ("lang", "text", "eng"))
    for code, text, english in zip(*columns, strict=True):
        if text and english:
            by_language.setdefault(code, []).append((text, english))
    for code, sentences in by_language.items():
        yield tatoeba.code_of(code), sentences


_WAYS = {"ntrex-128": _wide, "sib-200": _long, "tatoeba-112": _pairs}


def _both(texts: list[str | None], english: list[str | None]) -> Sentences:
    return [(text, other) for text, other in zip(texts, english, strict=True) if text and other]


def _table(path: Path):  # noqa: ANN202  (pyarrow.Table)
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise PanglotError(
            f"not a readable Parquet file: {str(error).splitlines()[0]}", file=path, cure="fetch it again"
        ) from error


def _lacking(path: Path, column: str) -> list[str | None]:
    raise PanglotError("no such column", file=path, field=column, cure="fetch the file again")
