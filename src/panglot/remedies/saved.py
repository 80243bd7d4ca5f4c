"""A remedy on disk: ``remedy.safetensors`` holds its numbers, ``remedy.json`` what it is and what it was fitted on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._errors import PanglotError
from panglot._files import file_digest, write_json
from panglot.remedies.remedy import METHODS, Remedy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HEAD, NUMBERS = "remedy.json", "remedy.safetensors"
_CURE = "run `panglot debias` again"


def save(remedy: Remedy, folder: Path, about: Mapping[str, Any]) -> None:
    """Write both files into ``folder``.

    Args:
        remedy: What to write.
        folder: Where; it must exist.
        about: What else to write into ``remedy.json``.
    """
    from safetensors.numpy import save_file

    numbers = folder / NUMBERS
    save_file({name: getattr(remedy, name) for name in _shapes(remedy)}, numbers)
    # safetensors leaves files that only their owner may read.
    numbers.chmod(0o644)
    head = {
        "method": remedy.method,
        "rank": remedy.rank,
        "dimension": remedy.dimension,
        "languages": list(remedy.languages),
        "sha256": file_digest(numbers),
    }
    write_json(folder / HEAD, {**head, **about})


def read(folder: Path, cure: str = _CURE) -> tuple[Remedy, dict[str, Any]]:
    """Return the remedy in ``folder``, and all that ``remedy.json`` says.

    Args:
        folder: Where :func:`save` wrote.
        cure: What the user is told to do where it is damaged.

    Raises:
        PanglotError: A file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    head_file, numbers = folder / HEAD, folder / NUMBERS
    try:
        head: dict[str, Any] = json.loads(head_file.read_text("utf-8"))
        method, languages = head["method"], tuple(head["languages"])
        rank, dimension, wanted = int(head["rank"]), int(head["dimension"]), head["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PanglotError(f"not a remedy: {_told(error)}", file=head_file, cure=cure) from error
    try:
        found = file_digest(numbers)
        arrays = load_file(numbers)
    except (OSError, SafetensorError) as error:
        raise PanglotError(f"damaged: {_told(error)}", file=numbers, cure=cure) from error
    try:
        remedy = Remedy(method, languages, arrays["offset"], arrays["directions"], arrays["subspace"])
        fits = method in METHODS and remedy.dimension == dimension and remedy.rank == rank
        fits = fits and all(getattr(remedy, name).shape == shape for name, shape in _shapes(remedy).items())
    except (KeyError, IndexError) as error:
        raise PanglotError(f"damaged: {_told(error)} is missing", file=numbers, cure=cure) from error
    if not fits or found != wanted or any(not np.isfinite(array).all() for array in arrays.values()):
        raise PanglotError(f"damaged, or not what {HEAD} speaks of", file=numbers, cure=cure)
    return remedy, head


def _shapes(remedy: Remedy) -> dict[str, tuple[int, ...]]:
    languages, dimension = len(remedy.languages), remedy.dimension
    return {
        "offset": (2, languages, dimension),
        "directions": (2, languages, remedy.directions.shape[2], dimension),
        "subspace": (len(remedy.subspace), dimension),
    }


def _told(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
