"""Approximate neighbours: an HNSW graph (1603.09320) over vectors of 8-bit numbers.

The graph only finds candidates; their order comes from the stored vectors. So it can be coarse, and is smaller and
some times faster to build and to search than one over half-precision numbers, at a higher recall after rescoring.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from panglot.encoders.progress import progress
from panglot.search._scores import pieces

if TYPE_CHECKING:
    from pathlib import Path

    from panglot.search._scores import Halves, Ints

SMALLEST = 20_000
"""Rows from which a segment has a graph; fewer are scanned, exactly, in about a millisecond."""

VISITS = 32
"""Rows that a search visits for each candidate it returns, about: from there on a scan is cheaper."""

_LINKS, _BUILD, _SEARCH = 16, 128, 128
_PIECE = 4096


def candidates(k: int) -> int:
    """Return how many candidates are rescored for ``k`` results.

    >>> candidates(10)
    52
    """
    return 2 * k + 32


def scale(vectors: Halves) -> float:
    """Return the factor that brings all but the largest 1/10,000 of the numbers into -127 to 127."""
    sample = vectors[:: max(1, len(vectors) // 10_000)]
    most = float(np.quantile(np.abs(sample.astype(np.float32)), 0.9999))
    return 127 / most if most > 0 else 1.0


def codes(vectors: npt.NDArray[np.floating], factor: float) -> npt.NDArray[np.int8]:
    """Return vectors as 8-bit numbers."""
    return np.clip(np.rint(vectors.astype(np.float32) * factor), -127, 127).astype(np.int8)


def build(vectors: Halves, factor: float, path: Path) -> None:
    """Write the graph of ``vectors`` to ``path``; rows are added in a shuffled order, for they may be sorted."""
    from usearch.index import Index

    graph = Index(
        ndim=vectors.shape[1], metric="ip", dtype="i8", connectivity=_LINKS,
        expansion_add=_BUILD, expansion_search=_SEARCH, enable_key_lookups=False,
    )  # fmt: skip
    order = np.random.default_rng(0).permutation(len(vectors))
    with progress("linking vectors", len(vectors), "vectors") as advance:
        for part in pieces(len(order), _PIECE):
            graph.add(order[part].astype(np.uint64), codes(vectors[order[part]], factor))
            advance(part.stop - part.start)
    try:
        graph.save(str(path))
    except RuntimeError as error:  # Such as a full disk.
        raise OSError(str(error)) from error


class Graph:
    """A graph in a memory-mapped file.

    Args:
        path: What :func:`build` wrote.
        factor: The :func:`scale` it was built with.
    """

    def __init__(self, path: Path, factor: float) -> None:
        from usearch.index import Index

        try:
            graph: Any = Index.restore(str(path), view=True, enable_key_lookups=False)
        except RuntimeError:  # What usearch raises where a writer has just removed the file.
            graph = None
        if graph is None:
            raise FileNotFoundError(2, "not a graph, or not there", str(path))
        graph.expansion_search = _SEARCH
        self._graph, self._factor = graph, factor

    def near(self, question: npt.NDArray[np.float32], count: int) -> Ints:
        """Return about the ``count`` nearest rows, without order."""
        found = self._graph.search(codes(question, self._factor), count, threads=1)
        return np.asarray(found.keys).astype(np.int64)
