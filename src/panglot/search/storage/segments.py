"""Segments: documents and vectors in files that never change, sorted by language, and what was deleted since."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from panglot.search.document import Document, ScoredDocument
from panglot.search.storage import columns, graph, manifest
from panglot.search.storage.columns import SCHEMA, Keys, Selection, Span, Texts, as_batch, keys_of
from panglot.search.storage.graph import Graph, Table, nearest
from panglot.search.storage.manifest import SegmentMetadata
from panglot.search.storage.scan import EightBit, paths
from panglot.search.storage.store import Bools, Halves, Ints, first, pieces

if TYPE_CHECKING:
    from pathlib import Path

    from panglot.encoders.protocol import Vectors
    from panglot.search.document import Filter

_BATCH = 4096  # Rows of one record batch.

Piece = tuple[pa.RecordBatch, Mapping[str, Halves]]  # Some documents, and their vectors by vector field.


def as_pieces(documents: Sequence[Document], vectors: Mapping[str, Halves]) -> Iterator[Piece]:
    """Yield documents and their vectors, sorted by language."""
    order = sorted(range(len(documents)), key=lambda at: documents[at].language)
    for part in pieces(len(order), _BATCH):
        rows = order[part]
        yield as_batch([documents[at] for at in rows]), {name: table[rows] for name, table in vectors.items()}


def write_segment(
    folder: Path, contents: Iterable[Piece], rows: int, vector_fields: Sequence[str], dimension: int, *, graphs: bool
) -> SegmentMetadata:
    """Write ``rows`` documents, sorted by language, into a new folder, and return the segment's description.

    With ``graphs``, a segment of :data:`panglot.search.storage.graph.MIN_ROWS` rows or more gets graphs, and so does
    each language in it that has as many.
    """
    folder.mkdir(parents=True)
    keys: list[Keys] = []
    languages = Counter[str]()
    metadata = columns.ColumnBuilder()
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(pa.OSFile(str(folder / "documents.arrow"), "wb"))
        writer = stack.enter_context(pa.ipc.new_file(file, SCHEMA))
        tables = {name: stack.enter_context((folder / f"{name}.npy").open("wb")) for name in vector_fields}
        # The number of rows is known beforehand, so that .npy files are written without holding the vectors.
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float16)), "fortran_order": False}
        for table in tables.values():
            np.lib.format.write_array_header_1_0(table, {**header, "shape": (rows, dimension)})
        for batch, vectors in _full_batches(contents):
            writer.write_batch(batch)
            for name, table in tables.items():
                table.write(np.ascontiguousarray(vectors[name]).data)
            keys.append(keys_of(batch.column("id").to_pylist()))
            languages.update(batch.column("language").to_pylist())
            metadata.add(batch.column("fields"))
    key = np.concatenate(keys)
    order = np.argsort(key, kind="stable")
    np.save(folder / "keys.npy", np.stack([key[order], order.astype(np.uint64)]))
    metadata.write(folder / columns.NAME)
    counts = tuple(sorted(languages.items()))
    built: dict[str, tuple[float, int]] = {}
    own: dict[str, dict[str, int]] = {}
    for name in vector_fields if graphs and rows >= graph.MIN_ROWS else ():
        vectors = _mapped(folder / f"{name}.npy")
        small = EightBit.write(folder, name, vectors)
        built[name], own[name] = (small.factor, graph.build(vectors, small, folder / f"{name}.usearch")), {}
        for number, span in enumerate(_spans(counts, None)):
            if graph.MIN_ROWS <= span.live <= graph.MOST * rows:
                part = vectors[span.begin : span.end], small.part(span.begin, span.end)
                file = _own_graph(folder, name, number)
                own[name][span.language] = graph.build(*part, file, f" in {span.language}")
    files = {path.name: manifest.describe_file(path) for path in sorted(folder.iterdir())}
    manifest.sync(folder)
    manifest.sync(folder.parent)
    return SegmentMetadata(folder.name, rows, counts, built, files, own_graphs=own, kinds=metadata.counts)


def write_deleted(folder: Path, metadata: SegmentMetadata, deleted: Bools, version: int) -> SegmentMetadata:
    """Write which rows of a segment are deleted, into its folder, and return its new description."""
    path = folder / metadata.name / f"deleted-{version}.npy"
    try:
        np.save(path, np.packbits(deleted))
        described = manifest.describe_file(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    files = {name: facts for name, facts in metadata.files.items() if name != metadata.deleted}
    return replace(metadata, files={**files, path.name: described}, deleted=path.name)


def _full_batches(contents: Iterable[Piece]) -> Iterator[Piece]:
    """Join small pieces until they have at least :data:`_BATCH` rows. The last may be smaller."""
    waiting: list[Piece] = []
    for piece in contents:
        waiting.append(piece)
        if sum(batch.num_rows for batch, _ in waiting) >= _BATCH:
            yield _joined(waiting)
            waiting = []
    if waiting:
        yield _joined(waiting)


def _joined(waiting: Sequence[Piece]) -> Piece:
    batch = pa.Table.from_batches([batch for batch, _ in waiting]).combine_chunks().to_batches()[0]
    return batch, {name: np.concatenate([vectors[name] for _, vectors in waiting]) for name in waiting[0][1]}


@dataclass(frozen=True)
class Segment:
    """A segment that is open, with its vectors by vector field, memory-mapped, and a span per language."""

    metadata: SegmentMetadata
    texts: Texts
    tables: dict[str, Table]
    deleted: Bools | None  # None if no row is deleted.
    spans: tuple[Span, ...]

    @classmethod
    def open(
        cls, folder: Path, metadata: SegmentMetadata, vector_fields: Sequence[str], known: Segment | None = None
    ) -> Segment:
        """Check the files of a segment in the folder of all segments, as far as that is quick, and open it.

        ``known`` is the same segment, opened before, perhaps with fewer deleted rows.

        Raises:
            PanglotError: A file is damaged.
            FileNotFoundError: A file is missing.
        """
        if known and known.metadata == metadata:
            return known
        place = folder / metadata.name
        seen = known.metadata.files if known else {}
        new = {name: facts for name, facts in metadata.files.items() if name not in seen}
        manifest.check_files(place, new, manifest.READ)
        deleted = None
        if metadata.deleted:
            bits = np.load(place / metadata.deleted, allow_pickle=False)
            deleted = np.unpackbits(bits, count=metadata.rows).astype(np.bool_)
        spans = _spans(metadata.languages, deleted)
        if known:
            return replace(known, metadata=metadata, deleted=deleted, spans=spans)
        texts = Texts(place / "documents.arrow", _mapped(place / "keys.npy"))
        tables = {name: _table(place, name, metadata, spans) for name in vector_fields}
        return cls(metadata, texts, tables, deleted, spans)

    @property
    def live(self) -> int:
        """Number of rows that are not deleted."""
        return sum(span.live for span in self.spans)

    @property
    def lacks_graphs(self) -> bool:
        """Whether graphs were put off, to the end of a bulk load that has not come to it."""
        return self.metadata.rows >= graph.MIN_ROWS and not self.metadata.graphs

    @cached_property
    def kinds(self) -> dict[str, dict[str, int]]:
        """The number of live rows with a value of each kind, by field of metadata."""
        if self.metadata.kinds is not None:
            return {name: dict(counts) for name, counts in self.metadata.kinds.items()}
        if self.deleted is None:  # The columns say it without reading all rows, as far as a filter needs it.
            return {name: {kind: self.live} for name, kind in self.texts.metadata.kinds.items()}
        return self.texts.count_kinds(np.flatnonzero(~self.deleted))

    def kinds_without(self, rows: Ints) -> dict[str, dict[str, int]]:
        """Return :attr:`kinds` as they are when some more rows are deleted."""
        if self.metadata.kinds is None:
            live = np.ones(len(self.texts), np.bool_) if self.deleted is None else ~self.deleted
            live[rows] = False
            return self.texts.count_kinds(np.flatnonzero(live))
        left = {name: dict(counts) for name, counts in self.metadata.kinds.items()}
        for name, counts in self.texts.count_kinds(rows).items():
            for kind, number in counts.items():
                left[name][kind] -= number
        return left

    def counts(self) -> dict[str, int]:
        """Return how many live rows each language has."""
        return {span.language: span.live for span in self.spans if span.live}

    def rows(self, ids: Sequence[str], keys: Keys) -> Ints:
        """Return the live row of each id, -1 if there is none."""
        found = self.texts.rows(ids, keys)
        if self.deleted is not None:
            found[(found >= 0) & self.deleted[found]] = -1
        return found

    def in_groups(self, groups: Collection[str]) -> list[Document]:
        """Return the live documents whose group is one of these."""
        rows = self.texts.in_groups(groups)
        live = rows if self.deleted is None else rows[~self.deleted[rows]]
        return [self.texts.document(row) for row in live.tolist()]

    def search(
        self, vector_field: str, queries: Vectors, k: int, languages: Collection[str] | None, where: Filter | None
    ) -> list[list[ScoredDocument]]:
        """Return for each query the ``k`` nearest live rows that a bound filter allows, in some languages or in any."""
        spans = [span for span in self.spans if languages is None or span.language in languages]
        excluded = self.deleted
        if where is not None and spans:
            excluded = ~self.texts.metadata.allowed(where) | (False if excluded is None else excluded)
            live = [int(np.count_nonzero(~excluded[span.begin : span.end])) for span in spans]
            spans = [span._replace(live=number) for span, number in zip(spans, live, strict=True) if number]
        selection = Selection(spans, excluded, exact=where is not None)
        if not selection.live:
            return [[] for _ in queries]
        return [
            [
                ScoredDocument(name, score, self.texts.value(row, "language"), self.texts.value(row, "group"))
                for score, name, row in first(k, score, rows, partial(self.texts.value, column="id"))
            ]
            for score, rows in nearest(self.tables[vector_field], queries, k, selection)
        ]

    def live_pieces(self) -> dict[str, Iterator[Piece]]:
        """Return the live rows of each language, which are read when they are asked for."""
        return {span.language: self._pieces(span) for span in self.spans if span.live}

    def _pieces(self, span: Span) -> Iterator[Piece]:
        begin = span.begin
        for batch in self.texts.batches(span.begin, span.end):
            part = slice(begin, begin + batch.num_rows)
            begin = part.stop
            vectors = {name: table.vectors[part] for name, table in self.tables.items()}
            if self.deleted is None or not self.deleted[part].any():
                yield batch, vectors
            elif (live := ~self.deleted[part]).any():
                yield batch.filter(pa.array(live)), {name: rows[live] for name, rows in vectors.items()}


def deleted_since(before: Segment, now: Segment) -> list[str]:
    """Return the ids of rows of a segment that were deleted between two versions."""
    if now.deleted is None:
        return []
    rows = np.flatnonzero(now.deleted if before.deleted is None else now.deleted & ~before.deleted)
    return [now.texts.value(row, "id") for row in rows.tolist()]


def _spans(languages: Sequence[tuple[str, int]], deleted: Bools | None) -> tuple[Span, ...]:
    ends = accumulate(rows for _, rows in languages)
    return tuple(
        Span(language, end - rows, end, rows if deleted is None else rows - int(deleted[end - rows : end].sum()))
        for (language, rows), end in zip(languages, ends, strict=True)
    )


def _own_graph(folder: Path, name: str, number: int) -> Path:
    # Languages may have any names.
    return folder / f"{name}.{number}.usearch"


def _table(folder: Path, name: str, metadata: SegmentMetadata, spans: Sequence[Span]) -> Table:
    """Open the vectors of one vector field, with what there is of 8-bit numbers and graphs."""
    factor, ef_search = metadata.graphs.get(name, (1.0, 0))
    known = metadata.own_graphs.get(name, {})
    own_graphs = {
        span.language: Graph(_own_graph(folder, name, number), factor, known[span.language], span.begin)
        for number, span in enumerate(spans)
        if known.get(span.language)
    }
    return Table(
        _mapped(folder / f"{name}.npy"),
        EightBit.open(folder, name, factor) if paths(folder, name)[0].name in metadata.files else None,
        Graph(folder / f"{name}.usearch", factor, ef_search) if ef_search else None,
        own_graphs,
    )


def _mapped(path: Path) -> Any:
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


MERGED = 8  # So many segments of like size are merged, so that a row is rewritten about log8(rows) times.


def due(sizes: Sequence[tuple[int, int]]) -> list[int]:
    """Return which segments, given the live and deleted rows of each, should be rewritten as one now.

    >>> due([(5000, 0)] + [(1, 0)] * 7)
    []
    >>> due([(5000, 0)] + [(1, 0)] * 8)
    [1, 2, 3, 4, 5, 6, 7, 8]
    >>> due([(5000, 6000), (3, 0)])
    [0]
    """
    tiers: dict[int, list[int]] = {}
    for at, (live, _) in enumerate(sizes):
        tiers.setdefault(live.bit_length() // 3, []).append(at)
    for tier in sorted(tiers):
        if len(tiers[tier]) >= MERGED:
            # Smaller ones come along: they would soon be merged into the result anyway.
            return sorted(at for lower in tiers if lower <= tier for at in tiers[lower])
    return next(([at] for at, (live, deleted) in enumerate(sizes) if deleted > live), [])


def contents(segments: Sequence[Segment]) -> Iterator[Piece]:
    """Yield the live rows of segments, sorted by language, read as they are asked for."""
    found = [segment.live_pieces() for segment in segments]
    for language in sorted({language for by_language in found for language in by_language}):
        for by_language in found:
            yield from by_language.get(language, ())
