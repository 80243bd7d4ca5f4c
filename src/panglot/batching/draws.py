"""Random draws that are a pure function of a name.

Only the raw output of numpy's counter-based Philox is used: numpy promises that it stays the same from version to
version, which it does not for the methods of ``Generator``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from panglot._files import digest
from panglot.batching.policy import Floats
from panglot.data.collection import Ints

_PIECE = 1 << 20


class Draws:
    """What each step takes of some choices, drawn in blocks so that step k needs no walk through all earlier steps.

    ``draw`` returns a block's choices, shape ``[block, choices per step]``, from the block's number and from how often
    each choice was taken before it.
    """

    def __init__(self, choices: int, block: int, draw: Callable[[int, Ints], Ints]) -> None:
        self._block, self._draw = block, draw
        self._drawn: list[Ints] = []
        self._before: list[Ints] = [np.zeros(choices, np.int64)]

    def __call__(self, k: int) -> list[tuple[int, int]]:
        """Return the choices of step ``k``, each with the number of earlier steps that took it."""
        if k < 0:
            raise ValueError(f"there is no step {k}")
        block, place = divmod(k, self._block)
        while len(self._drawn) <= block:
            drawn = self._draw(len(self._drawn), self._before[-1])
            self._before.append(self._before[-1] + np.bincount(drawn.ravel(), minlength=len(self._before[0])))
            self._drawn.append(drawn)
        drawn, before = self._drawn[block], self._before[block]
        return [(choice, int(before[choice] + (drawn[:place] == choice).sum())) for choice in drawn[place].tolist()]


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
    """Return the order of a stable sort. If no key occurs twice, any sort finds it, several times faster."""
    order = np.argsort(keys)
    ranked = keys[order]
    return np.argsort(keys, kind="stable") if (ranked[1:] == ranked[:-1]).any() else order
