"""Files of rows, read some thousand rows at a time and checked as columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from panglot._errors import PanglotError
from panglot.corpus import _rows, jsonl, parquet
from panglot.corpus._open import numbered_lines
from panglot.corpus.language import canonical

#: A checked row: its line, canonical language (``?`` and the spelling where there is no such language), and texts.
ROWS = pa.schema(
    [("line", pa.int32()), *((name, pa.string()) for name in ("group", "language", "question", "passage", "id")),
     ("test_only", pa.bool_())]
)  # fmt: skip

_LINES = 20_000
_LETTERS = 16_000_000
_TEXTS = ("group", "language", "question", "passage", "id")


def is_table(path: Path) -> bool:
    """Tell whether a file of rows is Parquet and not JSON lines."""
    return path.name.lower().endswith(".parquet")


def chunks(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a JSON lines or Parquet file as batches of :data:`ROWS`, in order.

    Raises:
        PanglotError: What :func:`panglot.corpus.jsonl.rows` and :func:`panglot.corpus.parquet.rows` raise, at the same
            line.
    """
    for some in raw(path):
        yield checked(some, path)


def raw(path: Path) -> Iterator[list[tuple[int, Any]]]:
    """Yield ``(line, text)`` of JSON lines or ``(row, values)`` of Parquet, in lists of bounded size.

    Raises:
        PanglotError: The file cannot be read; what comes before that place was yielded.
    """
    if is_table(path):
        yield from _pieces(enumerate(parquet.row_values(path), 1), lambda values: len(values.get("passage") or ""))
    else:
        yield from _pieces(numbered_lines(path), len)


def checked(some: list[tuple[int, Any]], path: Path) -> pa.RecordBatch:
    """Return what :func:`raw` yielded as a batch of :data:`ROWS`.

    Raises:
        PanglotError: As :func:`chunks`.
    """
    columns = _plain(some, tables=is_table(path))
    if columns is None:
        parse = _rows.row if is_table(path) else jsonl.parsed
        rows = [parse(value, path, line) for line, value in some]
        columns = {name: [getattr(row, name) for row in rows] for name in (*_TEXTS, "test_only")}
    spelled = {code: _language(code) for code in set(columns["language"])}
    columns["language"] = [spelled[code] for code in columns["language"]]
    columns["line"] = [line for line, _ in some]
    return pa.record_batch([pa.array(columns[field.name], field.type) for field in ROWS], schema=ROWS)


def _plain(some: list[tuple[int, Any]], *, tables: bool) -> dict[str, list[Any]] | None:
    """Return columns of rows in which every value is a text or absent; None where a row needs a closer look."""
    try:
        values = [value for _, value in some] if tables else list(map(json.loads, (text for _, text in some)))
        if not all(type(each) is dict for each in values):
            return None
        columns: dict[str, list[Any]] = {name: [each.get(name) for each in values] for name in _TEXTS}
        for column in columns.values():
            there = [text for text in column if text is not None]
            # Joining and encoding refuse what is no text, and halves of surrogate pairs.
            "".join(there).encode()
            if not all(there) or any(map(str.isspace, there)):
                return None
    except (TypeError, ValueError, RecursionError):
        return None
    lacking = any(q is None and p is None for q, p in zip(columns["question"], columns["passage"], strict=True))
    if lacking or None in columns["language"]:
        return None
    columns["test_only"] = [each.get("test_only") == "yes" for each in values]
    return columns


def _language(code: str) -> str:
    try:
        return canonical(code)
    except PanglotError:
        return f"?{code}"


def _pieces(rows: Iterable[tuple[int, Any]], weigh: Callable[[Any], int]) -> Iterator[list[tuple[int, Any]]]:
    some: list[tuple[int, Any]] = []
    letters = 0
    try:
        for row in rows:
            some.append(row)
            letters += weigh(row[1])
            if len(some) == _LINES or letters > _LETTERS:
                yield some
                some, letters = [], 0
    except PanglotError:
        # An earlier line may be wrong too, and is to be named first.
        if some:
            yield some
        raise
    if some:
        yield some
