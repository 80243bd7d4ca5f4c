"""Which waiting texts are encoded next."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def share(waiting: Sequence[Sequence[int]], budget: int) -> list[int]:
    """Return how many texts of each waiting request form the next batch.

    The requests take turns, the oldest first, with one text each, until the next text would exceed the budget. So a
    question does not wait behind the thousands of texts of an earlier request, and the oldest request always moves.

    Args:
        waiting: For each request, oldest first, the tokens of its texts that are left.
        budget: Tokens of a batch. The first text is taken whatever its size.

    >>> share([[5, 5, 5, 5], [3], [2]], 16)
    [2, 1, 1]
    >>> share([[90], [3]], 16)
    [1, 0]
    """
    taken = [0] * len(waiting)
    left = budget
    turns = deque(place for place, sizes in enumerate(waiting) if sizes)
    while turns:
        place = turns.popleft()
        size = waiting[place][taken[place]]
        if size > left and left < budget:
            break
        taken[place] += 1
        left -= size
        if taken[place] < len(waiting[place]):
            turns.append(place)
    return taken
