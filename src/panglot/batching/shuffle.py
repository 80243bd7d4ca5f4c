"""Reproducible randomness, and one epoch of a stream: its rows in random order, cut into batches.

Random numbers are a pure function of a name. Only the raw output of numpy's counter-based Philox is used: numpy
promises that it stays the same from version to version, which it does not for the methods of ``Generator``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from panglot._files import digest
from panglot.batching.batch import Bools
from panglot.data.collection import Ints
from panglot.data.keys import Ints32

_PIECE = 1 << 20

Floats = npt.NDArray[np.float64]


def random_bits(count: int, *name: str | int) -> npt.NDArray[np.uint64]:
    """Return ``count`` random 64-bit numbers that belong to ``name``; other names give independent ones."""
    key = int(digest(*(str(part) for part in name))[:32], 16)
    return np.random.Philox(key=key).random_raw(count)


def uniforms(count: int, *name: str | int) -> Floats:
    """Return ``count`` random numbers in [0, 1) that belong to ``name``."""
    bits = random_bits(count, *name)
    bits >>= np.uint64(11)
    # Written over the bits: with millions of rows, a second array of that size would be felt.
    found = bits.view(np.float64)
    for start in range(0, count, _PIECE):
        found[start : start + _PIECE] = bits[start : start + _PIECE].astype(np.float64) * 2.0**-53
    return found


def permutation(count: int, *name: str | int) -> Ints:
    """Return the permutation of ``0 … count - 1`` that belongs to ``name``."""
    return stable_order(random_bits(count, *name))


def stable_order(keys: npt.NDArray[np.uint64]) -> Ints:
    """Return the order of a stable sort; where no key occurs twice, any sort finds it, and several times faster."""
    order = np.argsort(keys)
    ranked = keys[order]
    return np.argsort(keys, kind="stable") if (ranked[1:] == ranked[:-1]).any() else order


@dataclass(frozen=True)
class Epoch:
    """All batches of one epoch of a stream.

    Attributes:
        order: Rows of the source, shape ``[n]``, 32 bits each: a plan keeps many of these.
        batches: The order in which batches are taken, shape ``[batches]``.
    """

    order: npt.NDArray[np.int32]
    batches: Ints

    def batch(self, turn: int) -> Ints:
        """Return the rows of the batch that is taken after ``turn`` others."""
        return self.order[self.batches[turn] :: len(self.batches)].astype(np.int64)

    @property
    def bytes(self) -> int:
        """The size of the epoch in memory."""
        return self.order.nbytes + self.batches.nbytes


def batches_needed(conflict_group: Ints | Ints32, questions: int, batch_size: int) -> int:
    """Return the number of batches per epoch: enough for ``batch_size``, and for the largest conflict group.

    Args:
        conflict_group: The conflict group of each row, numbered from 0, shape ``[rows]``.
        questions: Number of questions in the rows. If a row has several, at least two rows share a batch, whatever its
            size. Otherwise there would be no negatives.
        batch_size: Questions per batch.

    >>> batches_needed(np.array([0, 1, 2, 3, 4]), 5, 2), batches_needed(np.array([0, 0, 0, 0, 1]), 5, 2)
    (3, 4)
    >>> batches_needed(np.array([0, 1, 2, 3]), 40, 5)
    2
    """
    batches = -(-questions // batch_size)
    if questions > len(conflict_group):
        batches = max(1, min(batches, len(conflict_group) // 2))
    return max(batches, int(np.bincount(conflict_group).max()))


def shuffle_epoch(rows: Ints, conflict_group: Ints | Ints32, batches: int, *name: str | int) -> Epoch:
    """Shuffle rows into the batches of the epoch called ``name``.

    Conflict groups are put in random order, and so are the rows within each group. Rows are then dealt to the batches
    in turn. A group never has more rows than there are batches, so its rows all fall into different ones. Every row
    occurs once, and the sizes of batches differ by at most one.

    Args:
        rows: Rows of the source, shape ``[n]``.
        conflict_group: Their conflict groups, numbered from 0, shape ``[n]``.
        batches: As :func:`batches_needed` returns it.
        name: Seeds the draws.

    >>> group = np.array([0, 0, 0, 1, 1, 2])
    >>> epoch = shuffle_epoch(np.arange(6), group, 3, "an example")
    >>> sorted(sorted(group[epoch.batch(turn)].tolist()) for turn in range(3))
    [[0, 1], [0, 1], [0, 2]]
    """
    # The words "blocks", "rows" and "hands" seed the draws. Another word would give every run other batches.
    # One key, with the group's place in its upper half and chance in the lower, sorts several times faster than two.
    key = permutation(int(conflict_group.max()) + 1, *name, "blocks")[conflict_group].astype(np.uint64)
    key <<= np.uint64(32)
    chance = random_bits(len(rows), *name, "rows")
    chance >>= np.uint64(32)
    key |= chance
    del chance
    order = rows[stable_order(key)].astype(np.int32)
    # Without this, the rows of a conflict group would follow each other in time.
    return Epoch(order, permutation(batches, *name, "hands"))


def same_language(q: Bools, p: Bools, chance: Floats) -> Ints:
    """Return for each row a language that both sides have, all equally likely.

    Args:
        q: Whether there is a question, shape ``[rows, languages]``.
        p: Whether there is a passage, shape ``[rows, languages]``.
        chance: A random number in [0, 1) per row.

    Returns:
        Languages, shape ``[rows]``; meaningless where no language has both.
    """
    both = q & p
    return _column_of((chance * both.sum(1)).astype(np.int64), both.astype(np.int64))[0]


def two_languages(q: Bools, p: Bools, chance: Floats) -> tuple[Ints, Ints]:
    """Return for each row a question's and a passage's language, x ≠ y, all pairs equally likely.

    Args:
        q: Whether there is a question, shape ``[rows, languages]``.
        p: Whether there is a passage, shape ``[rows, languages]``.
        chance: A random number in [0, 1) per row.

    Returns:
        Two arrays of shape ``[rows]``; meaningless where there is no such pair.

    >>> q, p = np.array([[True, False, True]]), np.array([[False, True, True]])
    >>> [tuple(int(side[0]) for side in two_languages(q, p, np.array([u]))) for u in (0.1, 0.5, 0.9)]
    [(0, 1), (0, 2), (2, 1)]
    """
    # A question in x has one pair for each passage but the one in x.
    partners = q * (p.sum(1, keepdims=True) - p)
    x, left = _column_of((chance * partners.sum(1)).astype(np.int64), partners)
    others = p.copy()
    others[np.arange(len(p)), x] = False
    return x, _column_of(left, others.astype(np.int64))[0]


def _column_of(number: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Return the column in which item ``number`` of a row lies, and how many of that column precede it."""
    ends = counts.cumsum(1)
    column = (ends > number[:, None]).argmax(1)
    rows = np.arange(len(counts))
    return column, number - (ends[rows, column] - counts[rows, column])
