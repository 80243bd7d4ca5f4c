"""Columns of any size: memory-map files, walk and take rows, number equal values, find what rows tie together.

Texts are compared in two ways. A collection joins passages that are equal letter by letter (:func:`keys`), so that no
text of a user changes. Training, splits and checks take texts as equal that differ only in case, blanks or composition
(:func:`normalized`), because such a text would be a wrong negative or be in train and dev.
:mod:`panglot.data.overlap` finds near texts.
"""

from __future__ import annotations

import itertools
import mmap
import unicodedata
import weakref
import zlib
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

pc: Any = compute  # Its functions are made at run time, so that no type checker knows them.
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Ints32 = npt.NDArray[np.int32]
T = TypeVar("T", bound=Hashable)

#: Rows of a record batch that panglot writes, and that a walk over a table holds at once.
BATCH = 65_536
_WALKED = 1 << 26  # bytes after which a walk gives pages back
# Rows after which pages are given back. Each row may bring the 64 KiB around it into memory.
_TAKEN = 1 << 10

_open_maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
# By the table's id, since tables have no hash. An entry goes when its table does.
_origins: dict[int, Path] = {}
_taken = Counter[str]()


def _mapped(path: Path) -> mmap.mmap:
    """Return a file as read-only memory, whose pages :func:`release` gives back. An empty one is a ValueError."""
    with path.open("rb") as file:
        found = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    _open_maps.add(found)
    return found


def open_table(path: Path) -> pa.Table:
    """Return the table in an Arrow file, memory-mapped; else raise an OSError, ValueError or ArrowException."""
    table = pa.ipc.open_file(pa.py_buffer(_mapped(path))).read_all()
    _origins[id(table)] = path.resolve()
    weakref.finalize(table, _origins.pop, id(table), None)
    return table


def store(batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path | None = None) -> pa.Table:
    """Return batches as a table: written to an Arrow file and memory-mapped, or without a path held in memory."""
    if path is None:
        return pa.Table.from_batches(list(batches), schema)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as out:
        for batch in batches:
            out.write_batch(batch)
    return open_table(path)


def open_array(path: Path) -> npt.NDArray[Any]:
    """Return the array in an npy file, memory-mapped and read-only; else raise an OSError or ValueError."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = read[version](file)
        start = file.tell()
    # An empty part of a file cannot be mapped.
    if not np.prod(shape):
        return np.empty(shape, dtype)
    flat = np.frombuffer(_mapped(path), dtype, int(np.prod(shape)), start)
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

    ``ChunkedArray.take`` would put the whole column into memory. This gives pages back, as :func:`walk` does.

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
    # Rows of one chunk in rising order are in their order already.
    if len(parts) == 1 and (order[:-1] < order[1:]).all():
        return parts[0]
    back = np.empty(len(rows), np.int64)
    back[order] = np.arange(len(rows))
    return pa.concat_arrays(parts).take(pa.array(back))


@dataclass(frozen=True)
class Keys:
    """Keys of texts: 96 bits per text, from two unrelated hashes. Within a process, equal texts have equal keys.

    Among 10^9 texts, two different ones share a key with a probability below 1e-10: 10^18 / 2 pairs / 2^96 = 6e-12.
    """

    wide: Ints  # Python's own hash
    check: npt.NDArray[np.uint32]  # a CRC

    def __getitem__(self, rows: Any) -> Keys:
        """Return the keys of some rows."""
        return Keys(self.wide[rows], self.check[rows])


def keys(texts: pa.Array) -> Keys:
    """Return the keys of texts.

    >>> found = keys(pa.array(["a", "a"]))
    >>> bool(found.wide[0] == found.wide[1]), bool(found.check[0] == found.check[1])
    (True, True)
    """
    raw = texts.cast(pa.binary()).to_pylist()
    count = len(raw)
    return Keys(np.fromiter(map(hash, raw), np.int64, count), np.fromiter(map(zlib.crc32, raw), np.uint32, count))


def in_language(found: Keys, language: npt.NDArray[np.int16]) -> Keys:
    """Return keys that differ if the languages of equal texts differ."""
    # The golden ratio times 2^64 scatters small numbers over all bits (Fibonacci hashing, Knuth). 0 would change none.
    salt = (language.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    return Keys(found.wide ^ salt.view(np.int64), found.check ^ (salt >> np.uint64(32)).astype(np.uint32))


def concatenated(parts: Iterable[Keys]) -> Keys:
    """Return the keys of several parts as one."""
    found = [Keys(np.empty(0, np.int64), np.empty(0, np.uint32)), *parts]
    return Keys(np.concatenate([each.wide for each in found]), np.concatenate([each.check for each in found]))


def first_of(found: Keys) -> Ints32:
    """Return for each key the place of the first one that equals it.

    >>> first_of(keys(pa.array(["a", "b", "a"]))).tolist()
    [0, 1, 0]
    """
    first = first_of_numbers(found.wide)
    if (found.check[first] != found.check).any():
        # Two texts share a wide hash. Sorting by both hashes is slower, and almost never needed.
        order = np.lexsort((found.check, found.wide))
        wide, check = found.wide[order], found.check[order]
        first = _firsts(order.astype(np.int32), np.r_[True, (wide[1:] != wide[:-1]) | (check[1:] != check[:-1])])
    return first


def first_of_numbers(numbers: Ints) -> Ints32:
    """Return for each number the place of the first one that equals it."""
    order = np.argsort(numbers)
    ranked = numbers[order]
    starts = np.r_[True, ranked[1:] != ranked[:-1]][: len(order)]
    del ranked
    return _firsts(order.astype(np.int32), starts)


def _firsts(order: Ints32, starts: Bools) -> Ints32:
    """Return the smallest place of each run of equal ones, in the order of the places."""
    first = np.empty(len(order), np.int32)
    if len(order):
        least = np.minimum.reduceat(order, np.flatnonzero(starts))
        first[order] = least[np.cumsum(starts, dtype=np.int32) - 1]
    return first


def ranks(first: Ints32) -> Ints32:
    """Turn the places of first equal ones into numbers from 0, in the order of these places.

    >>> ranks(np.array([0, 1, 0, 3], np.int32)).tolist()
    [0, 1, 0, 2]
    """
    new = first == np.arange(len(first), dtype=np.int32)
    return (np.cumsum(new, dtype=np.int32) - np.int32(1))[first]


def number_groups(column: pa.ChunkedArray) -> Ints32:
    """Number groups in the order of their first occurrence, without holding their names. An empty one is of one text.

    >>> number_groups(pa.chunked_array([["b", "a"], ["b", "", None]])).tolist()
    [0, 1, 0, 2, 3]
    """
    names = (batch.column(0).fill_null("") for batch in walk(pa.table({"group": column})))
    first = first_of(_gather(names, len(column)))
    alone = pc.fill_null(pc.binary_length(column), 0).to_numpy() == 0
    return ranks(np.where(alone, np.arange(len(first), dtype=np.int32), first))


def text_numbers(column: pa.ChunkedArray, chosen: Bools | None = None) -> Ints32:
    """Number texts in the order of their first occurrence. Those whose :func:`normalized` forms are equal share one.

    Texts that are not ``chosen`` get the number −1. By default all are chosen.

    >>> text_numbers(pa.chunked_array([["Who?", "  who? ", "What?"]])).tolist()
    [0, 0, 1]
    """
    chosen = np.ones(len(column), bool) if chosen is None else chosen
    found = np.full(len(column), -1, np.int32)
    found[chosen] = ranks(first_of(_gather(_normalized(column, chosen), int(np.count_nonzero(chosen)))))
    return found


def normalized(text: str) -> str:
    """Return a text in the form in which texts are compared: without differences of case, blanks and composition.

    >>> normalized("  Who   IS it? "), normalized("Cafe\u0301") == normalized("CAF\u00c9")
    ('who is it?', True)
    """
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text)
    folded = " ".join(folded.casefold().split())
    return folded if folded.isascii() else unicodedata.normalize("NFKC", folded)


def _normalized(column: pa.ChunkedArray, chosen: Bools) -> Iterator[pa.Array]:
    start = 0
    for batch in walk(pa.table({"text": column})):
        texts = batch.column(0).filter(pa.array(chosen[start : start + batch.num_rows]))
        start += batch.num_rows
        yield pa.array([normalized(text or "") for text in texts.to_pylist()], pa.string())


def _gather(parts: Iterable[pa.Array], count: int) -> Keys:
    """Return the keys of ``count`` texts that come in parts. Joining the parts' keys would hold them all twice."""
    found = Keys(np.empty(count, np.int64), np.empty(count, np.uint32))
    end = 0
    for part in parts:
        start, end = end, end + len(part)
        some = keys(part)
        found.wide[start:end], found.check[start:end] = some.wide, some.check
    return found


def smallest_together(size: int, left: Ints32, right: Ints32) -> Ints32:
    """Return for each of ``size`` numbers the smallest one that pairs connect it with, directly or through others.

    >>> smallest_together(5, np.array([4, 1], np.int32), np.array([1, 3], np.int32)).tolist()
    [0, 1, 2, 1, 1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    everyone = np.arange(size, dtype=np.int32)
    # Most numbers are in no pair, so a graph of the others is small.
    tied = np.zeros(size, bool)
    tied[left] = tied[right] = True
    members = np.flatnonzero(tied).astype(np.int32)
    if not len(members):
        return everyone
    place = np.zeros(size, np.int32)
    place[members] = np.arange(len(members), dtype=np.int32)
    shape = (len(members), len(members))
    graph = coo_array((np.ones(len(left), np.int8), (place[left], place[right])), shape=shape)
    count, label = connected_components(graph, directed=False)
    least = np.full(count, size, np.int32)
    np.minimum.at(least, label, members)
    everyone[members] = least[label]
    return everyone


def connect(rows: int, links: Iterable[tuple[npt.NDArray[Any], npt.NDArray[Any]]]) -> Ints32:
    """Return a block for each row. Rows that share a thing, directly or through others, share a block.

    Each link is two arrays of equal length: row numbers, and the thing that each of them has. Thing 3 of one link is
    not thing 3 of the next. Blocks are numbered from 0 in the order of their first rows, shape ``[rows]``.

    >>> first, second = (np.array([0, 1, 2, 3]), np.array([7, 7, 8, 9])), (np.array([1, 2]), np.array([7, 7]))
    >>> connect(4, [first, second]).tolist()
    [0, 0, 0, 1]
    """
    least = np.arange(rows, dtype=np.int32)
    for row, thing in links:
        one = least[row]
        other = one[first_of_numbers(thing)]
        apart = one != other
        least = smallest_together(rows, one[apart], other[apart])[least]
    return ranks(least)


class DisjointSets(Generic[T]):
    """Disjoint sets of anything hashable. A set is called by its member that was seen first.

    >>> sets = DisjointSets[str]()
    >>> sets.join(["a", "b"])
    >>> sets.join(["c", "b"])
    >>> sets.first("c"), sets.first("alone")
    ('a', 'alone')
    """

    def __init__(self) -> None:
        self._number: dict[T, int] = {}
        self._pairs: list[tuple[int, int]] = []
        self._firsts: list[T] = []

    def join(self, members: Iterable[T]) -> None:
        """Put all ``members`` into one set."""
        numbers = [self._number.setdefault(member, len(self._number)) for member in members]
        self._pairs += itertools.pairwise(numbers)
        self._firsts = []

    def first(self, member: T) -> T:
        """Return the member of this one's set that was seen first. A member that was never seen is alone."""
        if member not in self._number:
            return member
        if not self._firsts:
            pairs = np.array(self._pairs, np.int32).reshape(-1, 2)
            members = list(self._number)
            smallest = smallest_together(len(members), pairs[:, 0], pairs[:, 1])
            self._firsts = [members[number] for number in smallest.tolist()]
        return self._firsts[self._number[member]]
