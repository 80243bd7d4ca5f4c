"""A version of an embedded store: what ``current.json`` names, with its segments open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from panglot._errors import PanglotError
from panglot.search.document import joined_kinds
from panglot.search.storage.columns import keys_of
from panglot.search.storage.manifest import HINT, SEGMENTS, Manifest, SegmentMetadata
from panglot.search.storage.segments import Segment
from panglot.search.storage.store import REPLACED

if TYPE_CHECKING:
    from pathlib import Path


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

    def kinds_with(self, segments: Sequence[SegmentMetadata]) -> dict[str, str]:
        """Return the kinds of fields if only these segments stay, some of them with fewer live rows."""
        known = {segment.metadata.name: segment.kinds for segment in self.segments if segment.metadata.kinds is None}
        return joined_kinds(known[each.name] if each.kinds is None else each.kinds for each in segments)

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
