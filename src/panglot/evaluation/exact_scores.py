"""Dot products of two sets of vectors, tile by tile, that are the same bits whatever the order of the sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from panglot.data.collection import Ints
    from panglot.encoders.protocol import Vectors

Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]
_BITS = 26
# Pairs at once: 64 pairs of vectors of 1,024 doubles are 1 MB, which a processor's cache holds.
_PAIRS = 1 << 6


@dataclass(frozen=True)
class ExactScores:
    """Dot products of queries and documents, computed in blocks and never all at once.

    Every vector is scaled by a power of two and rounded to whole numbers below 2^26, which float32 holds exactly
    because it has 24 significant bits. A dot product in doubles is then a sum of whole numbers whose partial sums
    stay below 2^53 (by Cauchy-Schwarz, since no norm exceeds 2^26). Every order of summation, tile size, BLAS and
    number of threads therefore gives the same bits, and equal vectors have equal scores. The rounding moves a cosine
    by about 10⁻⁸.

    A *product* is such a whole number. Multiply it by :attr:`unit`, a power of two, to get the dot product of the
    original vectors, or by :attr:`document_unit` if both are documents.

    >>> scores = ExactScores.of(np.eye(2, dtype=np.float32), np.array([[0.5, 0.25]], np.float32))
    >>> (scores.pairs(np.array([0, 1]), np.array([0, 0])) * scores.unit).tolist()
    [0.5, 0.25]
    """

    queries: Vectors
    documents: Vectors
    unit: float
    document_unit: float

    @classmethod
    def of(cls, queries: Vectors, documents: Vectors) -> Self:
        """Prepare two sets of vectors of one dimension and any scale. Infinity and NaN are refused."""
        (left, a), (right, b) = _whole_numbers(queries), _whole_numbers(documents)
        return cls(left, right, 2.0 ** (a + b - 2 * _BITS), 2.0 ** (2 * b - 2 * _BITS))

    def tiles(self, documents: Ints, size: int) -> Iterator[Tile]:
        """Yield tiles of at most ``size`` documents, given by their rows."""
        return (Tile(self, part) for part in parts(documents, size))

    def pairs(self, queries: Ints, documents: Ints) -> Doubles:
        """Return the products of pairs, given by the rows of both sides, shape ``[pairs]``."""
        return pair_scores(self.queries, queries, self.documents, documents)


class Tile:
    """Some documents, given by their rows and kept in doubles while blocks of queries pass by."""

    def __init__(self, scores: ExactScores, documents: Ints) -> None:
        self.documents = documents
        self._scores = scores
        self._columns = scores.documents[documents].astype(np.float64).T

    def products(self, queries: Ints | slice) -> Doubles:
        """Return the products of a block of queries with the tile, shape ``[block, tile]``."""
        return self._scores.queries[queries].astype(np.float64) @ self._columns

    def products_of_documents(self, documents: Ints) -> Doubles:
        """Return the products of other documents with those of the tile, shape ``[documents, tile]``."""
        return self._scores.documents[documents].astype(np.float64) @ self._columns


def pair_scores(left: Vectors, a: Ints, right: Vectors, b: Ints) -> Doubles:
    """Return the dot products in doubles of the rows ``a`` of one side with the rows ``b`` of the other."""
    found = np.empty(len(a))
    for at in range(0, len(a), _PAIRS):
        part = slice(at, at + _PAIRS)
        sides = left.take(a[part], axis=0).astype(np.float64), right.take(b[part], axis=0).astype(np.float64)
        found[part] = np.einsum("rd,rd->r", *sides)
    return found


def parts(rows: Ints, size: int) -> Iterator[Ints]:
    """Yield at most ``size`` rows at a time."""
    return (rows[at : at + size] for at in range(0, len(rows), size))


def _whole_numbers(vectors: Vectors) -> tuple[Vectors, int]:
    """Return ``vectors · 2^(26 − power)`` rounded to whole numbers, and the power of two above every norm."""
    if not vectors.size:
        return vectors.astype(np.float32), 0
    square = np.max(np.einsum("nd,nd->n", vectors, vectors), initial=0.0)
    if not np.isfinite(square):
        raise PanglotError(
            "a vector holds a number that is infinite or not a number",
            hint="check the encoder; a damaged checkpoint gives such vectors",
        )
    # A little more than the norm, because the sum above was rounded.
    power = int(np.frexp(np.sqrt(np.float64(square)) * (1 + 1e-4))[1])
    scaled = np.multiply(vectors, np.float32(2.0 ** (_BITS - power)), dtype=np.float32)
    return np.rint(scaled, out=scaled), power
