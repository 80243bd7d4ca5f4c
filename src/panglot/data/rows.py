"""Rows of files one by one, from CSV, TSV, JSON lines, JSON arrays and Parquet, and what their fields mean."""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
import pyarrow as pa

from panglot._errors import PanglotError, first_line, located
from panglot.data.columns import pc
from panglot.data.files import TABLES, RowError, array_rows, as_object, ending_of, objects, whole_lines
from panglot.data.language import NO_LANGUAGE, canonical, canonical_or_none
from panglot.data.letters import encodable

FIELDS = ("group", "language", "question", "passage")
TEXT_FIELDS = (*FIELDS, "id")
"""Fields of a row that are texts."""

DOCUMENT_FIELDS = ("id", "text", "title", "language", "group")
"""What columns of documents can be. All other columns are metadata."""

# A cell may be a whole article, and the module's own limit is 131,072 characters.
_LONGEST_CELL = 1 << 30
# Excel reads and writes it above the names of the columns.
_STATED_DELIMITER = re.compile(r"\"?sep=(.)\"?\s*")

_TRUE, _FALSE = ("yes", "true", "1"), ("no", "false", "0", "")

Rows = Iterator[tuple[int, dict[str, object]]]


class Row(NamedTuple):
    """One checked row, with the columns of :data:`panglot.data.row_columns.ROWS`."""

    line: int
    group: str | None  # ties it to its translations; a row without one is a group of its own
    language: str
    question: str | None
    passage: str | None
    id: str | None = None
    test_only: bool = False  # a collection with such a row must not be trained on


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


def set_aside(error: PanglotError, rejected: list[RowError] | None) -> None:
    """Add an error to the rejected rows, or raise it if nobody collects them."""
    if rejected is None:
        raise error
    rejected.append(RowError.of(error))


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


def document_rows(
    path: Path, needed: Collection[str], columns: Mapping[str, str] | None = None,
    note: Callable[[str], None] = lambda _note: None,
) -> Rows:  # fmt: skip
    """Yield the line and the fields of each row of a file of documents. Rows of Parquet and arrays count from 1.

    Args:
        path: The file. Its name says what it is.
        needed: The fields that a table must have, of :data:`DOCUMENT_FIELDS`.
        columns: The names of the columns that hold some of these fields, by field. A column ``_id``, as BEIR has it,
            is the id if there is no other.
        note: Called with a line about an unusual separator of cells.

    Raises:
        PanglotError: At once: the name of the file has no known ending, or ``columns`` names no field. While reading:
            the file cannot be read, or lacks a column.
    """
    columns = dict(columns or {})
    if wrong := sorted(columns.keys() - set(DOCUMENT_FIELDS)):
        hint = f"use {', '.join(DOCUMENT_FIELDS)}"
        raise PanglotError(f"unknown field of documents: {wrong[0]!r}", field="column", hint=hint)
    ending = ending_of(path)
    names = {field: columns.get(field, field) for field in {*needed, *columns}}
    if ending in ("csv", "tsv"):
        rows = table_rows(path, names, note)
    elif ending == "parquet":
        rows = _parquet(path, names)
    elif ending in (*TABLES, "json"):
        rows = _json(path, {field: columns[field] for field in columns})
    else:
        hint = "name it .jsonl, .ndjson, .json, .csv, .tsv (each also with .gz) or .parquet"
        raise PanglotError("the name of the file has no known ending", file=path, hint=hint)
    return _renamed(rows, columns)


def _renamed(rows: Rows, columns: Mapping[str, str]) -> Rows:
    fields = {name: field for field, name in columns.items()}
    for line, values in rows:
        if not fields and "_id" not in values:
            yield line, values
            continue
        # A column that is named for a field hides the one that has the field's name.
        kept = {name: value for name, value in values.items() if name in fields or name not in columns}
        found = {fields.get(name, name): value for name, value in kept.items()}
        if "id" not in found and "_id" in found:
            found["id"] = found.pop("_id")
        yield line, found


def name_language(row: Mapping[str, object]) -> Mapping[str, object]:
    """Return a row with its ``lang``, as many data sets call it, as its ``language`` if it has no other.

    Raises:
        PanglotError: ``lang`` is not a language code.

    >>> name_language({"id": "1", "lang": "de"}), name_language({"language": "de", "lang": "python"})
    ({'id': '1', 'language': 'de'}, {'language': 'de', 'lang': 'python'})
    """
    code = row.get("lang")
    if not isinstance(code, str) or row.get("language") not in (None, ""):
        return row
    if code.strip() and code.strip().lower() not in NO_LANGUAGE and canonical_or_none(code) is None:
        hint = "write a BCP 47 or ISO 639 code, or rename the field if it means something else"
        raise PanglotError(f"unknown language code {code!r}", field="lang", hint=hint)
    return {**{name: value for name, value in row.items() if name != "lang"}, "language": code}


def _missing(path: Path, line: int | None, field: str, name: str, there: Collection[str]) -> PanglotError:
    problem = f"there is no such column (there are: {', '.join(map(str, there))})"
    hint = f"name the columns in the first line, or say which one it is: `--column {field}=NAME`"
    if field not in DOCUMENT_FIELDS:
        hint = "name the columns language, question and passage, or make rows by `panglot data from-docs --column ...`"
    return PanglotError(problem, file=path, line=line, field=name, hint=hint)


def _check_columns(path: Path, line: int | None, names: Mapping[str, str], there: Collection[str]) -> None:
    for field, name in sorted(names.items()):
        if name not in there and not (name == "id" and "_id" in there):
            raise _missing(path, line, field, name, there)


def _parquet(path: Path, names: Mapping[str, str]) -> Rows:
    line = 1
    for batch in parquet_batches(path, (), None):
        if line == 1:
            _check_columns(path, None, names, batch.schema.names)
        yield from enumerate(batch.to_pylist(), line)
        line += batch.num_rows


def _json(path: Path, columns: Mapping[str, str]) -> Rows:
    seen: set[str] = set()
    found = array_rows(path)
    rows = objects(path) if found is None else ((n, as_object(value, path, n)) for n, value in enumerate(found, 1))
    for line, values in rows:
        seen.update(values.keys() & columns.values() if columns else ())
        yield line, values
    # A row may leave a field out, but a name that no row has is a mistake.
    for field, name in columns.items():
        if name not in seen:
            raise PanglotError("no row has this field", file=path, field=name, hint=f"correct `--column {field}=NAME`")


def table_rows(path: Path, needed: Mapping[str, str], note: Callable[[str], None] = lambda _note: None) -> Rows:
    """Yield the line and the cells of each row of CSV or TSV with a header, by column. Empty cells are None.

    ``needed`` are the names of columns that must be there, by field.
    """
    csv.field_size_limit(_LONGEST_CELL)
    usual = "\t" if ending_of(path) == "tsv" else ","
    lines = (text for _, text in whole_lines(path))
    first = next(lines, "")
    names: list[str] = []
    line = 1
    try:
        if stated := _STATED_DELIMITER.fullmatch(first):
            first, line = next(lines, ""), 2
        delimiter = stated[1] if stated else _cell_delimiter(first, usual, {*needed.values(), *DOCUMENT_FIELDS})
        if delimiter != usual:
            note(f"cells are separated by {delimiter!r}")
        # Without `strict`, a quotation mark that is never closed makes the rest of the file one cell.
        reader = csv.reader(itertools.chain([first], lines), delimiter=delimiter, strict=True)
        for cells in reader:
            if cells and not names:
                names = cells
                _check_columns(path, line, needed, names)
                if repeated := [name for place, name in enumerate(names) if name in names[:place] or not name]:
                    problem = "each column needs a name of its own"
                    raise PanglotError(problem, file=path, line=line, field=repeated[0], hint="rename it")
            elif cells:
                if len(cells) != len(names):
                    problem = f"{len(cells)} cells, expected {len(names)} as in the header"
                    hint = 'put texts with commas, quotes or line ends in quotes ("), and double quotes within them'
                    raise PanglotError(problem, file=path, line=line, hint=hint)
                yield line, {name: cell or None for name, cell in zip(names, cells, strict=True)}
            line = reader.line_num + (2 if stated else 1)
    except csv.Error as error:
        problem = f"the row that begins here cannot be read: {error}"
        hint = 'close each quotation mark, and write one inside a cell twice ("")'
        if "new-line" in str(error):
            problem, hint = "a line ends with a carriage return alone", "end lines with LF or CRLF"
        raise PanglotError(problem, file=path, line=line, hint=hint) from None
    if not names:
        raise PanglotError("the file is empty", file=path, hint="fetch or write it again")


def _cell_delimiter(header: str, usual: str, needed: Collection[str]) -> str:
    """Return what separates the cells of a table: the character that gives most of the needed columns, or else most.

    >>> _cell_delimiter("id;text;a,b", ",", {"id", "text"}), _cell_delimiter("id,text", ",", {"body"})
    (';', ',')
    """

    def fit(delimiter: str) -> tuple[int, int]:
        names = next(csv.reader([header.rstrip("\r\n")], delimiter=delimiter), [])
        return len(set(needed).intersection(names)), len(names)

    return max((usual, *",;\t|".replace(usual, "")), key=fit)


def parquet_records(
    path: Path, needed: tuple[str, ...], *, only: tuple[str, Callable[[str], bool]] | None = None
) -> Iterator[dict[str, object]]:
    """Yield the rows of a Parquet file with the columns ``needed``.

    ``only`` is a column and a function that says which of its values to keep. Other rows are never made into objects.
    """
    for batch in parquet_batches(path, needed):
        if only is not None:
            column, accepts = only
            values = batch[column].unique()
            accepted = [value for value in values.to_pylist() if accepts(str(value))]
            yield from batch.filter(pc.is_in(batch[column], pa.array(accepted, values.type))).to_pylist()
        else:
            yield from batch.to_pylist()


def parquet_batches(
    path: Path, needed: tuple[str, ...], optional: tuple[str, ...] | None = ()
) -> Iterator[pa.RecordBatch]:
    """Yield the same rows as columns, some thousand at a time. With ``optional`` None they have all columns."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            for column in needed:
                if column not in names:
                    problem = f"no such column (there are: {', '.join(names)})"
                    raise PanglotError(problem, file=path, field=column, hint="rename or add the column")
            columns = names if optional is None else [*needed, *(name for name in optional if name in names)]
            for batch in file.iter_batches(batch_size=8192, columns=columns):
                # Plain values, however the file's writer stored them.
                plain = [each.dictionary_decode() if pa.types.is_dictionary(each.type) else each for each in batch]
                yield pa.record_batch(plain, names=batch.schema.names)
    except (pa.ArrowException, OSError) as error:
        problem = f"not a readable Parquet file: {first_line(error)}"
        raise PanglotError(problem, file=path, hint="write or fetch it again") from error
