"""Which ids came before, at eight bytes an id."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


class Seen:
    """Ids by Python's 64-bit hash, as sorted runs that are merged when they are of like size.

    Two ids that differ are taken for one with a probability below 1e-6 in all of five million ids.
    """

    def __init__(self) -> None:
        self._runs: list[npt.NDArray[np.int64]] = []

    def before(self, ids: Sequence[str]) -> list[int]:
        """Take in ``ids``, and return the places of those that came before, in earlier calls or earlier in this one.

        >>> seen = Seen()
        >>> seen.before(["a", "b", "a"]), seen.before(["c", "b"]), seen.before([])
        ([2], [1], [])
        """
        if not ids:
            return []
        hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
        order = np.argsort(hashes, kind="stable")
        ranked = hashes[order]
        known = np.zeros(len(ids), bool)
        known[order[1:]] = ranked[1:] == ranked[:-1]
        for run in self._runs:
            place = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
            known |= run[place] == hashes
        self._runs.append(ranked)
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            pair = self._runs.pop(), self._runs.pop()
            self._runs.append(np.sort(np.concatenate(pair), kind="stable"))
        return np.flatnonzero(known).tolist()
