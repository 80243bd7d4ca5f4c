"""Random numbers that are a pure function of a name.

Only the raw output of numpy's counter-based Philox is used: unlike the methods of ``Generator``, numpy
promises that it stays the same from version to version, and so does a plan.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from panglot._files import digest
from panglot.corpus.collection import Ints

Floats = npt.NDArray[np.float64]


def raw(count: int, *name: str | int) -> npt.NDArray[np.uint64]:
    """Return ``count`` random 64-bit numbers that belong to ``name``; other names give independent ones."""
    key = int(digest(*(str(part) for part in name))[:32], 16)
    return np.random.Philox(key=key).random_raw(count)


def uniforms(count: int, *name: str | int) -> Floats:
    """Return ``count`` random numbers in [0, 1) that belong to ``name``."""
    return (raw(count, *name) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(count: int, *name: str | int) -> Ints:
    """Return the permutation of ``0 … count - 1`` that belongs to ``name``."""
    return np.argsort(raw(count, *name), kind="stable")
