"""Digests of big files, computed once as long as size and time of change stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from panglot._files import digest, digest_once, file_digest

if TYPE_CHECKING:
    from pathlib import Path


def known_digest(path: Path) -> str:
    """Return the SHA-256 of a file, computed once as long as it does not change."""
    return digest_once([path], lambda: file_digest(path))


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
