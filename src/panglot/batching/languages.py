"""Which language each row of a mixed batch is asked and answered in."""

from __future__ import annotations

import numpy as np

from panglot.batching._random import Floats
from panglot.batching.batch import Bools
from panglot.corpus.collection import Ints


def same(q: Bools, p: Bools, chance: Floats) -> Ints:
    """Return for each row a language that both sides have, all equally likely.

    Args:
        q: Whether there is a question, shape ``[rows, languages]``.
        p: Whether there is a passage, shape ``[rows, languages]``.
        chance: A random number in [0, 1) per row.

    Returns:
        Languages, shape ``[rows]``; meaningless where no language has both.
    """
    both = q & p
    return _at((chance * both.sum(1)).astype(np.int64), both.astype(np.int64))[0]


def different(q: Bools, p: Bools, chance: Floats) -> tuple[Ints, Ints]:
    """Return for each row a question's and a passage's language, x ≠ y, all pairs equally likely.

    Args:
        q: Whether there is a question, shape ``[rows, languages]``.
        p: Whether there is a passage, shape ``[rows, languages]``.
        chance: A random number in [0, 1) per row.

    Returns:
        Two arrays of shape ``[rows]``; meaningless where there is no such pair.

    >>> q, p = np.array([[True, False, True]]), np.array([[False, True, True]])
    >>> [tuple(int(side[0]) for side in different(q, p, np.array([u]))) for u in (0.1, 0.5, 0.9)]
    [(0, 1), (0, 2), (2, 1)]
    """
    # A question in x has one pair for each passage but the one in x.
    partners = q * (p.sum(1, keepdims=True) - p)
    x, left = _at((chance * partners.sum(1)).astype(np.int64), partners)
    others = p.copy()
    others[np.arange(len(p)), x] = False
    return x, _at(left, others.astype(np.int64))[0]


def _at(number: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Return the column in which item ``number`` of a row lies, and how many of that column precede it."""
    ends = counts.cumsum(1)
    column = (ends > number[:, None]).argmax(1)
    rows = np.arange(len(counts))
    return column, number - (ends[rows, column] - counts[rows, column])
