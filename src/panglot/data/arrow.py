"""Memory-map files and give their pages back, so that a walk over a large table does not fill the memory."""

from __future__ import annotations

import mmap
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

#: Rows of a record batch that panglot writes, and that a walk over a table holds at once.
BATCH = 65_536
_WALKED = 1 << 26  # bytes after which a walk gives pages back
# Rows after which pages are given back. Each row may bring the 64 KiB around it into memory.
_TAKEN = 1 << 10

_open_maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
# By the table's id, since tables have no hash. An entry goes when its table does.
_origins: dict[int, Path] = {}
_taken = Counter[str]()


def mapped(path: Path) -> mmap.mmap:
    """Return a file as read-only memory, whose pages :func:`release` gives back.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is empty.
    """
    with path.open("rb") as file:
        found = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    _open_maps.add(found)
    return found


def open_table(path: Path) -> pa.Table:
    """Return the table in an Arrow file, memory-mapped.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is empty.
        pyarrow.ArrowException: It is not an Arrow file.
    """
    table = pa.ipc.open_file(pa.py_buffer(mapped(path))).read_all()
    _origins[id(table)] = path.resolve()
    weakref.finalize(table, _origins.pop, id(table), None)
    return table


def open_array(path: Path) -> npt.NDArray[Any]:
    """Return the array in an npy file, memory-mapped and read-only.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is empty, or not an npy file.
    """
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = read[version](file)
        start = file.tell()
    if not np.prod(shape):
        return np.empty(shape, dtype)
    flat = np.frombuffer(mapped(path), dtype, int(np.prod(shape)), start)
    return flat.reshape(shape, order="F" if fortran else "C")


def origin(table: pa.Table) -> Path | None:
    """Return the file that a table was opened from, or None for one that was made or changed since."""
    return _origins.get(id(table))


def release() -> None:
    """Give the pages of all open maps back to the system, which reads them again when they are needed."""
    if hasattr(mmap, "MADV_DONTNEED"):
        for each in tuple(_open_maps):
            each.madvise(mmap.MADV_DONTNEED)


def walk(table: pa.Table, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield a table in batches of at most :data:`BATCH` rows, and give back the pages of those that have passed."""
    chosen = table.select(list(columns)) if columns else table
    seen = 0
    for batch in chosen.to_batches(max_chunksize=BATCH):
        yield batch
        seen += batch.nbytes
        if seen > _WALKED:
            release()
            seen = 0


def take(column: pa.ChunkedArray, rows: npt.NDArray[Any]) -> pa.Array:
    """Return the values of some rows, in their order.

    ``ChunkedArray.take`` would put the whole column into memory first. This gives pages back now and then, as
    :func:`walk` does.

    >>> take(pa.chunked_array([["a", "b"], ["c"]]), np.array([2, 0, 2])).to_pylist()
    ['c', 'a', 'c']
    """
    ends = np.cumsum([len(chunk) for chunk in column.iterchunks()], dtype=np.int64)
    chunk_of = np.searchsorted(ends, rows, side="right")
    if len(rows) and int(chunk_of.max()) >= len(ends):
        raise IndexError(f"row {int(np.max(rows))} of a column of {len(column)}")
    order = np.argsort(chunk_of, kind="stable")
    parts: list[pa.Array] = []
    edges = np.flatnonzero(np.r_[True, np.diff(chunk_of[order]) != 0]) if len(rows) else np.empty(0, np.int64)
    for start, end in zip(edges.tolist(), [*edges[1:].tolist(), len(rows)], strict=False):
        number = int(chunk_of[order[start]])
        within = rows[order[start:end]] - (int(ends[number - 1]) if number else 0)
        parts.append(column.chunk(number).take(pa.array(within)))
    _taken["rows"] += len(rows)
    if _taken["rows"] > _TAKEN:
        release()
        _taken.clear()
    if not parts:
        return pa.array([], column.type)
    if len(parts) == 1 and (order[:-1] < order[1:]).all():
        return parts[0]
    back = np.empty(len(rows), np.int64)
    back[order] = np.arange(len(rows))
    return pa.concat_arrays(parts).take(pa.array(back))
