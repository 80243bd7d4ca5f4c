"""The metadata of a segment's documents in Arrow columns by type, and which rows a filter allows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from panglot.search.document import (
    LIST,
    MIXED,
    OWN_FIELDS,
    Condition,
    Filter,
    Group,
    count_kinds,
    join_kinds,
    joined_kinds,
    kind_of,
)
from panglot.search.storage.store import COLUMNS, Bools, as_row

if TYPE_CHECKING:
    from pathlib import Path

    from panglot.search.document import Document

NAME = "metadata.arrow"

SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])

_BATCH = 1 << 16  # Rows of one record batch. Small ones take time to compute over.
_MASKS = 32  # Filters whose rows are kept, a bit per row. A mode may search once per language.

_TYPES = {"text": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}


def _type(kind: str) -> Any:
    """Return the Arrow type of a kind. A column of nulls is one of mixed kinds."""
    if kind.startswith(LIST):
        return pa.list_(_TYPES.get(kind.removeprefix(LIST), pa.null()))
    return _TYPES.get(kind, pa.null())


def _kind(type_: Any) -> str:
    if pa.types.is_list(type_):
        return LIST + next((name for name, each in _TYPES.items() if each == type_.value_type), "")
    return next((name for name, each in _TYPES.items() if each == type_), MIXED)


def built(chunks: Sequence[Any]) -> tuple[Any, dict[str, dict[str, int]]]:
    """Return the columns of metadata, or None without any, and the number of rows by field and kind of value.

    ``chunks`` are Arrow arrays of texts in JSON, as :func:`panglot.search.storage.store.as_row` makes them. They are
    read twice, so that memory holds the columns and one chunk.
    """
    counts: dict[str, dict[str, int]] = {}
    for chunk in chunks:
        count_kinds(_rows(chunk), counts)
    kinds = joined_kinds([counts])
    parts = [
        pa.table({name: _array([row.get(name) for row in rows], kind) for name, kind in kinds.items()})
        for rows in (map(_rows, chunks) if kinds else ())
    ]
    return (pa.concat_tables(parts).combine_chunks() if parts else None), counts


def _rows(chunk: Any) -> list[dict[str, Any]]:
    return [json.loads(text) if text else {} for text in chunk.to_pylist()]


def write(folder: Path, chunks: Sequence[Any]) -> dict[str, dict[str, int]]:
    """Write the columns of a segment into its folder, if any row has metadata, and return the counts by kind."""
    table, counts = built(chunks)
    if table is not None:
        with pa.OSFile(str(folder / NAME), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=_BATCH)
    return counts


def _array(values: list[Any], kind: str) -> Any:
    if kind == MIXED:
        return pa.nulls(len(values))
    if kind.startswith(LIST):
        values = [value if value is None or isinstance(value, list) else [value] for value in values]
    if kind.removeprefix(LIST) == "float":
        # Arrow refuses integers of more than 53 bits, which Python rounds.
        values = [[float(each) for each in value] if isinstance(value, list) else value and float(value)
                  for value in values]  # fmt: skip
    return pa.array(values, _type(kind))


class Columns:
    """The columns of a segment: those of its file, or made of its JSON if an older panglot wrote it.

    Args:
        path: The file.
        texts: Columns of the documents by name.
        rows: Number of documents.
    """

    def __init__(self, path: Path, texts: Mapping[str, Any], rows: int) -> None:
        self._path, self._texts, self._rows = path, texts, rows
        self._packed: Callable[[Filter], Any] = lru_cache(_MASKS)(lambda where: np.packbits(self._mask(where)))

    @cached_property
    def _table(self) -> Any:
        if self._path.exists():
            return pa.ipc.open_file(pa.memory_map(str(self._path))).read_all()
        return built(self._texts["fields"].chunks)[0]

    @cached_property
    def kinds(self) -> dict[str, str]:
        """The kind of each field of metadata."""
        return {} if self._table is None else {each.name: _kind(each.type) for each in self._table.schema}

    def allowed(self, where: Filter) -> Bools:
        """Return which rows a bound filter allows, shape ``[rows]``."""
        return np.unpackbits(self._packed(where), count=self._rows).view(np.bool_)

    def allows(self, where: Filter, row: int) -> bool:
        """Return whether a bound filter allows a row."""
        return bool(self._packed(where)[row >> 3] >> (7 - (row & 7)) & 1)

    def _mask(self, where: Filter) -> Bools:
        if isinstance(where, Group):
            masks = [self._mask(each) for each in where.parts]
            if where.operator == "not":
                return ~masks[0]
            return (np.logical_and if where.operator == "and" else np.logical_or).reduce(masks)
        assert isinstance(where, Condition)
        return self._holds(where)

    def _column(self, condition: Condition) -> Any:
        name, value = condition.field, condition.value
        if name in OWN_FIELDS:
            return self._texts[name]
        if not (kind := self.kinds.get(name, "")):
            return None
        found = "" if value is None or value == () else kind_of(value[0] if isinstance(value, tuple) else value)
        other = found and (join_kinds(kind, found) == MIXED or (kind.removeprefix(LIST), found) == ("float", "int"))
        if kind == MIXED or other:
            return self._only(name, found)
        return self._table[name]

    def _only(self, name: str, kind: str) -> Any:
        """Return the values of one kind as lists, or truth values if the kind is empty. Only deleted rows have others.

        The column itself has room for the others, and so is empty, or has integers as fractions.
        """
        found: list[Any] = []
        for text in self._texts["fields"].to_pylist():
            value = json.loads(text).get(name) if text else None
            if kind and value is not None:
                value = [each for each in (value if isinstance(value, list) else [value])
                         if join_kinds(kind_of(each), kind) == kind]  # fmt: skip
            found.append(value if kind or value is None else True)
        return pa.chunked_array([_array(found, LIST + kind if kind else "bool")])

    def _holds(self, condition: Condition) -> Bools:
        column = self._column(condition)
        found = np.zeros(self._rows, np.bool_)
        rest = found
        for chunk in column.chunks if column is not None else ():
            part, rest = rest[: len(chunk)], rest[len(chunk) :]
            if condition.operator == "exists":
                part[:] = _present(condition.field, chunk)
            elif pa.types.is_list(chunk.type):
                # The values of all lists lie behind one another.
                parents = np.asarray(computed("list_parent_indices", chunk))
                part[parents[_compared(chunk.flatten(), condition)]] = True
            else:
                part[:] = _compared(chunk, condition)
                if condition.field in OWN_FIELDS:
                    part &= _present(condition.field, chunk)
        return found


def computed(function: str, *arguments: Any, **options: Any) -> Any:
    """Return what a function of ``pyarrow.compute`` returns.

    Importing that module takes a quarter of a second, which a search without a filter does not need.
    """
    from pyarrow import compute

    return getattr(compute, function)(*arguments, **options)


def _present(field: str, chunk: Any) -> Bools:
    if field in OWN_FIELDS:
        return np.asarray(computed("not_equal", chunk, ""))
    return np.asarray(chunk.is_valid())


def _compared(chunk: Any, condition: Condition) -> Bools:
    """Return for which values of an array a condition holds. It holds for none that is missing."""
    value: Any = condition.value
    kinds = {kind_of(each) for each in (value if isinstance(value, tuple) else (value,))}
    if not kinds or pa.types.is_null(chunk.type):
        return np.zeros(len(chunk), np.bool_)
    # In other segments, the field may have fractions.
    kind = _TYPES[kinds.pop()]
    chunk = chunk if chunk.type == kind else chunk.cast(kind, safe=False)
    if isinstance(value, tuple):
        return np.asarray(computed("is_in", chunk, value_set=pa.array(value, kind)))
    operators = {"=": "equal", "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal"}
    return np.asarray(computed(operators[condition.operator], chunk, pa.scalar(value, kind)).fill_null(False))


def as_batch(documents: Sequence[Document]) -> pa.RecordBatch:
    """Return documents as a record batch."""
    return pa.RecordBatch.from_pylist([as_row(document) for document in documents], SCHEMA)
