"""The nearest rows of one table of vectors: by its graph where it has one and that is cheaper, else by a scan."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from panglot.search import _graph
from panglot.search._scores import ROUNDING, Doubles, Halves, Ints, halves, pieces, scores

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from panglot.encoders.protocol import Vectors

_CELLS = 1 << 22


class Table(NamedTuple):
    """The vectors of one space in one segment.

    Attributes:
        vectors: One row a document, shape ``[rows, dimension]``.
        graph: Over the rows, where there are many.
    """

    vectors: Halves
    graph: _graph.Graph | None


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
    count = math.ceil(_graph.candidates(k) * left_out * min(2, left_out))
    while table.graph.wide(count) * _graph.VISITS < wanted.live:
        rows = wanted.among(table.graph.near(question, count))
        if 2 * len(rows) >= _graph.candidates(k):
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
