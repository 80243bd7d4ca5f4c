"""Approximate neighbours: an HNSW graph (arXiv 1603.09320) over vectors of 8-bit numbers.

The graph only finds candidates, and their order comes from the stored vectors. It can therefore be coarse: a graph over
8-bit numbers is smaller and several times faster to build and to search than one over half precision, and has a higher
recall after rescoring. How wide it must be searched depends on the vectors and grows with their number, so that it is
measured when the graph is built.

A graph over all languages must be asked for many more rows to find ten of one language. Each large language therefore
has a graph of its own, too.
"""

from __future__ import annotations

import contextlib
import math
import threading
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from panglot._files import in_large_pages
from panglot._progress import progress
from panglot.search.storage.columns import Selection, Span
from panglot.search.storage.scan import EightBit, encode, scan
from panglot.search.storage.store import Doubles, Halves, Ints, pieces, scores

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from panglot.encoders.protocol import Vectors

MIN_ROWS = 20_000
"""Segments and languages with fewer rows have no graph, because a scan is exact and takes about a millisecond."""

MOST = 0.75
"""A language with a larger share of a segment has no graph of its own, because that of the segment finds its rows."""

VISITS = 40
"""Rows that a scan compares in the time of one candidate of a walk. If that makes more than all, a scan is cheaper.

Measured were 25 to 65, over 60,000 and 125,000 rows."""

EF_SEARCH = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
"""Numbers of candidates that a search for ten may look at."""

RECALL = 0.993
"""Share of the ten nearest of :data:`_PROBES` rows, moved by noise of half their length, that must be found."""

OFTEN = 200
"""After so many searches, a process copies a graph from the mapped file into large pages of memory."""

_LINKS, _BUILD = 16, 128  # Neighbours per row, and candidates for them.
_PIECE = 4096
_PROBES, _NEAREST = 500, 10


def candidates(k: int) -> int:
    """Return how many candidates are rescored for ``k`` results.

    >>> candidates(10)
    52
    """
    return 2 * k + 32


def build(vectors: Halves, small: EightBit, path: Path, which: str = "") -> int:
    """Write the graph of 8-bit ``vectors`` to ``path`` and return how many candidates it needs.

    If it does not find enough, return 0 with a warning, in which ``which`` says of what the vectors are.
    """
    from usearch.index import Index

    options: dict[str, Any] = {"metric": "ip", "dtype": "i8", "connectivity": _LINKS, "expansion_add": _BUILD}
    graph = Index(ndim=vectors.shape[1], enable_key_lookups=False, **options)
    # Rows are sorted by language, and a graph that sees one language after the other links them badly.
    order = np.random.default_rng(0).permutation(len(vectors))
    with progress("linking vectors", len(vectors), "vectors") as advance:
        for part in pieces(len(order), _PIECE):
            graph.add(order[part].astype(np.uint64), small.numbers[order[part]])
            advance(part.stop - part.start)
    try:
        graph.save(str(path))
    except RuntimeError as error:  # usearch raises this for a full disk, too.
        raise OSError(str(error)) from error
    del graph  # Only one copy is in memory from here on.
    needed, recall = _least_ef_search(path, vectors, small.factor)
    if not needed:
        path.unlink()
        problem = f"the graph over {len(vectors):,} vectors{which} finds {recall:.1%} of the ten nearest, and is not"
        problem += f" kept because {RECALL:.1%} are wanted. Every search compares all these vectors"
        warnings.warn(f"{path.parent}: {problem}", RuntimeWarning, stacklevel=5)
    return needed


def _least_ef_search(path: Path, vectors: Halves, factor: float) -> tuple[int, float]:
    """Return twice the least of :data:`EF_SEARCH` that finds enough in a graph, and the recall that was reached.

    It is 0 if none does so faster than a scan. Twice, because queries are farther from documents than the probes.
    """
    generator = np.random.default_rng(1)
    rows = np.sort(generator.choice(len(vectors), min(_PROBES, len(vectors)), replace=False))
    noise = generator.normal(size=(len(rows), vectors.shape[1]))
    probes = vectors[rows] + noise / (2 * np.linalg.norm(noise, axis=1, keepdims=True))
    probes = (probes / np.linalg.norm(probes, axis=1, keepdims=True)).astype(np.float32)
    least = _tenth_scores(vectors, probes)
    graph, asked, kept, recall = _view(path), encode(probes, factor), candidates(_NEAREST), 0.0
    for each in EF_SEARCH:
        if each * VISITS >= len(vectors):
            break
        near = np.asarray(graph.search(asked, max(each, kept), threads=0).keys)[:, :kept]
        found = 0
        for probe, score, rows in zip(probes, least, near.astype(np.int64), strict=True):
            found += int(np.count_nonzero(vectors[rows].astype(np.float32) @ probe >= score))
        recall = found / (len(probes) * _NEAREST)
        if recall >= RECALL:
            return 2 * each, recall
    return 0, recall


def _tenth_scores(vectors: Halves, probes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the score of the tenth-best row of each probe, minus a little, because sums are rounded."""
    best = np.full((len(probes), _NEAREST), -np.inf, np.float32)
    for part in pieces(len(vectors), _PIECE):
        both = np.hstack([best, probes @ vectors[part].astype(np.float32).T])
        best = np.partition(both, both.shape[1] - _NEAREST, axis=1)[:, -_NEAREST:]
    return best.min(axis=1) - 1e-6


def _view(path: Path) -> Any:
    """Return the graph in a file, which is mapped into memory."""
    from usearch.index import Index

    try:
        graph: Any = Index.restore(str(path), view=True, enable_key_lookups=False)
    except RuntimeError:  # usearch raises this if a writer has just removed the file.
        graph = None
    if graph is None:
        raise FileNotFoundError(2, "not a graph, or not there", str(path))
    return graph


class Graph:
    """A graph in a memory-mapped file, whose searches for ten look at ``ef_search`` candidates.

    Its rows are numbered from ``begin``.
    """

    def __init__(self, path: Path, factor: float, ef_search: int, begin: int = 0) -> None:
        self._path, self._graph = path, _view(path)
        self._factor, self._ef_search, self._begin = factor, ef_search, begin
        self._searches, self._once = 0, threading.Lock()
        self.copying: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._graph)

    def ef_search(self, count: int) -> int:
        """Return how many candidates a search for the ``count`` nearest looks at."""
        return max(count, math.ceil(self._ef_search * count / candidates(_NEAREST)))

    def near(self, query: npt.NDArray[np.float32], count: int) -> Ints:
        """Return about the ``count`` nearest rows, by 8-bit numbers."""
        self._searches += 1
        if self._searches >= OFTEN and self._once.acquire(blocking=False):
            self.copying = threading.Thread(target=self._copy, daemon=True)
            self.copying.start()
        found = self._graph.search(encode(query, self._factor), self.ef_search(count), threads=1)
        return np.asarray(found.keys)[:count].astype(np.int64) + self._begin

    def _copy(self) -> None:
        """Search a copy in large pages of memory from now on, which takes a quarter less time."""
        from usearch.index import Index

        # A merge may have removed the file, and memory may be short. The mapped file then does as well.
        with contextlib.suppress(OSError, RuntimeError, MemoryError):
            if memory := in_large_pages(self._path):
                copy: Any = Index.restore(memoryview(memory), view=True, enable_key_lookups=False)
                copy.memory = memory  # Whoever searches the copy keeps its memory.
                self._graph = copy


_SCORES = 1 << 22  # In memory at a time, 16 MB.


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
        walk = each.ef_search(_asked(k, each, span.live)) * VISITS if each and span.live else span.live
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
    while graph.ef_search(count) * VISITS < limit:
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
