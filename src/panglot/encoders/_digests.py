"""Digests of big files, computed once as long as size and time of change stay."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from panglot._errors import PanglotError
from panglot._files import cache_folder, digest, file_digest, write_json

if TYPE_CHECKING:
    from pathlib import Path


def known_digest(path: Path) -> str:
    """Return the SHA-256 of a file, remembered in the cache folder by its path, size and time of change."""
    path = path.resolve()
    state = path.stat()
    now = [state.st_size, state.st_mtime_ns]
    memory = cache_folder() / "digests" / f"{digest(str(path))[:32]}.json"
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
        if known["state"] == now and isinstance(known["sha256"], str):
            return known["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    found = file_digest(path)
    with contextlib.suppress(PanglotError):  # A cache that cannot be written costs time, no more.
        write_json(memory, {"path": str(path), "state": now, "sha256": found})
    return found


def folder_digest(folder: Path) -> str:
    """Return one digest of the configuration and weights in a model folder: names and contents of its files.

    Checkpoints, logs and documentation inside the folder do not count; they do not change a vector.
    """
    parts: list[str] = []
    for path in model_files(folder):
        parts += [path.relative_to(folder).as_posix(), known_digest(path)]
    return digest(*parts)


def model_files(folder: Path) -> list[Path]:
    """Return the files that :func:`folder_digest` is made of."""
    found: list[Path] = []
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith((".", "checkpoint")) for part in path.relative_to(folder).parts)
        if not hidden and path.is_file() and path.suffix in MODEL_FILES:
            found.append(path)
    return found


MODEL_FILES = frozenset({".json", ".safetensors", ".txt", ".model", ".py", ".spm", ".vocab"})
