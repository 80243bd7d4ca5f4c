"""Approximate neighbours: an HNSW graph (1603.09320) over vectors of 8-bit numbers.

The graph only finds candidates; their order comes from the stored vectors. So it can be coarse, and is smaller and
some times faster to build and to search than one over half-precision numbers, at a higher recall after rescoring.
How wide it must be searched depends on the vectors and grows with their number: that is measured when it is built.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from panglot._progress import progress
from panglot.search.storage.vectors import ROUNDING, Doubles, Halves, Ints, halves, pieces, scores

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from panglot.encoders.protocol import Vectors

SMALLEST = 20_000
"""Rows from which a segment has a graph; fewer are scanned, exactly, in about a millisecond."""

VISITS = 16
"""Rows that a search visits for each candidate it looks at, about: from there on a scan is cheaper."""

_LINKS, _BUILD = 16, 128
_PIECE = 4096
WIDTHS = (128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
"""How many candidates a search for ten may look at."""

RECALL = 0.993
"""What must be found of the ten nearest of :data:`_PROBES` rows moved by noise of half their length."""

_PROBES, _NEAREST = 500, 10


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
        ndim=vectors.shape[1], metric="ip", dtype="i8", connectivity=_LINKS, expansion_add=_BUILD,
        enable_key_lookups=False,
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


def width(path: Path, vectors: Halves, factor: float) -> int:
    """Return twice the least of :data:`WIDTHS` that finds enough, for questions lie farther off than the probes.

    0 where none does, or only at a scan's cost.

    Args:
        path: What :func:`build` wrote.
        vectors: What it was built over.
        factor: The :func:`scale` it was built with.
    """
    dice = np.random.default_rng(1)
    rows = np.sort(dice.choice(len(vectors), min(_PROBES, len(vectors)), replace=False))
    noise = dice.normal(size=(len(rows), vectors.shape[1]))
    asked = vectors[rows] + noise / (2 * np.linalg.norm(noise, axis=1, keepdims=True))
    asked = (asked / np.linalg.norm(asked, axis=1, keepdims=True)).astype(np.float32)
    best = _best(vectors, asked)
    for each in WIDTHS:
        if each * VISITS >= len(vectors):
            break
        graph = Graph(path, factor, each)
        found = 0
        for question, right in zip(asked, best, strict=True):
            near = graph.near(question, candidates(_NEAREST))
            score = vectors[near].astype(np.float32) @ question
            found += int(np.count_nonzero(score >= right))
        if found >= RECALL * len(best) * _NEAREST:
            return 2 * each
    return 0


def _best(vectors: Halves, asked: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the score of the tenth-best row of each question, a little less, for sums are rounded."""
    best = np.full((len(asked), _NEAREST), -np.inf, np.float32)
    for part in pieces(len(vectors), 16 * _PIECE):
        both = np.hstack([best, asked @ vectors[part].astype(np.float32).T])
        best = np.partition(both, both.shape[1] - _NEAREST, axis=1)[:, -_NEAREST:]
    return best.min(axis=1) - 1e-6


class Graph:
    """A graph in a memory-mapped file.

    Args:
        path: What :func:`build` wrote.
        factor: The :func:`scale` it was built with.
        width: How many candidates a search for ten looks at.
    """

    def __init__(self, path: Path, factor: float, width: int) -> None:
        from usearch.index import Index

        try:
            graph: Any = Index.restore(str(path), view=True, enable_key_lookups=False)
        except RuntimeError:  # What usearch raises where a writer has just removed the file.
            graph = None
        if graph is None:
            raise FileNotFoundError(2, "not a graph, or not there", str(path))
        self._graph, self._factor, self._width = graph, factor, width

    def wide(self, count: int) -> int:
        """Return how many candidates a search for the ``count`` nearest looks at."""
        return max(count, math.ceil(self._width * count / candidates(_NEAREST)))

    def near(self, question: npt.NDArray[np.float32], count: int) -> Ints:
        """Return about the ``count`` nearest rows, by 8-bit numbers."""
        found = self._graph.search(codes(question, self._factor), self.wide(count), threads=1)
        return np.asarray(found.keys)[:count].astype(np.int64)


_CELLS = 1 << 22


class Table(NamedTuple):
    """The vectors of one vector field in one segment.

    Attributes:
        vectors: One row a document, shape ``[rows, dimension]``.
        graph: Over the rows, where there are many.
    """

    vectors: Halves
    graph: Graph | None


class Wanted(NamedTuple):
    """Which rows may be found.

    Attributes:
        spans: Begin and end of stretches of rows, in order.
        deleted: Whether each row is deleted; None: none is.
        live: How many rows that leaves.
    """

    spans: Sequence[tuple[int, int]]
    deleted: npt.NDArray[np.bool_] | None
    live: int

    def among(self, rows: Ints) -> Ints:
        """Return those rows that may be found."""
        begins, ends = np.array(self.spans, np.int64).T
        at = np.searchsorted(begins, rows, "right") - 1
        inside = (at >= 0) & (rows < ends[at])
        if self.deleted is not None:
            inside &= ~self.deleted[rows]
        return rows[inside]


def nearest(table: Table, questions: Vectors, k: int, wanted: Wanted) -> Iterator[tuple[Doubles, Ints]]:
    """Yield for each question scores and rows, in any order, among which the ``k`` best wanted rows are.

    A scan is exact, ties included; a graph finds nearly all.
    """
    for part in pieces(len(questions), max(1, _CELLS // len(table.vectors))):
        walked = [_walk(table, question, k, wanted) for question in questions[part]]
        missed = [at for at, found in enumerate(walked) if found is None]
        scanned = iter(_scan(table.vectors, questions[part][missed], k, wanted) if missed else ())
        for question, found in zip(questions[part], walked, strict=True):
            yield found or _scored(table.vectors, next(scanned), question)


def _walk(table: Table, question: npt.NDArray[np.float32], k: int, wanted: Wanted) -> tuple[Doubles, Ints] | None:
    """Return candidates from the graph, or None where a scan is cheaper.

    The graph knows neither languages nor deleted rows: it is asked for more until enough of its answers are wanted.
    """
    if not table.graph:
        return None
    left_out = len(table.vectors) / wanted.live
    # Twice as many where some are not wanted, for a graph is less exact about those farther off.
    count = math.ceil(candidates(k) * left_out * min(2, left_out))
    while table.graph.wide(count) * VISITS < wanted.live:
        rows = wanted.among(table.graph.near(question, count))
        if 2 * len(rows) >= candidates(k):
            score, _ = _scored(table.vectors, rows, question)
            # Where the last candidate ties with the k-th, equal ones may be missing.
            if score.min() < np.partition(score, len(score) - k)[-k]:
                return score, rows
        count *= 4
    return None


def _scored(vectors: Halves, rows: Ints, question: npt.NDArray[np.float32]) -> tuple[Doubles, Ints]:
    return scores(vectors[rows], question), rows


def _scan(vectors: Halves, questions: Vectors, k: int, wanted: Wanted) -> Iterator[Ints]:
    """Yield for each question the rows that may be among the ``k`` best."""
    import numkong

    asked = halves(questions)
    score = np.empty((len(questions), sum(end - begin for begin, end in wanted.spans)), np.float32)
    row = np.concatenate([np.arange(begin, end) for begin, end in wanted.spans])
    done = 0
    for begin, end in wanted.spans:
        products = numkong.cdist(asked, vectors[begin:end], "dot", out_dtype="float32")
        score[:, done : done + end - begin] = np.asarray(products)
        done += end - begin
    if wanted.deleted is not None:
        score[:, wanted.deleted[row]] = -np.inf
    kth = len(row) - min(k, wanted.live)
    for line in score:
        # The rounded question moves both the k-th score and any other.
        least = np.partition(line, kth)[kth] - 2 * ROUNDING
        yield row[line >= least]
