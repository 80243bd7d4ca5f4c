"""Segments: documents and vectors in files that never change, sorted by language, and what was deleted since."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from panglot.search.document import ScoredDocument
from panglot.search.storage.local import graph, manifest
from panglot.search.storage.local.graph import Graph, Selection, Table, nearest
from panglot.search.storage.local.manifest import SegmentMetadata
from panglot.search.storage.local.texts import BATCH, SCHEMA, Keys, Texts, as_batch, key_table, keys_of
from panglot.search.storage.store import Bools, Halves, Ints, first

if TYPE_CHECKING:
    from pathlib import Path

    from panglot.encoders.protocol import Vectors
    from panglot.search.document import Document

Piece = tuple[pa.RecordBatch, Mapping[str, Halves]]
"""Some documents, and their vectors by vector field."""


def as_pieces(documents: Sequence[Document], vectors: Mapping[str, Halves]) -> Iterator[Piece]:
    """Yield documents and their vectors, sorted by language."""
    order = sorted(range(len(documents)), key=lambda at: documents[at].language)
    for begin in range(0, len(order), BATCH):
        rows = order[begin : begin + BATCH]
        yield as_batch([documents[at] for at in rows]), {name: table[rows] for name, table in vectors.items()}


def write_segment(
    folder: Path, contents: Iterable[Piece], rows: int, vector_fields: Sequence[str], dimension: int, *, graphs: bool
) -> SegmentMetadata:
    """Write a segment and return its description.

    Args:
        folder: A new folder.
        contents: Documents and vectors, sorted by language.
        rows: Number of documents.
        vector_fields: Names of the vector fields.
        dimension: Length of the vectors.
        graphs: Whether a segment of :data:`panglot.search.storage.local.graph.MIN_ROWS` rows or more gets graphs.
    """
    folder.mkdir(parents=True)
    keys = np.empty(rows, np.uint64)
    languages: dict[str, int] = {}
    done = 0
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
            keys[done : done + batch.num_rows] = keys_of(batch.column("id").to_pylist())
            for counted in batch.column("language").value_counts().to_pylist():
                languages[counted["values"]] = languages.get(counted["values"], 0) + counted["counts"]
            done += batch.num_rows
    np.save(folder / "keys.npy", key_table(keys))
    built: dict[str, tuple[float, int]] = {}
    for name in vector_fields if graphs and rows >= graph.MIN_ROWS else ():
        vectors, path = _mapped(folder / f"{name}.npy"), folder / f"{name}.usearch"
        scale = graph.scale(vectors)
        graph.build(vectors, scale, path)
        if width := graph.width(path, vectors, scale):
            built[name] = scale, width
        else:
            path.unlink()
    files = {path.name: manifest.describe_file(path) for path in sorted(folder.iterdir())}
    manifest.sync(folder)
    manifest.sync(folder.parent)
    return SegmentMetadata(folder.name, rows, tuple(sorted(languages.items())), built, files)


def write_deleted(folder: Path, metadata: SegmentMetadata, deleted: Bools, version: int) -> SegmentMetadata:
    """Write which rows of a segment are deleted, into its folder, and return its new description."""
    path = folder / metadata.name / f"deleted-{version}.npy"
    np.save(path, np.packbits(deleted))
    files = {name: facts for name, facts in metadata.files.items() if name != metadata.deleted}
    return replace(metadata, files={**files, path.name: manifest.describe_file(path)}, deleted=path.name)


def _full_batches(contents: Iterable[Piece]) -> Iterator[Piece]:
    """Join small pieces until they have at least :data:`BATCH` rows; the last may be smaller."""
    waiting: list[Piece] = []
    for piece in contents:
        waiting.append(piece)
        if sum(batch.num_rows for batch, _ in waiting) >= BATCH:
            yield _joined(waiting)
            waiting = []
    if waiting:
        yield _joined(waiting)


def _joined(waiting: Sequence[Piece]) -> Piece:
    batch = pa.Table.from_batches([batch for batch, _ in waiting]).combine_chunks().to_batches()[0]
    return batch, {name: np.concatenate([vectors[name] for _, vectors in waiting]) for name in waiting[0][1]}


class Span(NamedTuple):
    """The rows of one language.

    Attributes:
        language: The language.
        begin: The first row.
        end: The row after the last.
        live: Number of rows that are not deleted.
    """

    language: str
    begin: int
    end: int
    live: int


@dataclass(frozen=True)
class Segment:
    """A segment that is open.

    Attributes:
        metadata: Its description.
        texts: Its documents.
        tables: Vectors by vector field, memory-mapped.
        deleted: Whether each row is deleted; None: no row is.
        spans: Its languages.
    """

    metadata: SegmentMetadata
    texts: Texts
    tables: dict[str, Table]
    deleted: Bools | None
    spans: tuple[Span, ...]

    @classmethod
    def open(
        cls, folder: Path, metadata: SegmentMetadata, vector_fields: Sequence[str], known: Segment | None = None
    ) -> Segment:
        """Check the files of a segment and open it.

        Args:
            folder: Folder of all segments.
            metadata: What must be there.
            vector_fields: Names of the vector fields.
            known: The same segment, opened before, perhaps with fewer deleted rows.

        Raises:
            PanglotError: A file is damaged.
            FileNotFoundError: A file is missing.
        """
        place = folder / metadata.name
        for name, facts in metadata.files.items():
            if not known or name not in known.metadata.files:
                manifest.check_file(place / name, facts)
        deleted = None
        if metadata.deleted:
            bits = np.load(place / metadata.deleted, allow_pickle=False)
            deleted = np.unpackbits(bits, count=metadata.rows).astype(np.bool_)
        spans = _spans(metadata, deleted)
        if known:
            return replace(known, metadata=metadata, deleted=deleted, spans=spans)
        texts = Texts(place / "documents.arrow", _mapped(place / "keys.npy"))
        graphs = {name: Graph(place / f"{name}.usearch", *built) for name, built in metadata.graphs.items()}
        tables = {name: Table(_mapped(place / f"{name}.npy"), graphs.get(name)) for name in vector_fields}
        return cls(metadata, texts, tables, deleted, spans)

    @property
    def live(self) -> int:
        """Number of rows that are not deleted."""
        return sum(span.live for span in self.spans)

    def counts(self) -> dict[str, int]:
        """Return how many live rows each language has."""
        return {span.language: span.live for span in self.spans if span.live}

    def rows(self, ids: Sequence[str], keys: Keys) -> Ints:
        """Return the live row of each id, -1 if there is none."""
        found = self.texts.rows(ids, keys)
        if self.deleted is not None:
            found[(found >= 0) & self.deleted[found]] = -1
        return found

    def search(
        self, vector_field: str, queries: Vectors, k: int, languages: Collection[str] | None
    ) -> list[list[ScoredDocument]]:
        """Return for each query the ``k`` nearest live rows in some languages, or in any."""
        spans = [span for span in self.spans if languages is None or span.language in languages]
        selection = Selection(_stretches(spans), self.deleted, sum(span.live for span in spans))
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
        for begin, batch in self.texts.batches(span.begin, span.end):
            part = slice(begin, begin + batch.num_rows)
            vectors = {name: table.vectors[part] for name, table in self.tables.items()}
            if self.deleted is None or not self.deleted[part].any():
                yield batch, vectors
            elif (live := ~self.deleted[part]).any():
                yield batch.filter(pa.array(live)), {name: rows[live] for name, rows in vectors.items()}


def _spans(metadata: SegmentMetadata, deleted: Bools | None) -> tuple[Span, ...]:
    found: list[Span] = []
    begin = 0
    for language, rows in metadata.languages:
        end = begin + rows
        found.append(Span(language, begin, end, rows - (0 if deleted is None else int(deleted[begin:end].sum()))))
        begin = end
    return tuple(found)


def _stretches(spans: Iterable[Span]) -> list[tuple[int, int]]:
    """Return begin and end of the stretches of rows that adjacent spans make up, so that each is scanned at once."""
    found: list[tuple[int, int]] = []
    for span in spans:
        if found and found[-1][1] == span.begin:
            found[-1] = found[-1][0], span.end
        else:
            found.append((span.begin, span.end))
    return found


def _mapped(path: Path) -> Any:
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


MERGED = 8
"""So many segments of like size are merged, so that a row is rewritten about log8(rows) times."""


def due(sizes: Sequence[tuple[int, int]]) -> list[int]:
    """Return which segments should be rewritten as one now; an empty list: none.

    Args:
        sizes: Live and deleted rows of each segment.

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
    for language in sorted({language for pieces in found for language in pieces}):
        for pieces in found:
            yield from pieces.get(language, ())
