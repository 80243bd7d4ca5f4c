"""Documents and vectors in a folder, memory-mapped."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from panglot._errors import PanglotError
from panglot._files import explain_write, lock
from panglot.search.storage.local import graph
from panglot.search.storage.local import manifest as _manifest
from panglot.search.storage.local.manifest import Manifest, SegmentMetadata
from panglot.search.storage.local.segments import Piece, Segment, as_pieces, contents, due, write_deleted, write_segment
from panglot.search.storage.local.texts import keys_of
from panglot.search.storage.store import check_documents, check_questions, check_shape, check_vector_field
from panglot.search.storage.vectors import by_size, merged

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Mapping, Sequence

    from panglot.encoders.protocol import Vectors
    from panglot.search.document import Document, ScoredDocument

SEGMENTS = "segments"


class EmbeddedStore:
    """A :class:`~panglot.search.storage.store.Store` in a folder, for any number of readers and one writer at a time.

    Documents lie in *segments*, folders of files that never change: texts in Arrow, vectors at half precision, and from
    20,000 rows on a graph. A small file names the segments of the current version. A write makes new files, then
    replaces that one: after a crash the last version is there, and who has a version open keeps it until
    :meth:`refresh`. Small segments are merged as they become many, and such of which most is deleted are rewritten.

    Search is exact where a segment has no graph; else it finds more than .99 of the ten best. Scores are exact for the
    vectors as they are stored.

    Args:
        folder: The store's own folder.

    Raises:
        PanglotError: There is no store, it is damaged, or a newer panglot wrote it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._now: _Open | None = _opened(self.folder, None)
        self._bulk: set[str] | None = None
        self.vector_fields = self._now.manifest.vector_fields
        self.dimension = self._now.manifest.dimension

    @classmethod
    def create(cls, folder: str | Path, *, vector_fields: Sequence[str], dimension: int) -> EmbeddedStore:
        """Make an empty store in a folder and open it; a store that is there already is opened as it is.

        Raises:
            PanglotError: No store can have these vector fields and this dimension, or the folder cannot be written.
        """
        check_shape(vector_fields, dimension)
        folder = Path(folder)
        with lock(folder / "lock"):
            if not (folder / _manifest.NAME).exists():
                _manifest.write(folder, Manifest(1, tuple(vector_fields), dimension))
        return cls(folder)

    def upsert(self, documents: Sequence[Document], vectors: Mapping[str, Vectors]) -> None:
        """See :meth:`~panglot.search.storage.store.Store.upsert`."""
        checked = check_documents(documents, vectors, self.vector_fields, self.dimension)
        if not documents:
            return
        with self._writing() as now:
            parts, _ = self._without(now, [document.id for document in documents])
            new = self._write(as_pieces(documents, checked), len(documents), graphs=self._bulk is None)
            self._commit(now, [*parts, new])
            if self._bulk is None:
                self._merge_due()
            else:
                self._bulk.add(new.name)

    def delete(self, ids: Collection[str]) -> int:
        """See :meth:`~panglot.search.storage.store.Store.delete`."""
        with self._writing() as now:
            parts, count = self._without(now, list(dict.fromkeys(ids)))
            if count:
                self._commit(now, parts)
                self._merge_due()
        return count

    @contextlib.contextmanager
    def bulk(self) -> Generator[None]:
        """Put merging off to the end of the block: what many calls in it add becomes one segment with one graph.

        Each call is safe as without; a block that is broken off leaves its segments as they are, to be merged later.
        """
        self._bulk = set()
        try:
            yield
            with self._writing() as now:
                mine = [segment for segment in now.segments if segment.part.name in self._bulk]
                if len(mine) > 1 or sum(segment.live for segment in mine) >= graph.SMALLEST:
                    self._merge(mine)
                self._merge_due()
        finally:
            self._bulk = None

    def refresh(self) -> bool:
        """Open the newest version and return whether it is newer than the one that was open.

        Raises:
            PanglotError: It is damaged.
        """
        before = self._current()
        self._now = _opened(self.folder, before)
        return self._now is not before

    def search(
        self, vector_field: str, questions: Vectors, k: int, *, languages: Collection[str] | None = None
    ) -> list[list[ScoredDocument]]:
        """See :meth:`~panglot.search.storage.store.Store.search`."""
        check_questions(vector_field, questions, k, self.vector_fields, self.dimension)
        found = [segment.search(vector_field, questions, k, languages) for segment in self._current().segments]
        return [merged((lists[at] for lists in found), k) for at in range(len(questions))]

    def get(self, ids: Sequence[str]) -> list[Document | None]:
        """See :meth:`~panglot.search.storage.store.Store.get`."""
        places = self._places(ids)
        return [segment.texts.document(row) if segment else None for segment, row in places]

    def vectors(self, vector_field: str, ids: Sequence[str]) -> Vectors:
        """See :meth:`~panglot.search.storage.store.Store.vectors`."""
        check_vector_field(vector_field, self.vector_fields)
        found = np.zeros((len(ids), self.dimension), np.float32)
        for at, (segment, row) in enumerate(self._places(ids)):
            if segment:
                found[at] = segment.tables[vector_field].vectors[row]
        return found

    def counts(self) -> dict[str, int]:
        """See :meth:`~panglot.search.storage.store.Store.counts`."""
        return by_size(segment.counts() for segment in self._current().segments)

    def ids(self) -> Iterator[list[str]]:
        """See :meth:`~panglot.search.storage.store.Store.ids`."""
        for segment in self._current().segments:
            for pieces in segment.live_pieces().values():
                yield from (batch.column("id").to_pylist() for batch, _ in pieces)

    @property
    def version(self) -> int:
        """The number of the version that is open; every write makes the next one."""
        return self._current().manifest.version

    def close(self) -> None:
        """See :meth:`~panglot.search.storage.store.Store.close`."""
        self._now = None

    def _current(self) -> _Open:
        if self._now is None:
            raise PanglotError("the store is closed", file=self.folder, hint="open it again")
        return self._now

    def _places(self, ids: Sequence[str]) -> list[tuple[Segment | None, int]]:
        keys = keys_of(ids)
        found: list[tuple[Segment | None, int]] = [(None, -1)] * len(ids)
        for segment in self._current().segments:
            rows = segment.rows(ids, keys)
            for at in np.flatnonzero(rows >= 0):
                found[at] = segment, int(rows[at])
        return found

    @contextlib.contextmanager
    def _writing(self) -> Generator[_Open]:
        """Hold the lock and yield the newest version."""
        self._current()
        with lock(self.folder / "lock"), explain_write(self.folder):
            self.refresh()
            yield self._current()

    def _without(self, now: _Open, ids: Sequence[str]) -> tuple[list[SegmentMetadata], int]:
        """Return the segments with these ids marked as deleted, and how many that are."""
        keys = keys_of(ids)
        parts: list[SegmentMetadata] = []
        count = 0
        for segment in now.segments:
            rows = segment.rows(ids, keys)
            rows = rows[rows >= 0]
            count += len(rows)
            if len(rows) == segment.live:
                continue
            part = segment.part
            if len(rows):
                deleted = np.zeros(part.rows, np.bool_) if segment.deleted is None else segment.deleted.copy()
                deleted[rows] = True
                part = write_deleted(self.folder / SEGMENTS, part, deleted, now.manifest.version + 1)
            parts.append(part)
        return parts, count

    def _write(self, pieces: Iterator[Piece], rows: int, *, graphs: bool) -> SegmentMetadata:
        place = self.folder / SEGMENTS / uuid.uuid4().hex
        return write_segment(place, pieces, rows, self.vector_fields, self.dimension, graphs=graphs)

    def _commit(self, now: _Open, parts: Sequence[SegmentMetadata]) -> None:
        manifest = replace(now.manifest, version=now.manifest.version + 1, parts=tuple(parts))
        _manifest.write(self.folder, manifest)
        self.refresh()
        _sweep(self.folder, manifest)

    def _merge(self, segments: Sequence[Segment]) -> None:
        if not segments:
            return
        now = self._current()
        rows = sum(segment.live for segment in segments)
        gone = {segment.part.name for segment in segments}
        new = [self._write(contents(segments), rows, graphs=True)] if rows else []
        self._commit(now, [*(part for part in now.manifest.parts if part.name not in gone), *new])

    def _merge_due(self) -> None:
        with contextlib.suppress(OSError):  # What was asked for is done; merging has time until the next write.
            while chosen := due([(each.live, each.part.rows - each.live) for each in self._current().segments]):
                self._merge([self._current().segments[at] for at in chosen])


@dataclass(frozen=True)
class _Open:
    """A version with its segments open."""

    manifest: Manifest
    segments: tuple[Segment, ...]


def _opened(folder: Path, known: _Open | None) -> _Open:
    """Return the newest version, or ``known`` where that is it.

    Files that a writer removed meanwhile mean that there is a newer one.
    """
    manifest = _manifest.read(folder)
    names = {segment.part.name: segment for segment in known.segments} if known else {}
    while True:
        if known and manifest == known.manifest:
            return known
        try:
            places = folder / SEGMENTS
            return _Open(
                manifest,
                tuple(
                    Segment.open(places, part, manifest.vector_fields, names.get(part.name)) for part in manifest.parts
                ),
            )
        except FileNotFoundError as error:
            newer = _manifest.read(folder)
            if newer == manifest:
                raise PanglotError(
                    "a file of the index is missing", file=error.filename, hint=_manifest.HINT
                ) from error
            manifest = newer


def _sweep(folder: Path, manifest: Manifest) -> None:
    """Remove what this version does not need: merged segments, and what killed writers left."""
    for begun in folder.glob(f".{_manifest.NAME}.*"):
        begun.unlink(missing_ok=True)
    parts = {part.name: part for part in manifest.parts}
    for place in (folder / SEGMENTS).iterdir() if (folder / SEGMENTS).exists() else ():
        if place.name not in parts:
            shutil.rmtree(place, ignore_errors=True)
            continue
        unused = [file for file in place.glob("deleted-*.npy") if file.name not in parts[place.name].files]
        with contextlib.suppress(OSError):  # Windows keeps files that a reader has open; a later sweep gets them.
            for file in unused:
                file.unlink()
