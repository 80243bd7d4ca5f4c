"""One epoch of a stream: its rows, dealt into batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from panglot.batching._random import permutation
from panglot.corpus.collection import Ints


@dataclass(frozen=True)
class Rows:
    """The rows of a stream and how they are dealt.

    Attributes:
        rows: Rows of the source, shape ``[n]``.
        block: Their blocks, numbered from 0, shape ``[n]``.
        batches: The number of batches of an epoch.
    """

    rows: Ints
    block: Ints
    batches: int

    @classmethod
    def of(cls, rows: Ints, block: Ints, versions: Ints | None, batch_size: int) -> Rows:
        """Find the number of batches: enough for ``batch_size``, and for the largest block.

        Args:
            rows: Rows of the source, shape ``[n]``.
            block: Their blocks, shape ``[n]``.
            versions: How many questions each row brings, shape ``[n]``; ``None`` for one. At least two rows
                then share a batch, else there would be no negatives.
            batch_size: Questions in a batch.
        """
        compact = np.unique(block, return_inverse=True)[1].astype(np.int64)
        questions = len(rows) if versions is None else int(versions.sum())
        batches = -(-questions // batch_size)
        if versions is not None:
            batches = max(1, min(batches, len(rows) // 2))
        return cls(rows, compact, max(batches, int(np.bincount(compact).max())))


@dataclass(frozen=True)
class Epoch:
    """All batches of one epoch of a stream.

    Attributes:
        order: Positions in :attr:`Rows.rows`, shape ``[n]``.
        hands: The order in which the hands are played, shape ``[batches]``.
    """

    order: Ints
    hands: Ints

    def batch(self, turn: int) -> Ints:
        """Return the positions of the rows of a batch."""
        return self.order[self.hands[turn] :: len(self.hands)]


def deal(stream: Rows, *name: str | int) -> Epoch:
    """Deal the rows of a stream into the batches of the epoch called ``name``.

    Rows are laid out with the blocks in random order, at random within a block, and dealt out in turn, so
    that the rows of a block, which never outnumber the batches, all fall into different ones. Every row
    occurs once; the sizes of the batches differ by at most one.

    >>> stream = Rows.of(np.arange(6), np.array([0, 0, 0, 1, 1, 2]), None, 3)
    >>> epoch = deal(stream, "an example")
    >>> sorted(sorted(stream.block[epoch.batch(turn)].tolist()) for turn in range(stream.batches))
    [[0, 1], [0, 1], [0, 2]]
    """
    place = permutation(int(stream.block.max()) + 1, *name, "blocks")[stream.block]
    order = np.lexsort((permutation(len(stream.rows), *name, "rows"), place))
    # Without this, the rows of a block would follow each other in time.
    hands = permutation(stream.batches, *name, "hands")
    return Epoch(order, hands)
