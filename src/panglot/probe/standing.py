"""How safely a question finds its passage within the first k of a pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from panglot.evaluation.lattice import Doubles, exponent, on_lattice, to_scores

if TYPE_CHECKING:
    from panglot.corpus.collection import Ints
    from panglot.encoders.protocol import Vectors

_CELLS = 1 << 22


@dataclass(frozen=True)
class Standing:
    """Where each question's best relevant passage stands in its pool.

    Attributes:
        rank: Rank of the best relevant passage, from 1, shape ``[questions]``.
        margin: Its score less that of the k-th irrelevant passage: a question succeeds at k where this is
            above 0, and fails where it is below; at 0 the passages' ids decide.
        best: Position of that relevant passage in the pool.
        instead: Position of the irrelevant passage that stands highest.
    """

    rank: Ints
    margin: Doubles
    best: Ints
    instead: Ints


def standing(
    questions: Vectors, passages: Vectors, relevant: tuple[Ints, Ints], k: int, *, cells: int = _CELLS
) -> Standing:
    """Rank by dot product; of equal scores the passage that stands first in the pool comes first.

    The scores are those of :func:`panglot.evaluation.ranks.rank`, the same bits for every block size.

    Args:
        questions: One row a question, shape ``[questions, dimension]``.
        passages: One row a passage, in the order of their ids, shape ``[pool, dimension]``.
        relevant: Question and position in the pool of each relevant pair, sorted by question; every question
            has at least one, and at least ``k`` passages of the pool are irrelevant to it.
        k: The depth that counts as success.
        cells: Scores in memory at once.
    """
    powers = exponent(questions), exponent(passages)
    left = on_lattice(questions, powers[0])
    columns = on_lattice(passages, powers[1]).astype(np.float64).T
    number = len(questions)
    rank, best, instead = (np.zeros(number, np.int64) for _ in range(3))
    margin = np.zeros(number)
    starts = np.searchsorted(relevant[0], np.arange(number + 1))
    size = max(1, cells // max(1, len(passages)))
    for low in range(0, number, size):
        high = min(low + size, number)
        products = (left[low:high].astype(np.float64) @ columns).astype(np.float32)
        scores = to_scores(products, sum(powers))
        mine = slice(starts[low], starts[high])
        mark = np.zeros(scores.shape, np.bool_)
        mark[relevant[0][mine] - low, relevant[1][mine]] = True
        found = _block(scores, mark, k)
        rank[low:high], margin[low:high], best[low:high], instead[low:high] = found
    return Standing(rank, margin, best, instead)


def _block(scores: Vectors, mark: npt.NDArray[np.bool_], k: int) -> tuple[Ints, Doubles, Ints, Ints]:
    row = np.arange(len(scores))
    own = np.where(mark, scores, -np.inf)
    rest = np.where(mark, -np.inf, scores)
    best, instead = own.argmax(axis=1), rest.argmax(axis=1)
    top = own[row, best][:, None]
    before = np.arange(scores.shape[1]) < best[:, None]
    ahead = ~mark & ((scores > top) | ((scores == top) & before))
    bar = -np.partition(-rest, k - 1, axis=1)[:, k - 1]
    return 1 + ahead.sum(axis=1), top[:, 0].astype(np.float64) - bar, best, instead
