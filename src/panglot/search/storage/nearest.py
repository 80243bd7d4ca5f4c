"""Nearest rows of a segment: exact ones by comparing all rows, or nearly all of them by graphs.

A scan takes as long as reading the vectors does. It therefore reads 8-bit numbers first, which have half the bytes. How
far each vector is from them is known, so that a scan knows which rows may be among the best, and compares these again.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from panglot.search.storage import graph as graphs
from panglot.search.storage.graph import EightBit, Floats, Graph, candidates
from panglot.search.storage.store import ROUNDING, Bools, Doubles, Halves, Ints, halves, pieces, scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from panglot.encoders.protocol import Vectors

FEW = 10_000
"""Rows up to which a scan reads vectors alone, because reading 8-bit numbers first takes longer."""

_PIECE = 4096
_SPARSE = 3  # Copying a row out of the others takes as long as comparing about two more.
_ROWS = 1 << 16  # In a piece of a scan, so that what is computed of them stays in the processor's cache.
_MANY = 16  # So many queries make up for the conversion that a product of matrices needs.
_SCORES = 1 << 22  # In memory at a time, 16 MB.


class Span(NamedTuple):
    """The rows of one language."""

    language: str
    begin: int
    end: int
    live: int  # Number of rows that may be found.


class Selection(NamedTuple):
    """The rows that may be found."""

    spans: Sequence[Span]  # In order.
    excluded: Bools | None  # Rows that are deleted, or that a filter excludes. None if there are none.
    exact: bool = False  # Whether all others must be compared.

    @property
    def live(self) -> int:
        """Number of rows that may be found."""
        return sum(span.live for span in self.spans)

    def among(self, rows: Ints) -> Ints:
        """Return those of ``rows`` that may be found."""
        begins, ends = np.array([(span.begin, span.end) for span in self.spans], np.int64).T
        at = np.searchsorted(begins, rows, "right") - 1
        inside = (at >= 0) & (rows < ends[at])
        if self.excluded is not None:
            inside &= ~self.excluded[rows]
        return rows[inside]

    def stretches(self) -> list[tuple[int, int]]:
        """Return begin and end of the stretches that adjacent spans make up, so that each is scanned at once."""
        found: list[tuple[int, int]] = []
        for _, begin, end, _ in self.spans:
            adjacent = found and found[-1][1] == begin
            found.append((found.pop()[0] if adjacent else begin, end))
        return found


class Table(NamedTuple):
    """The vectors of one vector field in one segment, shape ``[rows, dimension]``."""

    vectors: Halves
    small: EightBit | None  # Segments of few rows, and those that an older panglot wrote, have none.
    graph: Graph | None
    own_graphs: Mapping[str, Graph]  # By language. Their rows are numbered from the first of the language.


def nearest(table: Table, queries: Vectors, k: int, selection: Selection) -> Iterator[tuple[Doubles, Ints]]:
    """Yield for each query scores and rows, in any order, among which the ``k`` best selected rows are.

    A scan is exact, ties included. A graph finds nearly all.
    """
    # A scan of several queries reads the vectors once.
    for part in pieces(len(queries), max(1, _SCORES // len(table.vectors))):
        walked = [None if selection.exact else _walks(table, query, k, selection) for query in queries[part]]
        missed = [at for at, found in enumerate(walked) if found is None]
        scanned = iter(scan(table.vectors, table.small, queries[part][missed], k, selection) if missed else ())
        for query, found in zip(queries[part], walked, strict=True):
            yield found or _scored(table.vectors, next(scanned), query)


def _walks(table: Table, query: npt.NDArray[np.float32], k: int, selection: Selection) -> tuple[Doubles, Ints] | None:
    """Return candidates from the graph over all rows, or from those of languages, or None if a scan is cheaper.

    Languages without a graph are scanned beside the graphs of others.
    """
    own: dict[Span, Graph] = {}
    cost = 0
    for span in selection.spans:
        each = table.own_graphs.get(span.language)
        walk = each.ef_search(_asked(k, each, span.live)) * graphs.VISITS if each and span.live else span.live
        if each and walk < span.live:
            own[span] = each
        cost += min(walk, span.live)
    if table.graph and (found := _walk(table.graph, table.vectors, query, k, selection, cost)):
        return found
    if not own:
        return None
    parts: list[tuple[Doubles, Ints]] = []
    rest = [span for span in selection.spans if span not in own]
    for span, each in own.items():
        if found := _walk(each, table.vectors, query, k, selection._replace(spans=[span]), span.live):
            parts.append(found)
        else:
            rest.append(span)
    if any(span.live for span in rest):
        others = selection._replace(spans=sorted(rest, key=lambda each: each.begin))
        rows = next(scan(table.vectors, table.small, query[None], k, others))
        parts.append(_scored(table.vectors, rows, query))
    return np.concatenate([score for score, _ in parts]), np.concatenate([rows for _, rows in parts])


def _asked(k: int, graph: Graph, live: int) -> int:
    """Return for how many rows a graph is asked of which ``live`` may be found."""
    excess = len(graph) / live
    # Twice as many if some rows are not selected, because a graph is less exact about those farther off.
    return math.ceil(candidates(k) * excess * min(2, excess))


def _walk(
    graph: Graph, vectors: Halves, query: npt.NDArray[np.float32], k: int, selection: Selection, limit: float
) -> tuple[Doubles, Ints] | None:
    """Return candidates from a graph, or None if comparing ``limit`` rows is cheaper.

    The graph knows neither languages nor deleted rows. It is asked for more until enough of its answers are selected.
    """
    count = _asked(k, graph, selection.live)
    while graph.ef_search(count) * graphs.VISITS < limit:
        rows = graph.near(query, count)
        if len(graph) > selection.live:
            rows = selection.among(rows)
        if 2 * len(rows) >= candidates(k):
            score, _ = _scored(vectors, rows, query)
            # If the last candidate ties with the k-th, others that tie may be missing.
            if score.min() < np.partition(score, len(score) - k)[-k]:
                return score, rows
        count *= 4
    return None


def _scored(vectors: Halves, rows: Ints, query: npt.NDArray[np.float32]) -> tuple[Doubles, Ints]:
    return scores(vectors[rows], query), rows


def scan(vectors: Halves, small: EightBit | None, queries: Vectors, k: int, selection: Selection) -> Iterator[Ints]:
    """Yield for each query the rows that may be among the ``k`` best.

    If there are 8-bit numbers, a scan of them leaves few rows, and vectors are read of these alone.
    """
    rows, excluded = _rows(selection, _PIECE if len(queries) >= _MANY else _ROWS), selection.excluded
    k = min(k, selection.live)
    if small is None or len(queries) >= _MANY or selection.live < FEW:
        yield from _possible(partial(_products, vectors, queries), rows, excluded, k)
        return
    for query in queries:
        few = next(_possible(partial(small.scores, query), rows, excluded, k))
        # Where most vectors are alike, 8-bit numbers tell few of them apart.
        left = [few[part] for part in pieces(len(few), _PIECE)] if len(few) * _SPARSE < selection.live else rows
        yield next(_possible(partial(_products, vectors, query[None]), left, excluded, k))


def _rows(selection: Selection, size: int) -> list[slice | Ints]:
    """Return the rows to compare, in pieces. A slice may have excluded rows, if copying the others takes longer."""
    found: list[slice | Ints] = []
    for begin, end in selection.stretches():
        if selection.excluded is not None:
            row = begin + np.flatnonzero(~selection.excluded[begin:end])
            if len(row) * _SPARSE < end - begin:
                found += [row[part] for part in pieces(len(row), _PIECE)]
                continue
        found += [slice(begin + part.start, begin + part.stop) for part in pieces(end - begin, size)]
    return found


def _possible(
    compare: Callable[[slice | Ints], tuple[Floats, Floats]],
    rows: Sequence[slice | Ints],
    excluded: Bools | None,
    k: int,
) -> Iterator[Ints]:
    """Yield for each query the rows that may be among the ``k`` best, by scores and the most that each is off."""
    lowest: list[Floats] = []
    margins: list[Floats] = []
    for part in rows:
        score, margin = compare(part)
        score -= margin
        if excluded is not None and isinstance(part, slice):
            score[:, excluded[part]] = -np.inf
        lowest.append(score)
        margins.append(2 * margin)
    for number in range(len(lowest[0])):
        least = _kth(np.concatenate([score[number] for score in lowest]), k)
        found: list[Ints] = []
        for part, score, margin in zip(rows, lowest, margins, strict=True):
            at = np.flatnonzero(score[number] + margin >= least)
            found.append(at + part.start if isinstance(part, slice) else part[at])
        yield np.concatenate(found)


def _kth(score: Floats, k: int) -> np.float32:
    """Return the ``k``-th largest score."""
    width = len(score) // 64
    if k <= width:
        # At least k scores are as large as the k-th largest of the maxima of 64 each. Few others are.
        most = score[: width * 64].reshape(64, width).max(axis=0)
        score = score[score >= np.partition(most, width - k)[width - k]]
    return np.partition(score, len(score) - k)[len(score) - k]


def _products(vectors: Halves, queries: Vectors, rows: slice | Ints) -> tuple[Floats, Floats]:
    """Return scores of some rows. Rounding the query, or sums, moves each by less than the second number."""
    margin = np.full(1, ROUNDING, np.float32)
    if len(queries) >= _MANY:
        return queries @ vectors[rows].astype(np.float32).T, margin
    import numkong

    # Asked for single precision, it takes some 20 times as long for the same sums.
    return np.asarray(numkong.cdist(halves(queries), vectors[rows], "dot")).astype(np.float32), margin
