"""Rows of ``group, language, question, passage``: their schema, what one row means, and how a file of them is read.

A file is read in pieces of some megabytes. Arrow parses and checks a piece as columns. Only a piece in which something
looks wrong is read again row by row, so that each broken row gets its own :class:`RowError`.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, NamedTuple, overload

import pyarrow as pa
import pyarrow.json as pj

from panglot._errors import PanglotError, located
from panglot._files import atomic_file
from panglot.data.collection import pc
from panglot.data.files import BOM, cut_short, empty_file, not_utf8, opened, parquet_batches, parse_object
from panglot.data.language import canonical

FIELDS = ("group", "language", "question", "passage")
_TEXTS = (*FIELDS, "id")

#: A checked row. ``line`` counts from 1, ``language`` is canonical, and absent texts are null.
ROWS = pa.schema([("line", pa.int32()), *((name, pa.string()) for name in _TEXTS), ("test_only", pa.bool_())])

_PIECE = 1 << 23  # bytes
_PARSED = pa.schema([(name, pa.string()) for name in (*_TEXTS, "test_only")])
# Arrow's JSON reader takes these numbers, and JSON has no such.
_INFINITE = re.compile(rb"[:\[,]\s*-?Inf(?!inity)")


class Row(NamedTuple):
    """One checked row, with the columns of :data:`ROWS`.

    Attributes:
        line: Which line or row of the file, from 1.
        group: What ties it to its translations, or None for a row of its own.
        language: Canonical BCP 47 code.
        question: The question, if the row has one.
        passage: The passage, if the row has one.
        id: The row's own id, if it has one.
        test_only: Whether the row comes from a test set: such a collection must not be trained on.
    """

    line: int
    group: str | None
    language: str
    question: str | None
    passage: str | None
    id: str | None = None
    test_only: bool = False


@dataclass(frozen=True)
class RowError:
    r"""One row that cannot be used.

    Attributes:
        line: Which line or row of the file, from 1.
        field: The field that is wrong, or "".
        problem: What is wrong with it.
        hint: What the user can do.
        text: The line as the file has it, with bytes that are not UTF-8 as ``\xNN``. Empty for Parquet.
        file: The file.
    """

    line: int
    field: str
    problem: str
    hint: str
    text: str = ""
    file: str = ""

    @classmethod
    def of(cls, error: PanglotError, text: str = "") -> RowError:
        """Return an error that was raised for a row."""
        return cls(error.line or 0, error.field or "", error.problem, error.hint or "", text, str(error.file or ""))

    def error(self) -> PanglotError:
        """Return the exception to raise where no row may be skipped."""
        return PanglotError(
            self.problem, file=self.file or None, line=self.line or None, field=self.field or None, hint=self.hint
        )


class RejectedRows(Sequence[RowError]):
    """The rejected rows in a file that :func:`write_rejected` wrote. They are read when they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._number = -1

    def __len__(self) -> int:
        if self._number < 0:
            self._number = sum(1 for _ in self)
        return self._number

    @overload
    def __getitem__(self, index: int) -> RowError: ...
    @overload
    def __getitem__(self, index: slice) -> list[RowError]: ...
    def __getitem__(self, index: int | slice) -> RowError | list[RowError]:
        """Return one or some of them."""
        return list(self)[index] if isinstance(index, slice) else next(itertools.islice(self, index, None))

    def __iter__(self) -> Iterator[RowError]:
        if self.path.exists():
            with self.path.open(encoding="utf-8") as file:
                for line in file:
                    yield RowError(**json.loads(line))


def write_rejected(rejected: Iterable[RowError], path: Path) -> int:
    """Write rejected rows as JSON lines ``{"line", "field", "problem", "hint", "text", "file"}``; return how many.

    Raises:
        PanglotError: The place cannot be written.
    """
    number = 0
    with atomic_file(path) as part, part.open("w", encoding="utf-8") as out:
        for one in rejected:
            number += 1
            out.write(json.dumps(asdict(one)) + "\n")
    return number


class Piece(NamedTuple):
    """Successive rows of a file: those that can be read, as :data:`ROWS`, and those that cannot, both by line."""

    rows: pa.RecordBatch
    errors: Sequence[RowError] = ()


def is_parquet(path: Path) -> bool:
    """Return whether a file of rows is Parquet and not JSON lines."""
    return path.name.lower().endswith(".parquet")


def read_pieces(path: Path) -> Iterator[Piece]:
    """Yield the rows of a JSON lines or Parquet file, in order.

    A gzip file that is cut short yields the lines before the cut, and an error for the first line after it.

    Raises:
        PanglotError: The file as a whole cannot be read: it is missing or empty, or lacks a column.
    """
    if is_parquet(path):
        line = 1
        for batch in parquet_batches(path, ("language", "passage"), ("group", "question", "id", "test_only")):
            yield check_table(batch, line, path)
            line += batch.num_rows
        return
    line, is_empty = 1, True
    with opened(path) as stream:
        while True:
            try:
                data = stream.read(_PIECE) + stream.readline()
            except (EOFError, zlib.error, gzip.BadGzipFile):
                break
            if not data:
                if is_empty:
                    raise empty_file(path)
                return
            is_empty = is_empty and not data.removeprefix(BOM).strip()
            yield check_lines(data, line, path)
            line += data.count(b"\n")
    # The read that failed gave nothing back, so read the lines before the cut once more.
    with opened(path) as stream:
        data, end = _lines_before_cut(stream, line)
    piece = check_lines(data, line, path)
    yield Piece(piece.rows, [*piece.errors, RowError.of(cut_short(path, end))])


def check_lines(data: bytes, line: int, path: Path) -> Piece:
    """Return whole lines of JSON as rows; ``line`` is the number of the first one."""
    data = data.removeprefix(BOM) if line == 1 else data
    columns = _parse_quickly(data)
    if columns is not None and (sound := _rows_if_sound(columns, line)) is not None:
        return Piece(sound)
    rows: list[Row] = []
    errors: list[RowError] = []
    for number, raw in enumerate(data.split(b"\n"), line):
        try:
            if text := _decode(raw, path, number):
                rows.append(check_row(parse_object(text, path, number), path, number))
        except PanglotError as error:
            errors.append(RowError.of(error, line_text(raw)))
    return Piece(to_batch(rows), errors)


def check_table(batch: pa.RecordBatch, line: int, path: Path) -> Piece:
    """Return rows of a Parquet file as checked rows; ``line`` is the number of the first one."""
    names = batch.schema.names
    columns = {name: batch[name] if name in names else pa.nulls(batch.num_rows, pa.string()) for name in _PARSED.names}
    if all(column.type in (pa.string(), pa.large_string(), pa.null()) for column in columns.values()):
        columns = {name: column.cast(pa.string()) for name, column in columns.items()}
        if (sound := _rows_if_sound(columns, line)) is not None:
            return Piece(sound)
    rows: list[Row] = []
    errors: list[RowError] = []
    for number, values in enumerate(batch.to_pylist(), line):
        try:
            rows.append(check_row(values, path, number))
        except PanglotError as error:
            errors.append(RowError.of(error))
    return Piece(to_batch(rows), errors)


def check_row(values: Mapping[str, object], path: Path, line: int) -> Row:
    """Return the row that the fields of one line make.

    Raises:
        PanglotError: A field is missing or not a text, or there is no such language.
    """
    texts = {name: _text(values.get(name), name, path, line) for name in _TEXTS}
    language = texts["language"]
    if language is None:
        raise PanglotError("the language is missing", file=path, line=line, field="language", hint="add it, e.g. en")
    if texts["question"] is None and texts["passage"] is None:
        known = ", ".join(map(str, values)) or "none"
        raise PanglotError(
            f"neither a question nor a passage (fields: {known})",
            file=path,
            line=line,
            field="passage",
            hint="add `passage`, or `question` if another line of the group has the passage",
        )
    with located(file=path, line=line, field="language"):
        language = canonical(language)
    return Row(line, texts["group"], language, texts["question"], texts["passage"], texts["id"],
               values.get("test_only") == "yes")  # fmt: skip


def to_batch(rows: Sequence[Row]) -> pa.RecordBatch:
    """Return checked rows as columns."""
    columns = zip(*rows, strict=True) if rows else [()] * len(ROWS)
    return pa.record_batch([pa.array(each, kind.type) for each, kind in zip(columns, ROWS, strict=True)], schema=ROWS)


def line_text(raw: bytes) -> str:
    r"""Return a line as the file has it, with bytes that are not UTF-8 as ``\xNN``."""
    return raw.decode("utf-8", "backslashreplace").rstrip("\r\n")


def _text(value: object, field: str, path: Path, line: int) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and field in ("group", "id"):
        return str(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        kind = type(value).__name__
        raise PanglotError(f"expected a text, got {kind}", file=path, line=line, field=field, hint="put it in quotes")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise PanglotError("half of a surrogate pair", file=path, line=line, field=field, hint="correct the escape")
    return value


def _decode(raw: bytes, path: Path, line: int) -> str:
    """Return a line without its end, or "" for a blank one."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise not_utf8(path, line, error) from error
    return text.rstrip("\r\n") if text.strip() else ""


def _parse_quickly(data: bytes) -> Mapping[str, pa.Array] | None:
    """Return lines of JSON as columns, or None where Arrow's reader fails or would be less strict than Python's."""
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    # Arrow accepts objects that go over several lines, or share one. JSON has nothing but a line end between `}`
    # and `{`, so as many of these pairs as lines means one object a line.
    odd = b"Inf" in data and _INFINITE.search(data)
    if data[:1] != b"{" or data.count(b"}\n{") != lines - 1 or odd:
        return None
    options = pj.ReadOptions(use_threads=False, block_size=len(data) + 1)
    parsing = pj.ParseOptions(explicit_schema=_PARSED, unexpected_field_behavior="ignore")
    try:
        data.decode()
        table = pj.read_json(io.BytesIO(data), options, parsing).combine_chunks()
    except (UnicodeDecodeError, pa.ArrowException):
        return None
    if table.num_rows != lines:
        return None
    return {name: table[name].chunk(0) for name in _PARSED.names}


def _rows_if_sound(columns: Mapping[str, pa.Array], line: int) -> pa.RecordBatch | None:
    """Return columns of texts as rows, or None where a row is blank or incomplete, or names no known language."""
    for name in _TEXTS:
        blank = pc.or_(pc.utf8_is_space(columns[name]), pc.equal(pc.binary_length(columns[name]), 0))
        if pc.any(blank).as_py():
            return None
    lacking = pc.and_(columns["question"].is_null(), columns["passage"].is_null())
    if columns["language"].null_count or pc.any(lacking).as_py():
        return None
    # A file has few languages and many rows, so each spelling is looked up once.
    spelled = columns["language"].dictionary_encode()
    try:
        codes = pa.array([canonical(code) for code in spelled.dictionary.to_pylist()], pa.string())
    except PanglotError:
        return None
    done = {
        **columns,
        "language": codes.take(spelled.indices),
        "test_only": pc.fill_null(pc.equal(columns["test_only"], "yes"), False),
        "line": pa.array(range(line, line + len(spelled)), pa.int32()),
    }
    return pa.record_batch([done[name] for name in ROWS.names], schema=ROWS)


def _lines_before_cut(stream: IO[bytes], line: int) -> tuple[bytes, int]:
    """Return the whole lines from ``line`` on before gzip data end too soon, and the number of the line after."""
    lines: list[bytes] = []
    number = 0
    try:
        for number, raw in enumerate(stream, 1):
            if number >= line:
                lines.append(raw)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        pass
    return b"".join(lines), number + 1
