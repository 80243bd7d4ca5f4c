"""Read rows of documents from CSV, TSV, JSON lines, JSON arrays and Parquet, with columns under any names."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import chain
from pathlib import Path

from panglot._errors import PanglotError
from panglot.data.files import array_rows, as_object, ending_of, objects, parquet_batches, whole_lines
from panglot.data.language import NO_LANGUAGE, canonical_or_none

DOCUMENT_FIELDS = ("id", "text", "title", "language", "group")
"""What columns of documents can be. All other columns are metadata."""

TABLES = ("csv", "tsv", "jsonl", "ndjson", "parquet")
"""Endings of files of documents. A ``.json`` file is one if it holds an array."""

# A cell may be a whole article, and the module's own limit is 131,072 characters.
_LONGEST_CELL = 1 << 30

Rows = Iterator[tuple[int, dict[str, object]]]


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
        delimiter = _cell_delimiter(first, usual, {*needed.values(), *DOCUMENT_FIELDS})
        if delimiter != usual:
            note(f"cells are separated by {delimiter!r}")
        # Without `strict`, a quotation mark that is never closed makes the rest of the file one cell.
        reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
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
            line = reader.line_num + 1
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
