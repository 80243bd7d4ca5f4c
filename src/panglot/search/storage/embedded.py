"""Documents and vectors in a folder, memory-mapped."""

from __future__ import annotations

import contextlib
import errno
import shutil
import threading
import uuid
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from panglot._errors import PanglotError
from panglot._files import explain_write, lock
from panglot.search.document import check_kinds, joined_kinds
from panglot.search.storage import graph, manifest
from panglot.search.storage.manifest import NAME, SEGMENTS, Manifest, SegmentMetadata
from panglot.search.storage.segment_writer import as_pieces, contents, due, write_deleted, write_segment
from panglot.search.storage.segments import Piece, Segment, Version, deleted_since, keys_of
from panglot.search.storage.store import (
    Part,
    as_document,
    by_score,
    by_size,
    check_documents,
    check_queries,
    check_shape,
    check_vector_field,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence

    from panglot.encoders.protocol import Vectors
    from panglot.search.document import Document, Filter, ScoredDocument
    from panglot.search.storage.segments import Texts

RESERVE = "reserve"


class EmbeddedStore:
    """A :class:`~panglot.search.storage.store.Store` in a folder, for any number of readers and one writer at a time.

    Documents are in *segments*, folders of files that never change: texts in Arrow, vectors at half precision, and from
    20,000 rows on a graph. A small file names the segments of the current version. A write makes new files, then
    replaces that one. After a crash the last version is there, and a process that has a version open keeps it until
    :meth:`refresh`. Small segments are merged when they become many, and segments with mostly deleted rows are
    rewritten.

    Search is exact in segments without a graph. In others it finds more than .99 of the ten best. Scores are exact for
    the vectors as they are stored.

    Raises:
        PanglotError: There is no store, it is damaged, or a newer panglot wrote it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._now: Version | None = Version.open(self.folder)
        self._bulk: set[str] | None = None
        # Without it, a thread that read the manifest before a write could put the older version in its place.
        self._opening = threading.Lock()
        self.build = self._now.manifest.build
        self.vector_fields = self._now.manifest.vector_fields
        self.dimension = self._now.manifest.dimension

    @classmethod
    def create(
        cls, folder: str | Path, *, vector_fields: Sequence[str], dimension: int, build: str = ""
    ) -> EmbeddedStore:
        """Make an empty store in a folder and open it. A store that is there already is opened as it is."""
        check_shape(vector_fields, dimension)
        folder = Path(folder)
        with lock(folder / "lock"):
            if not (folder / NAME).exists():
                with explain_write(folder):
                    manifest.make_reserve(folder / RESERVE)
                Manifest(1, tuple(vector_fields), dimension, build=build).write(folder)
        return cls(folder)

    def upsert(
        self, documents: Sequence[Document], vectors: Mapping[str, Vectors], *, same_kinds: bool = False
    ) -> None:
        """See :meth:`~panglot.search.storage.store.Store.upsert`."""
        checked = check_documents(documents, vectors, self.vector_fields, self.dimension)
        if not documents:
            return
        with self._writing() as now:
            segments, _ = self._without(now.segments, [document.id for document in documents])
            if same_kinds:
                check_kinds(documents, joined_kinds(each.kinds or {} for each in segments))
            # Graphs take long, so that they are made without the lock, when segments are merged.
            new = self._write(uuid.uuid4().hex, as_pieces(documents, checked), len(documents), graphs=False)
            self._commit(now, [*segments, new])
        if (bulk := self._bulk) is not None:
            bulk.add(new.name)
        self._merge_due(bulk)

    def delete(self, ids: Collection[str]) -> int:
        """See :meth:`~panglot.search.storage.store.Store.delete`. It works on a full disk, too."""
        reserve = self.folder / RESERVE
        try:
            return self._delete(ids)
        except PanglotError as error:
            if getattr(error.__cause__, "errno", None) != errno.ENOSPC or not reserve.exists():
                raise
            reserve.unlink()
            return self._delete(ids)
        finally:
            with contextlib.suppress(OSError):
                manifest.make_reserve(reserve)

    def _delete(self, ids: Collection[str]) -> int:
        with self._writing() as now:
            segments, count = self._without(now.segments, list(dict.fromkeys(ids)))
            if count:
                self._commit(now, segments)
        if count and self._bulk is None:
            self._merge_due(None)
        return count

    @contextlib.contextmanager
    def bulk(self) -> Generator[None]:
        """Put graphs off to the end of the block, so that what many calls add becomes one segment with one graph.

        Each call is as safe as without it. What a block that breaks off leaves gets its graphs at the next write.
        """
        added = self._bulk = set[str]()
        try:
            yield
        finally:
            # Another block may have begun, because this one is left in another thread.
            if self._bulk is added:
                self._bulk = None
        with lock(self.folder / manifest.MERGING):
            self.refresh()
            new = [each for each in self._current().segments if each.metadata.name in added]
            # A single segment is written again if it is so large that it gets a graph.
            if len(new) > 1 or sum(segment.live for segment in new) >= graph.MIN_ROWS:
                self._merge(new, None)
        self._merge_due(None)

    def check(self) -> None:
        """Read all files of the version that is open. Opening a store reads at most 256 MiB of each segment.

        Raises:
            PanglotError: A file is damaged.
        """
        manifest.check_segments(self.folder, self._current().manifest.segments)

    def refresh(self) -> bool:
        """Open the newest version and return whether it is newer than the one that was open."""
        with self._opening:
            before = self._current()
            self._now = Version.open(self.folder, before)
            return self._now is not before

    def search(
        self, vector_field: str, queries: Vectors, k: int, *, languages: Collection[str] | None = None,
        where: Filter | None = None,
    ) -> list[list[ScoredDocument]]:  # fmt: skip
        """See :meth:`~panglot.search.storage.store.Store.search`."""
        check_queries(vector_field, queries, k, self.vector_fields, self.dimension)
        now = self._current()
        bound = where and where.bound(now.kinds)
        found = [segment.search(vector_field, queries, k, languages, bound) for segment in now.segments]
        return [by_score(hit for lists in found for hit in lists[at])[:k] for at in range(len(queries))]

    def get(self, ids: Sequence[str]) -> list[Document | None]:
        """See :meth:`~panglot.search.storage.store.Store.get`."""
        return [segment.texts.document(row) if segment else None for segment, row in self._current().places(ids)]

    def vectors(self, vector_field: str, ids: Sequence[str]) -> Vectors:
        """See :meth:`~panglot.search.storage.store.Store.vectors`."""
        check_vector_field(vector_field, self.vector_fields)
        found = np.zeros((len(ids), self.dimension), np.float32)
        for at, (segment, row) in enumerate(self._current().places(ids)):
            if segment:
                found[at] = segment.tables[vector_field].vectors[row]
        return found

    def in_groups(self, groups: Collection[str]) -> list[Document]:
        """See :meth:`~panglot.search.storage.store.Store.in_groups`."""
        found = (each for segment in self._current().segments for each in segment.in_groups(groups))
        return sorted(found, key=lambda each: each.id)

    def counts(self) -> dict[str, int]:
        """See :meth:`~panglot.search.storage.store.Store.counts`."""
        return by_size(segment.counts() for segment in self._current().segments)

    def kinds(self) -> dict[str, str]:
        """See :meth:`~panglot.search.storage.store.Store.kinds`."""
        return dict(self._current().kinds)

    def matching(self, ids: Sequence[str], where: Filter) -> set[str]:
        """See :meth:`~panglot.search.storage.store.Store.matching`."""
        bound = where.bound(self._current().kinds)
        found = zip(ids, self._current().places(ids), strict=True)
        return {name for name, (segment, row) in found if segment and segment.texts.metadata.allows(bound, row)}

    def ids(self) -> Iterator[list[str]]:
        """See :meth:`~panglot.search.storage.store.Store.ids`."""
        for segment in self._current().segments:
            for pieces in segment.live_pieces().values():
                yield from (batch.column("id").to_pylist() for batch, _ in pieces)

    def parts(self) -> list[Part]:
        """Return the segments as parts that never change. See :func:`~panglot.search.storage.store.parts_of`."""
        return [
            Part(each.metadata.name, None if each.deleted is None else ~each.deleted, partial(_documents, each.texts))
            for each in self._current().segments
        ]

    @property
    def version(self) -> int:
        """The number of the version that is open. Every write makes the next one."""
        return self._current().manifest.version

    def close(self) -> None:
        """See :meth:`~panglot.search.storage.store.Store.close`."""
        self._now = None

    def _current(self) -> Version:
        if self._now is None:
            raise PanglotError("the store is closed", file=self.folder, hint="open it again")
        return self._now

    @contextlib.contextmanager
    def _writing(self) -> Generator[Version]:
        """Hold the lock and yield the newest version."""
        self._current()
        with lock(self.folder / "lock"), explain_write(self.folder):
            self.refresh()
            # What a killed or failed writer left may be the space that this write needs.
            manifest.sweep(self.folder, self._current().manifest)
            yield self._current()

    def _without(self, opened: Iterable[Segment], ids: Sequence[str]) -> tuple[list[SegmentMetadata], int]:
        """Return segments with these ids marked as deleted, and how many documents that deletes."""
        keys = keys_of(ids)
        segments: list[SegmentMetadata] = []
        count = 0
        for segment in opened:
            rows = segment.rows(ids, keys)
            rows = rows[rows >= 0]
            count += len(rows)
            if len(rows) == segment.live:
                continue
            metadata = replace(segment.metadata, kinds=segment.kinds)
            if len(rows):
                deleted = np.zeros(metadata.rows, np.bool_) if segment.deleted is None else segment.deleted.copy()
                deleted[rows] = True
                metadata = write_deleted(self.folder / SEGMENTS, metadata, deleted, self.version + 1)
                metadata = replace(metadata, kinds=segment.kinds_without(rows))
            segments.append(metadata)
        return segments, count

    def _write(self, name: str, pieces: Iterator[Piece], rows: int, *, graphs: bool) -> SegmentMetadata:
        place = self.folder / SEGMENTS / name
        try:
            return write_segment(place, pieces, rows, self.vector_fields, self.dimension, graphs=graphs)
        except BaseException:
            # On a full disk, half a segment would take the space that even a deletion needs.
            shutil.rmtree(place, ignore_errors=True)
            raise

    def _commit(self, now: Version, segments: Sequence[SegmentMetadata], *, merged: bool = False) -> None:
        new = replace(now.manifest, version=now.manifest.version + 1, segments=tuple(segments))
        new.write(self.folder)
        self.refresh()
        manifest.sweep(self.folder, new, merged=merged)

    def _merge_due(self, bulk: set[str] | None) -> None:
        """Merge what is due, of what a bulk load has added or of all, unless somebody else does.

        Others write meanwhile, because only the exchange holds their lock.
        """
        # The write itself is done, so a failure here does not matter: the next write tries again.
        with contextlib.suppress(OSError, PanglotError):
            while self._due(bulk):
                with lock(self.folder / manifest.MERGING, wait=False) as alone:
                    # Perhaps somebody else has merged these while this one waited.
                    self.refresh()
                    if not alone:
                        break
                    if not (chosen := self._due(bulk)):
                        continue
                    try:
                        manifest.check_segments(self.folder, [each.metadata for each in chosen])
                    except PanglotError as error:
                        problem = f"{error.file}: {error.problem}. Its segment is not merged"
                        warnings.warn(problem, RuntimeWarning, stacklevel=4)
                        break
                    self._merge(chosen, bulk)

    def _due(self, bulk: set[str] | None) -> list[Segment]:
        """Return which segments should be written as one now."""
        segments = self._current().segments
        if bulk is not None:
            segments = [each for each in segments if each.metadata.name in bulk]
        chosen = [segments[at] for at in due([_size(each) for each in segments])]
        return chosen or [each for each in segments if each.lacks_graphs and bulk is None]

    def _merge(self, chosen: Sequence[Segment], bulk: set[str] | None) -> None:
        """Write segments as one, with graphs unless this is within a bulk load. The caller holds the lock of merges."""
        rows = sum(segment.live for segment in chosen)
        before = {segment.metadata.name: segment for segment in chosen}
        name = f"{manifest.MERGING}-{uuid.uuid4().hex}"
        new = [self._write(name, contents(chosen), rows, graphs=bulk is None)] if rows else []
        with self._writing() as now:
            known = [each for each in now.segments if each.metadata.name in before]
            # A segment is gone if every row of it was deleted meanwhile. The rest is merged at the next try.
            if len(known) < len(before):
                shutil.rmtree(self.folder / SEGMENTS / name, ignore_errors=True)
                return
            gone = [each for segment in known for each in deleted_since(before[segment.metadata.name], segment)]
            if gone and new:
                new, _ = self._without([Segment.open(self.folder / SEGMENTS, new[0], self.vector_fields)], gone)
            others = (each.metadata for each in now.segments if each.metadata.name not in before)
            self._commit(now, [*others, *new], merged=True)
        if bulk is not None:
            bulk.update(each.name for each in new)


def _documents(texts: Texts) -> Iterator[list[Document]]:
    for batch in texts.batches(0, len(texts)):
        yield [as_document(row) for row in batch.to_pylist()]


def _size(segment: Segment) -> tuple[int, int]:
    """Return the number of live and of deleted rows."""
    return segment.live, segment.metadata.rows - segment.live
