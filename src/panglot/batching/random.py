"""Random numbers that are a pure function of a name.

Only the raw output of numpy's counter-based Philox is used: unlike the methods of ``Generator``, numpy
promises that it stays the same from version to version, and so does a plan.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from panglot._files import digest
from panglot.data.collection import Ints

_PIECE = 1 << 20

Floats = npt.NDArray[np.float64]


def raw(count: int, *name: str | int) -> npt.NDArray[np.uint64]:
    """Return ``count`` random 64-bit numbers that belong to ``name``; other names give independent ones."""
    key = int(digest(*(str(part) for part in name))[:32], 16)
    return np.random.Philox(key=key).random_raw(count)


def uniforms(count: int, *name: str | int) -> Floats:
    """Return ``count`` random numbers in [0, 1) that belong to ``name``."""
    bits = raw(count, *name)
    bits >>= np.uint64(11)
    # In the place of the bits: millions of rows have one such number each.
    found = bits.view(np.float64)
    for start in range(0, count, _PIECE):
        found[start : start + _PIECE] = bits[start : start + _PIECE].astype(np.float64) * 2.0**-53
    return found


def permutation(count: int, *name: str | int) -> Ints:
    """Return the permutation of ``0 … count - 1`` that belongs to ``name``."""
    return stable_order(raw(count, *name))


def stable_order(keys: npt.NDArray[np.uint64]) -> Ints:
    """Return the order of a stable sort; where no key occurs twice, any sort finds it, and several times faster."""
    order = np.argsort(keys)
    ranked = keys[order]
    return np.argsort(keys, kind="stable") if (ranked[1:] == ranked[:-1]).any() else order
