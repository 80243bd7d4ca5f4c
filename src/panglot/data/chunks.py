"""Files of rows, read some megabytes at a time and checked as columns."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.json as pj

from panglot._errors import PanglotError
from panglot.data import rows as _rows
from panglot.data import rows as jsonl
from panglot.data import rows as parquet
from panglot.data.collection import pc
from panglot.data.files import BOM, decoded, numbered_lines, opened
from panglot.data.language import canonical

#: A checked row: its line, canonical language (``?`` and the spelling where there is no such language), and texts.
ROWS = pa.schema(
    [("line", pa.int32()), *((name, pa.string()) for name in ("group", "language", "question", "passage", "id")),
     ("test_only", pa.bool_())]
)  # fmt: skip

_STRETCH = 1 << 23
_TEXTS = ("group", "language", "question", "passage", "id")
_FIELDS = pa.schema([(name, pa.string()) for name in (*_TEXTS, "test_only")])
# Numbers that Arrow's reader takes and JSON has not.
_INFINITE = re.compile(rb"[:\[,]\s*-?Inf(?!inity)")


def is_table(path: Path) -> bool:
    """Tell whether a file of rows is Parquet and not JSON lines."""
    return path.name.lower().endswith(".parquet")


def chunks(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a JSON lines or Parquet file as batches of :data:`ROWS`, in order.

    Raises:
        PanglotError: What :func:`panglot.data.rows.jsonl_rows` and :func:`panglot.data.rows.parquet_rows` raise, at
            the same
            line.
    """
    if is_table(path):
        line = 1
        for batch in parquet.row_batches(path):
            yield checked_table(batch, line, path)
            line += batch.num_rows
        return
    try:
        for data, line in stretches(path):
            batch = checked(data, line, path)
            if batch.num_rows:
                yield batch
    except CutError as cut:
        # The lines before the cut are read one by one: one of them may be wrong, and is to be named first.
        rest = ((line, text) for line, text in numbered_lines(path) if line >= cut.line)
        yield slowly((jsonl.parsed(text, path, line) for line, text in rest))


class CutError(Exception):
    """A gzip file ends before its time."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def stretches(path: Path) -> Iterator[tuple[bytes, int]]:
    """Yield a file of lines in stretches that end where lines end, with the number of their first line.

    Raises:
        PanglotError: The file is missing or empty.
    """
    line, anything = 1, False
    with opened(path) as stream:
        while True:
            try:
                data = stream.read(_STRETCH) + stream.readline()
            except (EOFError, zlib.error, gzip.BadGzipFile):
                raise CutError(line) from None
            if not data:
                break
            data = data.removeprefix(BOM) if line == 1 else data
            anything = anything or bool(data.strip())
            if data:
                yield data, line
            line += data.count(b"\n")
    if not anything:
        for _ in numbered_lines(path):  # It says that the file is empty.
            break


def checked(data: bytes, line: int, path: Path) -> pa.RecordBatch:
    """Return a stretch of JSON lines as a batch of :data:`ROWS`.

    Args:
        data: Whole lines.
        line: The number of the first one.
        path: Where they stand.

    Raises:
        PanglotError: As :func:`chunks`.
    """
    if (found := quickly(data, line)) is not None:
        return found
    lines = ((number, decoded(raw, path, number)) for number, raw in enumerate(io.BytesIO(data), line))
    return slowly(jsonl.parsed(text, path, number) for number, text in lines if text)


def checked_table(batch: pa.RecordBatch, line: int, path: Path) -> pa.RecordBatch:
    """Return rows of a Parquet file as a batch of :data:`ROWS`.

    Raises:
        PanglotError: As :func:`chunks`.
    """
    if (found := quickly_table(batch, line)) is not None:
        return found
    return slowly(_rows.row(values, path, number) for number, values in enumerate(batch.to_pylist(), line))


def quickly(data: bytes, line: int) -> pa.RecordBatch | None:
    """Return the lines as :func:`checked` does; None where one of them needs a closer look."""
    found = _parsed(data)
    return None if found is None else _if_sound(found, line)


def quickly_table(batch: pa.RecordBatch, line: int) -> pa.RecordBatch | None:
    """Return the rows as :func:`checked_table` does; None where one of them needs a closer look."""
    found = {
        name: batch[name] if name in batch.schema.names else pa.nulls(batch.num_rows, pa.string())
        for name in _FIELDS.names
    }
    if any(column.type not in (pa.string(), pa.large_string(), pa.null()) for column in found.values()):
        return None
    return _if_sound({name: column.cast(pa.string()) for name, column in found.items()}, line)


def _parsed(data: bytes) -> Mapping[str, pa.Array] | None:
    """Return the columns of lines that Arrow's own reader takes; None where it would not be as strict as Python's."""
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    # An object a line, so that none goes over several: between `}` and `{` JSON has nothing but an end.
    odd = b"Inf" in data and _INFINITE.search(data)
    if data[:1] != b"{" or data.count(b"}\n{") != lines - 1 or odd:
        return None
    options = pj.ReadOptions(use_threads=False, block_size=len(data) + 1)
    parsing = pj.ParseOptions(explicit_schema=_FIELDS, unexpected_field_behavior="ignore")
    try:
        data.decode()
        table = pj.read_json(io.BytesIO(data), options, parsing).combine_chunks()
    except (UnicodeDecodeError, pa.ArrowException):
        return None
    if table.num_rows != lines:
        return None
    return {name: table[name].chunk(0) for name in _FIELDS.names}


def _if_sound(columns: Mapping[str, pa.Array], line: int) -> pa.RecordBatch | None:
    """Return columns of texts as rows; None where one needs a closer look: it is blank, or lacking."""
    for name in _TEXTS:
        column = columns[name]
        blank = pc.or_(pc.utf8_is_space(column), pc.equal(pc.binary_length(column), 0))
        if pc.any(blank).as_py():
            return None
    lacking = pc.and_(columns["question"].is_null(), columns["passage"].is_null())
    if columns["language"].null_count or pc.any(lacking).as_py():
        return None
    test_only = pc.fill_null(pc.equal(columns["test_only"], "yes"), False)
    return _batch({**columns, "test_only": test_only}, range(line, line + len(test_only)))


def slowly(rows: Iterable[_rows.Row]) -> pa.RecordBatch:
    """Return rows as columns, after each was looked at alone."""
    held = list(rows)
    columns = {name: pa.array([getattr(row, name) for row in held], ROWS.field(name).type) for name in ROWS.names[1:]}
    return _batch(columns, [row.line for row in held])


def _batch(columns: Mapping[str, pa.Array], lines: Iterable[int]) -> pa.RecordBatch:
    spelled = columns["language"].dictionary_encode()
    codes = pa.array([_language(code) for code in spelled.dictionary.to_pylist()], pa.string())
    done = {**columns, "language": codes.take(spelled.indices), "line": pa.array(lines, pa.int32())}
    return pa.record_batch([done[name] for name in ROWS.names], schema=ROWS)


def _language(code: str) -> str:
    try:
        return canonical(code)
    except PanglotError:
        return f"?{code}"
