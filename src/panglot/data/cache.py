"""Parse collections once, and memory-map them from the cache afterwards."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError
from panglot._files import cache_folder, digest
from panglot.data.collection import Collection

# Parts of collections with so many texts are cached too, for they may not fit into memory.
MANY = 1_000_000
# Raise it whenever a reader gives other rows for the same files.
READERS = 4

_log = logging.getLogger(__name__)


def source_key(files: Iterable[Path], **options: object) -> str:
    """Return a digest of the files' names, sizes and times, of the options and of the readers' version."""
    parts = [str(READERS), *(f"{key}={options[key]!r}" for key in sorted(options))]
    for path in sorted(files):
        state = path.stat()
        parts.append(f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}")
    return digest(*parts)


def folder() -> Path:
    """Return the folder of cached collections."""
    return cache_folder() / "collections"


def cached(key: str, build: Callable[[], Collection], write: Callable[[Path], Collection] | None = None) -> Collection:
    """Return the cached collection of ``key``, memory-mapped. Make it if it is missing or damaged.

    If the cache cannot be written, the collection is returned as it was built.

    Args:
        key: What :func:`source_key` returned.
        build: Makes the collection in memory.
        write: Makes it in a folder instead, for a collection that memory may not hold.
    """
    place = folder() / key
    if place.is_dir():
        try:
            return Collection.open(place)
        except (PanglotError, KeyError, TypeError) as error:
            _log.warning("building %s again: %s", place.name[:12], error)
    if write is not None and writable(place.parent):
        return write(place)
    collection = build()
    try:
        collection.save(place)
        return Collection.open(place)
    except PanglotError as error:
        _log.warning("cannot cache the collection: %s", error)
        return collection


def cached_subset(
    collection: Collection, questions: npt.NDArray[np.bool_], passages: npt.NDArray[np.bool_]
) -> Collection:
    """Return the marked rows, as :meth:`Collection.keep` does, without filling the memory.

    If all rows are marked, this is the collection itself. A million or more rows of a saved collection are written to
    the cache once, and memory-mapped.
    """
    if questions.all() and passages.all():
        return collection
    home = collection.folder
    if home is None or np.count_nonzero(questions) + np.count_nonzero(passages) < MANY:
        return collection.keep(questions, passages)
    marks = digest(*(np.packbits(side).tobytes() for side in (questions, passages)))
    found = cached(
        source_key(home.glob("*.arrow"), kept=marks),
        lambda: collection.keep(questions, passages),
        lambda folder: collection.keep(questions, passages, folder),
    )
    return replace(found, name=collection.name, about=collection.about)


def writable(place: Path) -> bool:
    """Return whether a folder can be written, and make it if it is not there."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError:
        return False
