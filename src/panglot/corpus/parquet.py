"""Parquet tables with the columns of the JSON lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from panglot._errors import PanglotError
from panglot.corpus import _rows
from panglot.corpus.collection import Collection, pc


def read(path: Path, *, name: str = "", about: Mapping[str, str] | None = None) -> Collection:
    """Read a table with the columns ``language, passage`` and, if there, ``group, question, id``.

    Raises:
        PanglotError: The file is not Parquet, a column is missing, or a row is wrong; rows count from 1.
    """
    return _rows.collect(name or path.stem, rows(path), {"candidates": "passage", **(about or {})})


def rows(path: Path) -> Iterator[_rows.Row]:
    """Yield the checked rows of the table.

    Raises:
        PanglotError: As :func:`read`.
    """
    for line, values in enumerate((values for batch in row_batches(path) for values in batch.to_pylist()), 1):
        yield _rows.row(values, path, line)


def row_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the rows as they stand, some thousand at a time.

    Raises:
        PanglotError: The file is not Parquet, or a column is missing.
    """
    return batches(path, ("language", "passage"), ("group", "question", "id", "test_only"))


def records(
    path: Path,
    needed: tuple[str, ...],
    optional: tuple[str, ...] = (),
    *,
    only: tuple[str, Callable[[str], bool]] | None = None,
) -> Iterator[dict[str, object]]:
    """Yield the rows of a Parquet file with the columns ``needed``, and those of ``optional`` that it has.

    ``only`` is a column and which of its values are wanted: rows with others are never made.

    Raises:
        PanglotError: The file is not Parquet, or a needed column is missing.
    """
    for batch in batches(path, needed, optional):
        if only is not None:
            values = batch[only[0]].unique()
            wanted = [value for value in values.to_pylist() if only[1](str(value))]
            batch = batch.filter(pc.is_in(batch[only[0]], pa.array(wanted, values.type)))  # noqa: PLW2901
        yield from batch.to_pylist()


def batches(path: Path, needed: tuple[str, ...], optional: tuple[str, ...] | None = ()) -> Iterator[pa.RecordBatch]:
    """Yield the same some thousand rows at a time; ``optional`` None: all columns.

    Raises:
        PanglotError: As :func:`records`.
    """
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            there = file.schema_arrow.names
            for column in needed:
                if column not in there:
                    raise PanglotError(
                        f"no such column (there are: {', '.join(there)})",
                        file=path,
                        field=column,
                        cure="rename or add the column",
                    )
            columns = there if optional is None else [*needed, *(column for column in optional if column in there)]
            yield from file.iter_batches(batch_size=8192, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise PanglotError(
            f"not a readable Parquet file: {str(error).splitlines()[0]}",
            file=path,
            cure="write or fetch it again",
        ) from error
