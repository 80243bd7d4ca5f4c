"""Numbers that every store shares: vectors at half precision, scores that are the same whoever computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from panglot.encoders.protocol import Vectors
    from panglot.search.document import ScoredDocument

Halves = npt.NDArray[np.float16]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

ROUNDING = 5e-4
"""More than the score of a pair of unit vectors moves when either is rounded to half precision."""


def halves(vectors: npt.NDArray[np.floating]) -> Halves:
    """Return vectors as stores keep them: 11 significant bits, a cosine moves by some 1e-5."""
    with np.errstate(over="ignore"):
        return vectors.astype(np.float16)


def scores(rows: npt.NDArray[np.floating], question: Vectors) -> Doubles:
    """Return the dot product of stored vectors and a question, shape ``[rows]``.

    Stored numbers are multiples of 2^-24. With the question's rounded to multiples of 2^-28, all products and sums of
    unit vectors are exact in double precision: equal vectors have equal scores, in any order, shape and store.

    >>> scores(np.full((2, 4), 0.5, np.float16), np.full(4, 0.5, np.float32)).tolist()
    [1.0, 1.0]
    """
    lattice = np.rint(question.astype(np.float64) * (1 << 28)) / (1 << 28)
    return rows.astype(np.float64) @ lattice


def first(k: int, score: Doubles, rows: Ints, name: Callable[[int], str]) -> list[tuple[float, str, int]]:
    """Return the ``k`` best as (score, id, row), the best first, equal scores by rising id.

    Args:
        k: How many at most.
        score: Their scores, in any order.
        rows: Their rows.
        name: Returns the id of a row; asked only of rows that may be among the best.
    """
    if len(rows) > k:
        least = np.partition(score, len(score) - k)[-k]
        kept = np.flatnonzero(score >= least)
        score, rows = score[kept], rows[kept]
    named = [(float(value), name(int(row)), int(row)) for value, row in zip(score, rows, strict=True)]
    return sorted(named, key=lambda hit: (-hit[0], hit[1]))[:k]


def merged(lists: Iterable[list[ScoredDocument]], k: int) -> list[ScoredDocument]:
    """Return the ``k`` best of several lists, equal scores by rising id."""
    return sorted((hit for hits in lists for hit in hits), key=lambda hit: (-hit.score, hit.id))[:k]


def by_size(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sums of counts, the largest first, equal ones by name.

    >>> by_size([{"de": 1, "ar": 2}, {"de": 1, "zh": 3}])
    {'zh': 3, 'ar': 2, 'de': 2}
    """
    total: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def pieces(count: int, size: int) -> Iterator[slice]:
    """Yield slices of at most ``size`` that make up ``count``."""
    yield from (slice(begin, min(begin + size, count)) for begin in range(0, count, size))
