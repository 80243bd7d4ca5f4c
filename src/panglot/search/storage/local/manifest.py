"""The small file that says which segments make up an index; replaced as a whole, so that one is always there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from panglot._errors import PanglotError
from panglot._files import digest, file_digest, write_json

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
NAME = "current.json"
HINT = "restore the folder from a copy, or build the index again"


@dataclass(frozen=True)
class SegmentMetadata:
    """One segment: a folder of files that never change.

    Attributes:
        name: Of the folder.
        rows: How many documents it has, deleted ones included.
        languages: Its languages and how many rows each has; rows lie in this order.
        graphs: For each vector field that has a graph, the factor it was built with and how wide it is searched.
        files: For each file its bytes and its SHA-256.
        deleted: The file of :attr:`files` that marks deleted rows; empty: none is deleted.
    """

    name: str
    rows: int
    languages: tuple[tuple[str, int], ...]
    graphs: Mapping[str, tuple[float, int]]
    files: Mapping[str, tuple[int, str]]
    deleted: str = ""


@dataclass(frozen=True)
class Manifest:
    """One version of a store.

    Attributes:
        version: Rises with every write.
        vector_fields: Names of the vector fields.
        dimension: Length of the vectors.
        parts: The segments.
    """

    version: int
    vector_fields: tuple[str, ...]
    dimension: int
    parts: tuple[SegmentMetadata, ...] = ()


def write(folder: Path, manifest: Manifest) -> None:
    """Make this the current version."""
    # The keys on disk are those of format 1, whatever the attributes are called.
    values = {"format": FORMAT, "version": manifest.version, "spaces": manifest.vector_fields,
              "dimension": manifest.dimension, "parts": [asdict(part) for part in manifest.parts]}  # fmt: skip
    write_json(folder / NAME, {"sha256": _digest(values), **values})
    synced(folder)


def read(folder: Path) -> Manifest:
    """Return the current version.

    Raises:
        PanglotError: There is none, it is damaged, or a newer panglot wrote it.
    """
    path = folder / NAME
    try:
        values: dict[str, Any] = json.loads(path.read_text("utf-8"))
        written, form = values.pop("sha256"), values.pop("format")
        if form > FORMAT:
            raise PanglotError(f"format {form}; this panglot reads {FORMAT}", file=path, hint="update panglot")
        if written != _digest({"format": form, **values}):
            raise PanglotError("damaged: its checksum is another", file=path, hint=HINT)
        parts = tuple(_part(part) for part in values["parts"])
        return Manifest(values["version"], tuple(values["spaces"]), values["dimension"], parts)
    except FileNotFoundError as error:
        raise PanglotError("no index here", file=path, hint="build one first, or check the path") from error
    except OSError as error:
        raise PanglotError(f"cannot be read: {error.strerror}", file=path, hint="check the permissions") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PanglotError("damaged: not what panglot writes", file=path, hint=HINT) from error


def described(path: Path) -> tuple[int, str]:
    """Return bytes and SHA-256 of a file that was just written, after bringing it to the disk."""
    synced(path)
    return path.stat().st_size, file_digest(path)


def check(path: Path, wanted: tuple[int, str]) -> None:
    """Raise a :class:`PanglotError` where a file is not what was written."""
    size = path.stat().st_size
    if size != wanted[0]:
        raise PanglotError(f"truncated or damaged: {size} bytes of {wanted[0]}", file=path, hint=HINT)
    if file_digest(path) != wanted[1]:
        raise PanglotError("damaged: its checksum is another", file=path, hint=HINT)


def synced(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    if os.name == "nt":  # Windows has no handles of folders.
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _part(values: dict[str, Any]) -> SegmentMetadata:
    files = {name: (size, sha) for name, (size, sha) in values["files"].items()}
    languages = tuple((language, rows) for language, rows in values["languages"])
    graphs = {vector_field: (factor, width) for vector_field, (factor, width) in values["graphs"].items()}
    return SegmentMetadata(values["name"], values["rows"], languages, graphs, files, values["deleted"])


def _digest(values: Mapping[str, Any]) -> str:
    return digest(json.dumps(values, sort_keys=True, ensure_ascii=True))
