"""Segments: documents and vectors in files that never change, sorted by language, and the version they make up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.search.document import Document, ScoredDocument, count_kinds, joined_kinds
from panglot.search.storage import columns, graph, manifest
from panglot.search.storage.columns import Columns, computed
from panglot.search.storage.graph import EightBit, Graph, paths
from panglot.search.storage.manifest import HINT, SEGMENTS, Manifest, SegmentMetadata
from panglot.search.storage.nearest import Selection, Span, Table, nearest
from panglot.search.storage.store import COLUMNS, REPLACED, Bools, Halves, Ints, as_document, first

if TYPE_CHECKING:
    from pathlib import Path

    from panglot.encoders.protocol import Vectors
    from panglot.search.document import Filter

Keys = npt.NDArray[np.uint64]

Piece = tuple[pa.RecordBatch, Mapping[str, Halves]]  # Some documents, and their vectors by vector field.


def keys_of(ids: Sequence[str]) -> Keys:
    """Return the 64-bit numbers by which ids are looked up."""
    # Half of a surrogate pair is in no id, but in what somebody asks for.
    digests = (hashlib.blake2b(each.encode("utf-8", "surrogatepass"), digest_size=8).digest() for each in ids)
    return np.frombuffer(b"".join(digests), "<u8")


class Texts:
    """The documents of one segment, in an Arrow file, with their keys sorted in the first of two rows.

    The second row holds the position of each key's document.
    """

    def __init__(self, path: Path, keys: Keys) -> None:
        self._table: pa.Table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        # Looking a column up takes longer than reading a cell of it.
        self._columns = {name: self._table[name] for name in COLUMNS}
        self._keys = keys
        self.metadata = Columns(path.with_name(columns.NAME), self._columns, len(self))

    def __len__(self) -> int:
        return self._table.num_rows

    def value(self, row: int, column: str) -> str:
        """Return one cell."""
        return self._columns[column][row].as_py()

    def document(self, row: int) -> Document:
        """Return one document."""
        return as_document({name: self.value(row, name) for name in COLUMNS})

    def rows(self, ids: Sequence[str], keys: Keys) -> Ints:
        """Return the row of each id, whose keys are given too. It is -1 if there is none."""
        found = np.full(len(ids), -1, np.int64)
        if not len(self):
            return found
        places = np.searchsorted(self._keys[0], keys)
        for at in np.flatnonzero(self._keys[0][np.minimum(places, len(self) - 1)] == keys).tolist():
            place = int(places[at])
            # Two ids may share a key, so that the id itself decides.
            while place < len(self) and self._keys[0, place] == keys[at]:
                row = int(self._keys[1, place])
                if self.value(row, "id") == ids[at]:
                    found[at] = row
                    break
                place += 1
        return found

    def count_kinds(self, rows: Ints) -> dict[str, dict[str, int]]:
        """Return how many of some rows have a value of each kind, by field of metadata."""
        counts: dict[str, dict[str, int]] = {}
        # `take` would copy the whole column first.
        texts = (self.value(row, "fields") for row in rows.tolist())
        count_kinds((json.loads(text) for text in texts if text), counts)
        return counts

    def in_groups(self, groups: Collection[str]) -> Ints:
        """Return the rows whose group is one of these."""
        known = pa.array(list(groups), pa.string())
        return np.flatnonzero(computed("is_in", self._columns["group"], value_set=known))

    def batches(self, begin: int, end: int) -> list[pa.RecordBatch]:
        """Return the rows from ``begin`` to ``end`` as slices of record batches."""
        return self._table.slice(begin, end - begin).to_batches()


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
        spans = spans_of(metadata.languages, deleted)
        if known:
            return replace(known, metadata=metadata, deleted=deleted, spans=spans)
        texts = Texts(place / "documents.arrow", mapped(place / "keys.npy"))
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
    def kinds(self) -> Mapping[str, Mapping[str, int]]:
        """The number of live rows with a value of each kind, by field of metadata."""
        if self.metadata.kinds is not None:
            return self.metadata.kinds
        live = np.ones(len(self.texts), np.bool_) if self.deleted is None else ~self.deleted
        return self.texts.count_kinds(np.flatnonzero(live))

    def kinds_without(self, rows: Ints) -> dict[str, dict[str, int]]:
        """Return :attr:`kinds` as they are when some more rows are deleted."""
        left = {name: dict(counts) for name, counts in self.kinds.items()}
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


def spans_of(languages: Sequence[tuple[str, int]], deleted: Bools | None) -> tuple[Span, ...]:
    """Return the rows of each language, given their numbers, and which rows are deleted."""
    ends = accumulate(rows for _, rows in languages)
    return tuple(
        Span(language, end - rows, end, rows if deleted is None else rows - int(deleted[end - rows : end].sum()))
        for (language, rows), end in zip(languages, ends, strict=True)
    )


def own_graph(folder: Path, name: str, number: int) -> Path:
    """Return the file of the graph of a language, by its place among the languages, which may have any names."""
    return folder / f"{name}.{number}.usearch"


def _table(folder: Path, name: str, metadata: SegmentMetadata, spans: Sequence[Span]) -> Table:
    """Open the vectors of one vector field, with what there is of 8-bit numbers and graphs."""
    factor, ef_search = metadata.graphs.get(name, (1.0, 0))
    known = metadata.own_graphs.get(name, {})
    own_graphs = {
        span.language: Graph(own_graph(folder, name, number), factor, known[span.language], span.begin)
        for number, span in enumerate(spans)
        if known.get(span.language)
    }
    return Table(
        mapped(folder / f"{name}.npy"),
        EightBit.open(folder, name, factor) if paths(folder, name)[0].name in metadata.files else None,
        Graph(folder / f"{name}.usearch", factor, ef_search) if ef_search else None,
        own_graphs,
    )


def mapped(path: Path) -> Any:
    """Return an array in a file, which is mapped into memory."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


@dataclass(frozen=True)
class Version:
    """A version with its segments open. It never changes, and its files stay as long as a process has it open."""

    manifest: Manifest
    segments: tuple[Segment, ...]

    @classmethod
    def open(cls, folder: Path, known: Self | None = None) -> Self:
        """Return the newest version of the store in a folder, or ``known`` if that is it.

        Raises:
            PanglotError: The store is missing or damaged, or ``known`` is of another store.
        """
        manifest = _read(folder, known)
        open_segments = {segment.metadata.name: segment for segment in known.segments} if known else {}
        while True:
            if known and manifest == known.manifest:
                return known
            try:
                segments = (
                    Segment.open(folder / SEGMENTS, each, manifest.vector_fields, open_segments.get(each.name))
                    for each in manifest.segments
                )
                return cls(manifest, tuple(segments))
            except FileNotFoundError as error:
                # A writer removes files only after it has written a newer version.
                newer = _read(folder, known)
                if newer == manifest:
                    raise PanglotError("a file of the index is missing", file=error.filename, hint=HINT) from error
                manifest = newer

    @cached_property
    def kinds(self) -> dict[str, str]:
        """The kind of each field of metadata."""
        return joined_kinds(segment.kinds for segment in self.segments)

    def places(self, ids: Sequence[str]) -> list[tuple[Segment | None, int]]:
        """Return the segment and the row of the live document with each id, None and -1 if there is none."""
        keys = keys_of(ids)
        found: list[tuple[Segment | None, int]] = [(None, -1)] * len(ids)
        for segment in self.segments:
            rows = segment.rows(ids, keys)
            for at in np.flatnonzero(rows >= 0):
                found[at] = segment, int(rows[at])
        return found


def _read(folder: Path, known: Version | None) -> Manifest:
    """Return the current version, or refuse it if it is not a later one of the store that ``known`` is of."""
    found = Manifest.read(folder)
    if known and (found.build != known.manifest.build or found.version < known.manifest.version):
        raise PanglotError(REPLACED, file=folder, hint="open the index again")
    return found
