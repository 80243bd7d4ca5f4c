"""One epoch of a stream: its rows, dealt into batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from panglot.batching._random import permutation, raw, stable_order
from panglot.corpus._keys import Ints32
from panglot.corpus.collection import Ints


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
