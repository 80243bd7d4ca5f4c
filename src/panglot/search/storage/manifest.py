"""``current.json``, which names the segments of a store. It is replaced as a whole, so that one is always there."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from panglot._errors import PanglotError
from panglot._files import digest, file_digest, is_locked, write_json

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
NAME = "current.json"
SEGMENTS = "segments"
MERGING = "merging"
"""File that is locked while segments are merged, and how the names of those begin that come from it."""
_RESERVED = 1 << 18
READ = 1 << 28
"""Bytes of a segment that are read to check it when it is opened. A store of any size thus opens in a few seconds."""
HINT = "restore the folder from a copy, or build the index again"


@dataclass(frozen=True)
class SegmentMetadata:
    """One segment: a folder of files that never change."""

    name: str
    rows: int  # Deleted ones are included.
    languages: tuple[tuple[str, int], ...]  # With the number of rows of each. Rows are in this order.
    # By vector field: the scale of the graph and how wide it is searched, 0 if it was not good enough to keep.
    graphs: Mapping[str, tuple[float, int]]
    files: Mapping[str, tuple[int, str]]  # Bytes and SHA-256 of each.
    deleted: str = ""  # The file that marks deleted rows. Empty if no row is deleted.
    # By vector field and language: how wide the graph of that language is searched. Older segments have none.
    own_graphs: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    # By field of metadata: the number of live rows with a value of each kind. None in older segments.
    kinds: Mapping[str, Mapping[str, int]] | None = None


@dataclass(frozen=True)
class Manifest:
    """One version of a store. On disk, attributes have the names of the first version of the format."""

    version: int  # Every write raises it.
    vector_fields: tuple[str, ...]
    dimension: int
    segments: tuple[SegmentMetadata, ...] = ()
    build: str = ""  # Of the index that the store belongs to. Empty in stores of the first version.

    def write(self, folder: Path) -> None:
        """Make this the current version of the store in a folder."""
        values = {
            "format": FORMAT, "version": self.version, "spaces": self.vector_fields, "dimension": self.dimension,
            "parts": [asdict(segment) for segment in self.segments], **({"build": self.build} if self.build else {}),
        }  # fmt: skip
        write_json(folder / NAME, {"sha256": _digest(values), **values})
        sync(folder)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Return the current version of the store in a folder."""
        path = folder / NAME
        try:
            values: dict[str, Any] = json.loads(path.read_text("utf-8"))
            checksum, form = values.pop("sha256"), values.pop("format")
            if form > FORMAT:
                problem = f"the format is {form}, this panglot reads up to {FORMAT}"
                raise PanglotError(problem, file=path, hint="update panglot")
            if checksum != _digest({"format": form, **values}):
                raise PanglotError("damaged: the checksum differs", file=path, hint=HINT)
            segments = tuple(_segment(segment) for segment in values["parts"])
            return cls(
                values["version"], tuple(values["spaces"]), values["dimension"], segments, values.get("build", "")
            )
        except FileNotFoundError as error:
            raise PanglotError("no index here", file=path, hint="build one first, or check the path") from error
        except OSError as error:
            raise PanglotError(f"cannot be read: {error.strerror}", file=path, hint="check the permissions") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PanglotError("damaged: not what panglot writes", file=path, hint=HINT) from error


def describe_file(path: Path) -> tuple[int, str]:
    """Return bytes and SHA-256 of a file that was just written, after flushing it to the disk."""
    sync(path)
    return path.stat().st_size, file_digest(path)


def check_files(folder: Path, files: Mapping[str, tuple[int, str]], most: float = math.inf) -> None:
    """Raise a :class:`PanglotError` if a file is not what was written.

    The smallest files are read first. Where that would make more than ``most`` bytes, only sizes are checked.
    """
    read = 0
    for name, (expected, sha) in sorted(files.items(), key=lambda item: item[1]):
        path = folder / name
        size = path.stat().st_size
        if size != expected:
            raise PanglotError(f"truncated or damaged: {size} bytes, expected {expected}", file=path, hint=HINT)
        read += size
        if read <= most and file_digest(path) != sha:
            raise PanglotError("damaged: the checksum differs", file=path, hint=HINT)


def check_segments(folder: Path, segments: Iterable[SegmentMetadata]) -> None:
    """Read all files of segments of a store, and raise a :class:`PanglotError` if one is not what was written."""
    for each in segments:
        check_files(folder / SEGMENTS / each.name, each.files)


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    if os.name == "nt":  # Windows has no handles of folders.
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def snapshot(folder: Path, target: Path) -> None:
    """Write the current version of a store to a new folder. The caller holds the lock of writers.

    Files that never change become hard links if the disk allows.
    """
    manifest = Manifest.read(folder)
    for segment in manifest.segments:
        source, place = (each / SEGMENTS / segment.name for each in (folder, target))
        place.mkdir(parents=True)
        for name in segment.files:
            try:
                (place / name).hardlink_to(source / name)
            except OSError:  # The target is on another disk, or the disk has no hard links.
                shutil.copy2(source / name, place / name)
                sync(place / name)
        sync(place)
    target.mkdir(exist_ok=True)
    manifest.write(target)


def sweep(folder: Path, manifest: Manifest, *, merged: bool = False) -> None:
    """Remove what this version does not need: merged segments, and what killed writers left.

    ``merged`` says that the caller holds the lock of merges, and that what it merged is in this version.
    """
    for unfinished in folder.glob(f".{NAME}.*"):
        unfinished.unlink(missing_ok=True)
    needed = {segment.name: segment.files for segment in manifest.segments}
    for place in (folder / SEGMENTS).iterdir() if (folder / SEGMENTS).exists() else ():
        if place.name not in needed:
            # Somebody may be writing it at this moment, without the lock of writers.
            if merged or not place.name.startswith(MERGING) or not is_locked(folder / MERGING, seconds=0):
                shutil.rmtree(place, ignore_errors=True)
            continue
        # Windows keeps files that a reader has open. A later sweep removes them.
        with contextlib.suppress(OSError):
            for file in place.glob("deleted-*.npy"):
                if file.name not in needed[place.name]:
                    file.unlink()


def _segment(values: dict[str, Any]) -> SegmentMetadata:
    files = {name: (size, sha) for name, (size, sha) in values["files"].items()}
    languages = tuple((language, rows) for language, rows in values["languages"])
    graphs = {name: (scale, ef_search) for name, (scale, ef_search) in values["graphs"].items()}
    own: dict[str, dict[str, int]] = {name: dict(found) for name, found in values.get("own_graphs", {}).items()}
    kinds: Mapping[str, Mapping[str, int]] | None = values.get("kinds")
    return SegmentMetadata(values["name"], values["rows"], languages, graphs, files, values["deleted"], own, kinds)


def _digest(values: Mapping[str, Any]) -> str:
    return digest(json.dumps(values, sort_keys=True, ensure_ascii=True))


def make_reserve(path: Path) -> None:
    """Write bytes that a deletion can give back to a full disk, because it must write what is deleted."""
    if not path.exists():
        try:
            path.write_bytes(bytes(_RESERVED))
        except OSError:
            path.unlink(missing_ok=True)
            raise
