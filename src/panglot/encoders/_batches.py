"""Texts sorted by length and cut into batches of so many tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


def token_batches(lengths: Sequence[int], budget: int) -> list[npt.NDArray[np.int64]]:
    """Cut the texts, longest first, into batches whose padded size stays within ``budget`` tokens.

    A text longer than the budget is a batch of its own. Longest first, so that memory runs out at once or
    never, and the time left is not too rosy.

    Returns:
        The row numbers of each batch; together every row once.

    >>> [batch.tolist() for batch in token_batches([3, 9, 4, 1], 8)]
    [[1], [2, 0], [3]]
    """
    sizes = np.maximum(np.asarray(lengths, dtype=np.int64), 1)
    order = np.argsort(-sizes, kind="stable")
    batches: list[npt.NDArray[np.int64]] = []
    begin = 0
    while begin < len(order):
        count = max(1, budget // int(sizes[order[begin]]))
        batches.append(order[begin : begin + count])
        begin += count
    return batches
