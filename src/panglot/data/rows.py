"""Rows of ``group, language, question, passage``: what one means, and how a file of them is read.

A file is read in pieces of some megabytes. Arrow parses and checks a piece as columns. Only a piece in which something
looks wrong is read again row by row, so that each broken row gets its own :class:`RowError`.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.json as pj

from panglot._errors import PanglotError, located
from panglot.data.columns import pc
from panglot.data.document_rows import table_rows
from panglot.data.files import (
    BOM,
    CUT_SHORT,
    RowError,
    array_rows,
    as_object,
    cut_short,
    decode,
    empty_file,
    ending_of,
    is_parquet,
    line_text,
    opened,
    parquet_batches,
    parse_object,
)
from panglot.data.language import canonical
from panglot.data.letters import encodable

FIELDS = ("group", "language", "question", "passage")
TEXT_FIELDS = (*FIELDS, "id")
"""Fields of a row that are texts."""

#: A checked row. ``line`` counts from 1, ``language`` is canonical, and absent texts are null.
ROWS = pa.schema([("line", pa.int32()), *((name, pa.string()) for name in TEXT_FIELDS), ("test_only", pa.bool_())])

_TRUE, _FALSE = ("yes", "true", "1"), ("no", "false", "0", "")
_PIECE = 1 << 23  # bytes
_TABLE_ROWS = 1024
_PARSED = pa.schema([(name, pa.string()) for name in (*TEXT_FIELDS, "test_only")])
# Arrow's JSON reader takes these numbers, and JSON has no such.
_INFINITE = re.compile(rb"[:\[,]\s*-?Inf(?!inity)")


class Row(NamedTuple):
    """One checked row, with the columns of :data:`ROWS`."""

    line: int
    group: str | None  # ties it to its translations; a row without one is a group of its own
    language: str
    question: str | None
    passage: str | None
    id: str | None = None
    test_only: bool = False  # a collection with such a row must not be trained on


class Piece(NamedTuple):
    """Successive rows of a file: those that can be read, as :data:`ROWS`, and those that cannot, both by line."""

    rows: pa.RecordBatch
    errors: Sequence[RowError] = ()


def read_pieces(path: Path, language: str | None = None) -> Iterator[Piece]:
    """Yield the rows of a JSON lines, Parquet, CSV or TSV file, or of a JSON array, in order.

    ``language`` is that of rows that name none.

    A gzip file that is cut short yields the lines before the cut, and an error for the first line after it. A file that
    cannot be read as a whole raises one: it is missing or empty, or lacks a column.
    """
    if is_parquet(path):
        line = 1
        needed = ("passage",) if language else ("language", "passage")
        for batch in parquet_batches(path, needed, ("language", "group", "question", "id", "test_only")):
            yield _check_table(batch, line, path, language)
            line += batch.num_rows
        return
    if ending_of(path) in ("csv", "tsv"):
        table = table_rows(path, {"passage": "passage"})
        while some := list(islice(table, _TABLE_ROWS)):
            checked = [_check_each([values], line, path, language) for line, values in some]
            yield Piece(
                pa.concat_batches([each.rows for each in checked]), [e for each in checked for e in each.errors]
            )
        return
    if (found := array_rows(path)) is not None:
        yield _check_each(found, 1, path, language)
        return
    line, is_empty = 1, True
    with opened(path) as stream:
        while True:
            try:
                data = stream.read(_PIECE) + stream.readline()
            except CUT_SHORT:
                break
            if not data:
                if is_empty:
                    raise empty_file(path)
                return
            is_empty = is_empty and not data.removeprefix(BOM).strip()
            yield check_lines(data, line, path, language)
            line += data.count(b"\n")
    # The read that failed gave nothing back, so read the lines before the cut once more.
    with opened(path) as stream:
        data, end = _lines_before_cut(stream, line)
    piece = check_lines(data, line, path, language)
    yield Piece(piece.rows, [*piece.errors, RowError.of(cut_short(path, end))])


def check_lines(data: bytes, line: int, path: Path, language: str | None = None) -> Piece:
    """Return whole lines of JSON as rows; ``line`` is the number of the first one."""
    data = data.removeprefix(BOM) if line == 1 else data
    columns = _parse_quickly(data)
    sound = None if columns is None else _rows_if_sound(columns, line, language)
    return Piece(sound) if sound is not None else _check_each(data.split(b"\n"), line, path, language)


def _check_table(batch: pa.RecordBatch, line: int, path: Path, language: str | None = None) -> Piece:
    """Return rows of a Parquet file as checked rows; ``line`` is the number of the first one."""
    names = batch.schema.names
    columns = {name: batch[name] if name in names else pa.nulls(batch.num_rows, pa.string()) for name in _PARSED.names}
    if all(column.type in (pa.string(), pa.large_string(), pa.null()) for column in columns.values()):
        sound = _rows_if_sound({name: column.cast(pa.string()) for name, column in columns.items()}, line, language)
        if sound is not None:
            return Piece(sound)
    return _check_each(batch.to_pylist(), line, path, language)


def _check_each(found: Iterable[Any], line: int, path: Path, language: str | None) -> Piece:
    """Return lines of JSON in bytes, or values that were parsed already, as checked rows."""
    rows: list[Row] = []
    errors: list[RowError] = []
    for number, raw in enumerate(found, line):
        try:
            if not isinstance(raw, bytes):
                values = as_object(raw, path, number)
            elif (text := decode(raw, path, number).rstrip("\r\n")).strip():
                values = parse_object(text, path, number)
            else:
                continue
            rows.append(check_row(values, path, number, language))
        except PanglotError as error:
            errors.append(RowError.of(error, line_text(raw) if isinstance(raw, bytes) else ""))
    return Piece(to_batch(rows), errors)


def check_row(values: Mapping[str, object], path: Path, line: int, default: str | None = None) -> Row:
    """Return the row that the fields of one line make, in the ``default`` language if it names none, or raise."""
    with located(file=path, line=line):
        texts = {name: as_text(values.get(name), name) for name in TEXT_FIELDS}
        test_only = _as_truth(values.get("test_only"), "test_only")
        language = texts["language"] or default
        if language is None:
            hint = "add it, e.g. en, or read the file with `--language en`"
            raise PanglotError("the language is missing", field="language", hint=hint)
        if texts["question"] is None and texts["passage"] is None:
            known = ", ".join(map(str, values)) or "none"
            hint = "add `passage`, or `question` if another line of the group has the passage"
            if "text" in values:
                hint = "make rows of documents with `panglot data from-docs`, or " + hint
            raise PanglotError(f"neither a question nor a passage (fields: {known})", field="passage", hint=hint)
        with located(field="language"):
            language = canonical(language)
    return Row(line, texts["group"], language, texts["question"], texts["passage"], texts["id"], test_only)


def set_aside(error: PanglotError, rejected: list[RowError] | None) -> None:
    """Add an error to the rejected rows, or raise it if nobody collects them."""
    if rejected is None:
        raise error
    rejected.append(RowError.of(error))


def to_batch(rows: Sequence[Row]) -> pa.RecordBatch:
    """Return checked rows as columns."""
    columns = zip(*rows, strict=True) if rows else [()] * len(ROWS)
    return pa.record_batch([pa.array(each, kind.type) for each, kind in zip(columns, ROWS, strict=True)], schema=ROWS)


def _parse_quickly(data: bytes) -> Mapping[str, pa.Array] | None:
    """Return lines of JSON as columns, or None if Arrow's reader fails or would be less strict than Python's."""
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    # Arrow accepts objects that go over several lines, or share one. JSON has nothing but a line end between `}`
    # and `{`, so as many of these pairs as lines means one object a line.
    odd = b"Inf" in data and _INFINITE.search(data)
    if data[:1] != b"{" or data.count(b"}\n{") != lines - 1 or odd:
        return None
    options = pj.ReadOptions(use_threads=False, block_size=len(data) + 1)
    parsing = pj.ParseOptions(explicit_schema=_PARSED, unexpected_field_behavior="ignore")
    try:
        data.decode()  # Arrow does not check UTF-8.
        table = pj.read_json(io.BytesIO(data), options, parsing).combine_chunks()
    except (UnicodeDecodeError, pa.ArrowException):
        return None
    return {name: table[name].chunk(0) for name in _PARSED.names} if table.num_rows == lines else None


def _rows_if_sound(columns: Mapping[str, pa.Array], line: int, default: str | None) -> pa.RecordBatch | None:
    """Return columns of texts as rows, or None if a row is blank or incomplete, or its language is unknown."""
    if default:
        columns = {**columns, "language": pc.fill_null(columns["language"], default)}
    wrong = [
        pc.or_(pc.utf8_is_space(columns[name]), pc.equal(pc.binary_length(columns[name]), 0)) for name in TEXT_FIELDS
    ]
    wrong.append(pc.and_(columns["question"].is_null(), columns["passage"].is_null()))
    if columns["language"].null_count or any(pc.any(each).as_py() for each in wrong):
        return None
    # A file has few languages and many rows, so each spelling is looked up once.
    spelled = columns["language"].dictionary_encode()
    try:
        codes = pa.array([canonical(code) for code in spelled.dictionary.to_pylist()], pa.string())
    except PanglotError:
        return None
    marks = pc.fill_null(pc.equal(columns["test_only"], "yes"), False)
    if pc.sum(columns["test_only"].is_valid()).as_py() != pc.sum(marks).as_py():
        return None  # Another value may mean yes or no, or nothing.
    done = {**columns, "language": codes.take(spelled.indices),
            "test_only": marks,
            "line": pa.array(range(line, line + len(spelled)), pa.int32())}  # fmt: skip
    return pa.record_batch([done[name] for name in ROWS.names], schema=ROWS)


def _lines_before_cut(stream: IO[bytes], line: int) -> tuple[bytes, int]:
    """Return the whole lines from ``line`` on before gzip data end too soon, and the number of the line after."""
    lines: list[bytes] = []
    number = 0
    try:
        for number, raw in enumerate(stream, 1):
            if number >= line:
                lines.append(raw)
    except CUT_SHORT:
        pass
    return b"".join(lines), number + 1


def as_text(value: object, field: str) -> str | None:
    """Return a text or a number as a text, or None for nothing: null, not a number (NaN), or blanks.

    Many sources number their ids, groups and answers. 0 is such a number. A whole number is the same with or without a
    point, because tables with a missing value hold their numbers as 1.0.

    Raises:
        PanglotError: The value is neither, or has half of a surrogate pair.

    >>> as_text(0, "id"), as_text(1.0, "group"), as_text(" ", "title"), as_text(float("nan"), "group")
    ('0', '1', None, None)
    """
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        problem = f"must be a text or a number, got {type(value).__name__}"
        raise PanglotError(problem, field=field, hint="put it in quotes")
    return encodable(value, field)


def _as_truth(value: object, field: str) -> bool:
    """Return whether a field says yes: true, 1 or "yes". Nothing means no.

    Raises:
        PanglotError: The value is another one.

    >>> [_as_truth(value, "test_only") for value in (True, "yes", 1, None, "no", False)]
    [True, True, True, False, False, False]
    """
    if value is None or isinstance(value, bool):
        return bool(value)
    said = (as_text(value, field) or "").strip().lower()
    if said not in (*_TRUE, *_FALSE):
        raise PanglotError(f"must be true or false, got {value!r}", field=field, hint="write true or false")
    return said in _TRUE
