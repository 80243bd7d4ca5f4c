"""Exact neighbours, by comparing all rows.

A scan takes as long as reading the vectors does. It therefore reads 8-bit numbers first, which have half the bytes. How
far each vector is from them is known, so that a scan knows which rows may be among the best, and compares these again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from panglot.search.storage.store import ROUNDING, Bools, Halves, Ints, halves, pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from panglot.encoders.protocol import Vectors
    from panglot.search.storage.columns import Selection

Bytes = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]

FEW = 10_000
"""Rows up to which a scan reads vectors alone, because reading 8-bit numbers first takes longer."""

_PIECE = 4096
_SAMPLE, _NEAREST, _FOUND = 500, 10, 52
_SPARSE = 3  # Copying a row out of the others takes as long as comparing about two more.
_ROWS = 1 << 16  # In a piece of a scan, so that what is computed of them stays in the processor's cache.
_MANY = 16  # So many queries make up for the conversion that a product of matrices needs.


class EightBit(NamedTuple):
    """The vectors of a segment, or of one language in it."""

    numbers: Bytes  # Shape [rows, dimension].
    errors: Floats  # How long the difference to each vector is, shape [rows].
    factor: float  # By which vectors were multiplied.

    @classmethod
    def write(cls, folder: Path, name: str, vectors: Halves) -> EightBit:
        """Write the vectors of a vector field into the folder of a segment, and open them."""
        factor = scale(vectors)
        errors = np.empty(len(vectors), np.float32)
        # A full disk raises an error here. Writing to a mapped file would end the process.
        with paths(folder, name)[0].open("wb") as file:
            header = {"descr": "|i1", "fortran_order": False, "shape": vectors.shape}
            np.lib.format.write_array_header_1_0(file, header)
            for part in pieces(len(vectors), _PIECE):
                whole = vectors[part].astype(np.float32)
                numbers = encode(whole, factor)
                errors[part] = np.linalg.norm(whole - numbers / np.float32(factor), axis=1)
                file.write(numbers.data)
        np.save(paths(folder, name)[1], errors)
        return cls.open(folder, name, factor)

    @classmethod
    def open(cls, folder: Path, name: str, factor: float) -> EightBit:
        """Open what :meth:`write` wrote, memory-mapped."""
        numbers, errors = (np.asarray(np.load(path, mmap_mode="r", allow_pickle=False)) for path in paths(folder, name))
        return cls(numbers, errors, factor)

    def part(self, begin: int, end: int) -> EightBit:
        """Return the rows from ``begin`` to ``end``."""
        return EightBit(self.numbers[begin:end], self.errors[begin:end], self.factor)

    def scores(self, query: Floats, rows: slice | Ints) -> tuple[Floats, Floats]:
        """Return dot products of a query and some rows, shape ``[1, rows]``, and by how much each may be off.

        All have unit length. By the inequality of Cauchy and Schwarz, a product is then off by no more than the lengths
        of the differences of the row and of the query.
        """
        import numkong

        asked = encode(query[None], self.factor)
        off = float(np.linalg.norm(query - asked[0] / np.float32(self.factor)))
        product = np.asarray(numkong.cdist(asked, self.numbers[rows], "dot"))
        # Unit vectors in half precision are a little longer, and sums are rounded.
        margin = self.errors[rows] * np.float32(1 + off) + np.float32(off + ROUNDING)
        return (product / self.factor**2).astype(np.float32), margin


def paths(folder: Path, name: str) -> tuple[Path, Path]:
    """Return the files of a vector field in the folder of a segment: 8-bit numbers, and their errors."""
    return folder / f"{name}.i8.npy", folder / f"{name}.errors.npy"


def encode(vectors: npt.NDArray[np.floating], factor: float) -> Bytes:
    """Return vectors as 8-bit numbers."""
    return np.clip(np.rint(vectors.astype(np.float32) * factor), -127, 127).astype(np.int8)


def scale(vectors: Halves) -> float:
    """Return the factor that brings the numbers of vectors into -127 to 127.

    Without the largest 1/10,000 of the numbers, which are clipped, most vectors keep more detail. If a few vectors
    consist of a few large numbers, clipping turns them away from their neighbours. Of both factors, take the one by
    which a scan of a sample of 8-bit numbers finds more of the nearest.
    """
    sample = vectors[:: max(1, len(vectors) // 10_000)].astype(np.float32)
    sizes = np.abs(sample)
    most = [size for size in (float(np.quantile(sizes, 0.9999)), float(sizes.max(initial=0))) if size > 0]
    rows = np.arange(0, len(sample), max(1, len(sample) // _SAMPLE))
    exact = _first(sample[rows] @ sample.T, _NEAREST)
    found: list[tuple[int, float]] = []
    for size in most:
        small = encode(sample, 127 / size).astype(np.float32)
        near = _first(small[rows] @ small.T, _FOUND)
        found.append((sum(len(np.intersect1d(a, b)) for a, b in zip(exact, near, strict=True)), 127 / size))
    # With equal recall, the first, which is finer.
    return max(found, key=lambda entry: entry[0])[1] if found else 1.0


def _first(score: Floats, count: int) -> Ints:
    """Return the ``count`` best columns of each row, in any order."""
    kept = min(count, score.shape[1])
    return np.argpartition(score, score.shape[1] - kept, axis=1)[:, score.shape[1] - kept :]


def scan(vectors: Halves, small: EightBit | None, queries: Vectors, k: int, selection: Selection) -> Iterator[Ints]:
    """Yield for each query the rows that may be among the ``k`` best.

    If there are 8-bit numbers, a scan of them leaves few rows, and vectors are read of these alone.
    """
    rows, excluded = _rows(selection, _PIECE if len(queries) >= _MANY else _ROWS), selection.excluded
    k = min(k, selection.live)
    if small is None or len(queries) >= _MANY or selection.live < FEW:
        yield from _possible(partial(_products, vectors, queries), rows, excluded, k)
        return
    for query in queries:
        few = next(_possible(partial(small.scores, query), rows, excluded, k))
        # Where most vectors are alike, 8-bit numbers tell few of them apart.
        left = [few[part] for part in pieces(len(few), _PIECE)] if len(few) * _SPARSE < selection.live else rows
        yield next(_possible(partial(_products, vectors, query[None]), left, excluded, k))


def _rows(selection: Selection, size: int) -> list[slice | Ints]:
    """Return the rows to compare, in pieces. A slice may have excluded rows, if copying the others takes longer."""
    found: list[slice | Ints] = []
    for begin, end in selection.stretches():
        if selection.excluded is not None:
            row = begin + np.flatnonzero(~selection.excluded[begin:end])
            if len(row) * _SPARSE < end - begin:
                found += [row[part] for part in pieces(len(row), _PIECE)]
                continue
        found += [slice(begin + part.start, begin + part.stop) for part in pieces(end - begin, size)]
    return found


def _possible(
    compare: Callable[[slice | Ints], tuple[Floats, Floats]],
    rows: Sequence[slice | Ints],
    excluded: Bools | None,
    k: int,
) -> Iterator[Ints]:
    """Yield for each query the rows that may be among the ``k`` best, by scores and the most that each is off."""
    lowest: list[Floats] = []
    margins: list[Floats] = []
    for part in rows:
        score, margin = compare(part)
        score -= margin
        if excluded is not None and isinstance(part, slice):
            score[:, excluded[part]] = -np.inf
        lowest.append(score)
        margins.append(2 * margin)
    for number in range(len(lowest[0])):
        least = _kth(np.concatenate([score[number] for score in lowest]), k)
        found: list[Ints] = []
        for part, score, margin in zip(rows, lowest, margins, strict=True):
            at = np.flatnonzero(score[number] + margin >= least)
            found.append(at + part.start if isinstance(part, slice) else part[at])
        yield np.concatenate(found)


def _kth(score: Floats, k: int) -> np.float32:
    """Return the ``k``-th largest score."""
    width = len(score) // 64
    if k <= width:
        # At least k scores are as large as the k-th largest of the maxima of 64 each. Few others are.
        most = score[: width * 64].reshape(64, width).max(axis=0)
        score = score[score >= np.partition(most, width - k)[width - k]]
    return np.partition(score, len(score) - k)[len(score) - k]


def _products(vectors: Halves, queries: Vectors, rows: slice | Ints) -> tuple[Floats, Floats]:
    """Return scores of some rows. Rounding the query, or sums, moves each by less than the second number."""
    margin = np.full(1, ROUNDING, np.float32)
    if len(queries) >= _MANY:
        return queries @ vectors[rows].astype(np.float32).T, margin
    import numkong

    # Asked for single precision, it takes some 20 times as long for the same sums.
    return np.asarray(numkong.cdist(halves(queries), vectors[rows], "dot")).astype(np.float32), margin
