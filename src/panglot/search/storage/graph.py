"""Approximate vectors: 8-bit numbers, and an HNSW graph (arXiv 1603.09320) over them.

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
from panglot.search.storage.store import ROUNDING, Halves, Ints, pieces

if TYPE_CHECKING:
    from pathlib import Path

Bytes = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]

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
_SAMPLE, _FOUND = 500, 52


class EightBit(NamedTuple):
    """The vectors of a segment, or of one language in it."""

    numbers: Bytes  # Shape [rows, dimension].
    errors: Floats  # How long the difference to each vector is, shape [rows].
    factor: float  # By which vectors were multiplied.

    @classmethod
    def write(cls, folder: Path, name: str, vectors: Halves) -> EightBit:
        """Write the vectors of a vector field into the folder of a segment, and open them."""
        factor = scale(vectors)
        errors = np.empty(len(vectors), np.float32)
        # A full disk raises an error here. Writing to a mapped file would end the process.
        with paths(folder, name)[0].open("wb") as file:
            header = {"descr": "|i1", "fortran_order": False, "shape": vectors.shape}
            np.lib.format.write_array_header_1_0(file, header)
            for part in pieces(len(vectors), _PIECE):
                whole = vectors[part].astype(np.float32)
                numbers = encode(whole, factor)
                errors[part] = np.linalg.norm(whole - numbers / np.float32(factor), axis=1)
                file.write(numbers.data)
        np.save(paths(folder, name)[1], errors)
        return cls.open(folder, name, factor)

    @classmethod
    def open(cls, folder: Path, name: str, factor: float) -> EightBit:
        """Open what :meth:`write` wrote, memory-mapped."""
        numbers, errors = (np.asarray(np.load(path, mmap_mode="r", allow_pickle=False)) for path in paths(folder, name))
        return cls(numbers, errors, factor)

    def part(self, begin: int, end: int) -> EightBit:
        """Return the rows from ``begin`` to ``end``."""
        return EightBit(self.numbers[begin:end], self.errors[begin:end], self.factor)

    def scores(self, query: Floats, rows: slice | Ints) -> tuple[Floats, Floats]:
        """Return dot products of a query and some rows, shape ``[1, rows]``, and by how much each may be off.

        All have unit length. By the inequality of Cauchy and Schwarz, a product is then off by no more than the lengths
        of the differences of the row and of the query.
        """
        import numkong

        asked = encode(query[None], self.factor)
        off = float(np.linalg.norm(query - asked[0] / np.float32(self.factor)))
        product = np.asarray(numkong.cdist(asked, self.numbers[rows], "dot"))
        # Unit vectors in half precision are a little longer, and sums are rounded.
        margin = self.errors[rows] * np.float32(1 + off) + np.float32(off + ROUNDING)
        return (product / self.factor**2).astype(np.float32), margin


def paths(folder: Path, name: str) -> tuple[Path, Path]:
    """Return the files of a vector field in the folder of a segment: 8-bit numbers, and their errors."""
    return folder / f"{name}.i8.npy", folder / f"{name}.errors.npy"


def encode(vectors: npt.NDArray[np.floating], factor: float) -> Bytes:
    """Return vectors as 8-bit numbers."""
    return np.clip(np.rint(vectors.astype(np.float32) * factor), -127, 127).astype(np.int8)


def scale(vectors: Halves) -> float:
    """Return the factor that brings the numbers of vectors into -127 to 127.

    Without the largest 1/10,000 of the numbers, which are clipped, most vectors keep more detail. If a few vectors
    consist of a few large numbers, clipping turns them away from their neighbours. Of both factors, take the one by
    which a scan of a sample of 8-bit numbers finds more of the nearest.
    """
    sample = vectors[:: max(1, len(vectors) // 10_000)].astype(np.float32)
    sizes = np.abs(sample)
    most = [size for size in (float(np.quantile(sizes, 0.9999)), float(sizes.max(initial=0))) if size > 0]
    rows = np.arange(0, len(sample), max(1, len(sample) // _SAMPLE))
    exact = _first(sample[rows] @ sample.T, _NEAREST)
    found: list[tuple[int, float]] = []
    for size in most:
        small = encode(sample, 127 / size).astype(np.float32)
        near = _first(small[rows] @ small.T, _FOUND)
        found.append((sum(len(np.intersect1d(a, b)) for a, b in zip(exact, near, strict=True)), 127 / size))
    # With equal recall, the first, which is finer.
    return max(found, key=lambda entry: entry[0])[1] if found else 1.0


def _first(score: Floats, count: int) -> Ints:
    """Return the ``count`` best columns of each row, in any order."""
    kept = min(count, score.shape[1])
    return np.argpartition(score, score.shape[1] - kept, axis=1)[:, score.shape[1] - kept :]


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
