"""Correct vectors by their languages, and read and write the correction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError
from panglot._files import file_digest, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from panglot.encoders.protocol import Side, Vectors

__all__ = ["ARRAYS", "HEAD", "METHODS", "SIDES", "Debiasing", "Method", "files_in", "read", "save"]

Method = Literal["center", "shift", "lir", "lsar"]
_Floats = npt.NDArray[np.float32]

METHODS: tuple[Method, ...] = ("center", "shift", "lir", "lsar")
SIDES: tuple[Side, Side] = ("question", "passage")

HEAD, ARRAYS = "debiasing.json", "debiasing.safetensors"
_OLD_HEAD, _OLD_ARRAYS = "remedy.json", "remedy.safetensors"


@dataclass(frozen=True)
class Debiasing:
    """Correct vectors by their language.

    A vector x of side s and language l becomes x − ``offset[s, l]``. Then its part in the span of ``directions[s, l]``
    is removed, then its part in ``subspace``, and it is scaled to unit length.

    Attributes:
        method: The method of fitting. See :mod:`panglot.debiasing.fit`.
        languages: The fitted languages, canonical and sorted.
        offset: The vectors to subtract, shape ``[2, languages, dimension]``, with sides as in :data:`SIDES`.
        directions: Orthonormal rows, shape ``[2, languages, r, dimension]``. r may be 0.
        subspace: Orthonormal rows, shape ``[k, dimension]``, removed from the vectors of every language.
    """

    method: Method
    languages: tuple[str, ...]
    offset: _Floats
    directions: _Floats
    subspace: _Floats

    @property
    def dimension(self) -> int:
        """The length of the vectors."""
        return int(self.offset.shape[2])

    @property
    def rank(self) -> int:
        """The number of directions that are removed from each language, or from all."""
        return max(int(self.directions.shape[2]), len(self.subspace))

    @property
    def needs_language(self) -> bool:
        """Whether :meth:`apply` uses languages. LSAR has one projection for all of them."""
        return self.method != "lsar"

    def find(self, language: str | None) -> int:
        """Return the number of the fitted language to use for ``language``, or −1.

        Regions and variants fall back on the plain language (``pt-BR`` on ``pt``). Scripts do not.
        """
        subtags = (language or "").split("-")
        fewest = 2 if len(subtags) > 1 and len(subtags[1]) == 4 and subtags[1].isalpha() else 1
        codes = ("-".join(subtags[:end]) for end in range(len(subtags), fewest - 1, -1))
        return next((self._numbers[code] for code in codes if code in self._numbers), -1)

    def apply(self, vectors: Vectors, languages: Sequence[str | None], side: Side) -> Vectors:
        """Return the corrected vectors, shape ``[texts, dimension]``, float32, unit length.

        Vectors whose language is None or was not fitted keep their direction, unless the method has one projection for
        all languages (``lsar``).

        Args:
            vectors: One row per text.
            languages: The canonical language of each text, or None.
            side: Whether the texts are questions or passages.
        """
        found = np.asarray(vectors, np.float64).copy()
        side_number = SIDES.index(side)
        distinct = {language: self.find(language) for language in set(languages)}
        numbers = np.asarray([distinct[language] for language in languages], np.int64)
        for number in np.unique(numbers[numbers >= 0]):
            rows = numbers == number
            part = found[rows] - self.offset[side_number, number]
            found[rows] = _without(part, self.directions[side_number, number])
        found = _without(found, self.subspace)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        # A vector that equals its language's mean becomes zero, not NaN.
        return (found / np.maximum(lengths, np.finfo(np.float64).tiny)).astype(np.float32)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {language: number for number, language in enumerate(self.languages)}


def _without(vectors: npt.NDArray[np.float64], directions: _Floats) -> npt.NDArray[np.float64]:
    if not len(directions):
        return vectors
    basis = directions.astype(np.float64)
    return vectors - (vectors @ basis.T) @ basis


def save(debiasing: Debiasing, folder: Path, metadata: Mapping[str, Any]) -> None:
    """Write ``debiasing.json`` and ``debiasing.safetensors`` into an existing folder.

    Args:
        debiasing: The correction.
        folder: The folder.
        metadata: Further entries of ``debiasing.json``.
    """
    from safetensors.numpy import save_file

    arrays = folder / ARRAYS
    save_file({name: getattr(debiasing, name) for name in _shapes(debiasing)}, arrays)
    # safetensors writes files that only their owner may read.
    arrays.chmod(0o644)
    head = {
        "method": debiasing.method,
        "rank": debiasing.rank,
        "dimension": debiasing.dimension,
        "languages": list(debiasing.languages),
        "sha256": file_digest(arrays),
    }
    write_json(folder / HEAD, {**head, **metadata})


def files_in(folder: Path) -> tuple[Path, Path]:
    """Return the two files of the correction in a folder. Before version 0.1, they were called ``remedy.*``."""
    if not (folder / HEAD).is_file() and (folder / _OLD_HEAD).is_file():
        return folder / _OLD_HEAD, folder / _OLD_ARRAYS
    return folder / HEAD, folder / ARRAYS


def read(folder: Path, hint: str = "run `panglot debias` again") -> tuple[Debiasing, dict[str, Any]]:
    """Return the correction in ``folder``, and the content of ``debiasing.json``.

    Args:
        folder: The folder that :func:`save` wrote to.
        hint: What the user can do if a file is damaged.

    Raises:
        PanglotError: A file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    head_file, array_file = files_in(folder)
    try:
        head: dict[str, Any] = json.loads(head_file.read_text("utf-8"))
        method, languages = head["method"], tuple(head["languages"])
        rank, dimension, sha256 = int(head["rank"]), int(head["dimension"]), head["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PanglotError(f"the debiasing cannot be read: {_reason(error)}", file=head_file, hint=hint) from error
    try:
        found = file_digest(array_file)
        arrays = load_file(array_file)
    except (OSError, SafetensorError) as error:
        raise PanglotError(f"the file is damaged: {_reason(error)}", file=array_file, hint=hint) from error
    try:
        debiasing = Debiasing(method, languages, arrays["offset"], arrays["directions"], arrays["subspace"])
        fits = method in METHODS and debiasing.dimension == dimension and debiasing.rank == rank
        fits = fits and all(getattr(debiasing, name).shape == shape for name, shape in _shapes(debiasing).items())
    except (KeyError, IndexError) as error:
        raise PanglotError(f"the file lacks {_reason(error)}", file=array_file, hint=hint) from error
    if not fits or found != sha256 or any(not np.isfinite(array).all() for array in arrays.values()):
        raise PanglotError(f"the file is damaged or does not belong to {head_file.name}", file=array_file, hint=hint)
    return debiasing, head


def _shapes(debiasing: Debiasing) -> dict[str, tuple[int, ...]]:
    languages, dimension = len(debiasing.languages), debiasing.dimension
    return {
        "offset": (2, languages, dimension),
        "directions": (2, languages, debiasing.directions.shape[2], dimension),
        "subspace": (len(debiasing.subspace), dimension),
    }


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
