"""One epoch of a stream: its rows, dealt into batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from panglot.batching.batch import Bools
from panglot.batching.random import Floats, permutation, raw, stable_order
from panglot.data.collection import Ints
from panglot.data.keys import Ints32


@dataclass(frozen=True)
class Epoch:
    """All batches of one epoch of a stream.

    Attributes:
        order: Rows of the source, shape ``[n]``, 32 bits each: a plan keeps many of these.
        hands: The order in which the hands are played, shape ``[batches]``.
    """

    order: npt.NDArray[np.int32]
    hands: Ints

    def batch(self, turn: int) -> Ints:
        """Return the rows of a batch."""
        return self.order[self.hands[turn] :: len(self.hands)].astype(np.int64)

    @property
    def bytes(self) -> int:
        """The memory that it takes."""
        return self.order.nbytes + self.hands.nbytes


def batches_needed(block: Ints | Ints32, questions: int, batch_size: int) -> int:
    """Return the number of batches of an epoch: enough for ``batch_size``, and for the largest block.

    Args:
        block: The block of each row, numbered from 0, shape ``[rows]``.
        questions: How many questions the rows bring. If they bring several each, at least two rows share a
            batch, whatever its size: else there would be no negatives.
        batch_size: Questions in a batch.

    >>> batches_needed(np.array([0, 1, 2, 3, 4]), 5, 2), batches_needed(np.array([0, 0, 0, 0, 1]), 5, 2)
    (3, 4)
    >>> batches_needed(np.array([0, 1, 2, 3]), 40, 5)
    2
    """
    batches = -(-questions // batch_size)
    if questions > len(block):
        batches = max(1, min(batches, len(block) // 2))
    return max(batches, int(np.bincount(block).max()))


def deal(rows: Ints, block: Ints | Ints32, batches: int, *name: str | int) -> Epoch:
    """Deal rows into the batches of the epoch called ``name``.

    Rows are laid out with the blocks in random order, at random within a block, and dealt out in turn, so that
    the rows of a block, which never outnumber the batches, all fall into different ones. Every row occurs once;
    the sizes of the batches differ by at most one.

    Args:
        rows: Rows of the source, shape ``[n]``.
        block: Their blocks, numbered from 0, shape ``[n]``.
        batches: As :func:`batches_needed`.
        name: What seeds the draws.

    >>> block = np.array([0, 0, 0, 1, 1, 2])
    >>> epoch = deal(np.arange(6), block, 3, "an example")
    >>> sorted(sorted(block[epoch.batch(turn)].tolist()) for turn in range(3))
    [[0, 1], [0, 1], [0, 2]]
    """
    # One key, place above and chance below, sorts several times faster than two.
    key = permutation(int(block.max()) + 1, *name, "blocks")[block].astype(np.uint64)
    key <<= np.uint64(32)
    chance = raw(len(rows), *name, "rows")
    chance >>= np.uint64(32)
    key |= chance
    del chance
    order = rows[stable_order(key)].astype(np.int32)
    # Without this, the rows of a block would follow each other in time.
    hands = permutation(batches, *name, "hands")
    return Epoch(order, hands)


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
