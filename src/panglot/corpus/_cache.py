"""Collections that are parsed once and memory-mapped afterwards."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from panglot._errors import PanglotError
from panglot._files import cache_folder, digest
from panglot.corpus.collection import Collection

# Goes up whenever a reader gives other rows for the same files.
READERS = 4

_log = logging.getLogger(__name__)


def source_key(files: Iterable[Path], **options: object) -> str:
    """Return a digest of the files' names, sizes and times, of the options and of the readers' version."""
    parts = [str(READERS), *(f"{key}={options[key]!r}" for key in sorted(options))]
    for path in sorted(files):
        state = path.stat()
        parts.append(f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}")
    return digest(*parts)


def built_once(
    key: str, build: Callable[[], Collection], write: Callable[[Path], Collection] | None = None
) -> Collection:
    """Return the cached collection of ``key``, memory-mapped; make it if it is missing or damaged.

    Where the cache cannot be written, the built collection is returned as it is.

    Args:
        key: As :func:`source_key`.
        build: Makes the collection in memory.
        write: Makes it in a folder instead, for what memory may not hold.
    """
    folder = cache_folder() / "collections" / key
    if folder.is_dir():
        try:
            return Collection.open(folder)
        except (PanglotError, KeyError, TypeError) as error:
            _log.warning("building %s again: %s", folder.name[:12], error)
    if write is not None and _writable(folder.parent):
        return write(folder)
    collection = build()
    try:
        collection.save(folder)
        return Collection.open(folder)
    except PanglotError as error:
        _log.warning("not cached: %s", error)
        return collection


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
