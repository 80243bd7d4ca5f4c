"""What a remedy is: vectors and their languages in, corrected unit vectors out."""

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

Method = Literal["center", "shift", "lir", "lsar"]
Floats = npt.NDArray[np.float32]

METHODS: tuple[Method, ...] = ("center", "shift", "lir", "lsar")
SIDES: tuple[Side, Side] = ("question", "passage")


@dataclass(frozen=True)
class Debiasing:
    """A correction of vectors by their language.

    A vector x of side s and language l becomes x − ``offset[s, l]``; then its part in the span of
    ``directions[s, l]`` is removed, then its part in ``subspace``, and it is brought to unit length.

    Attributes:
        method: How it was fitted; see :mod:`panglot.debiasing.fit`.
        languages: The fitted languages, canonical and sorted.
        offset: What is subtracted, shape ``[2, languages, dimension]``; sides as in :data:`SIDES`.
        directions: Orthonormal rows, shape ``[2, languages, r, dimension]``; r may be 0.
        subspace: Orthonormal rows, shape ``[k, dimension]``, removed from every vector, whatever its language.
    """

    method: Method
    languages: tuple[str, ...]
    offset: Floats
    directions: Floats
    subspace: Floats

    @property
    def dimension(self) -> int:
        """The length of the vectors."""
        return int(self.offset.shape[2])

    @property
    def rank(self) -> int:
        """How many directions are removed of a language, or of all."""
        return max(int(self.directions.shape[2]), len(self.subspace))

    @property
    def needs_language(self) -> bool:
        """Whether :meth:`apply` looks at languages at all; LSAR's projection is one for all."""
        return self.method != "lsar"

    def find(self, language: str | None) -> int:
        """Return the number of the fitted language that serves ``language``, or −1.

        Regions and variants fall back on the plain language (``pt-BR`` on ``pt``), scripts do not.
        """
        subtags = (language or "").split("-")
        fewest = 2 if len(subtags) > 1 and len(subtags[1]) == 4 and subtags[1].isalpha() else 1
        codes = ("-".join(subtags[:end]) for end in range(len(subtags), fewest - 1, -1))
        return next((self._numbers[code] for code in codes if code in self._numbers), -1)

    def apply(self, vectors: Vectors, languages: Sequence[str | None], side: Side) -> Vectors:
        """Return the corrected vectors, shape ``[texts, dimension]``, float32, unit length.

        Vectors whose language is None or was not fitted keep their direction, unless the method is one for all
        languages (``lsar``).

        Args:
            vectors: One row per text.
            languages: The canonical language of each text, or None.
            side: Whether the texts are asked or searched.
        """
        found = np.asarray(vectors, np.float64).copy()
        place = SIDES.index(side)
        distinct = {language: self.find(language) for language in set(languages)}
        rows = np.asarray([distinct[language] for language in languages], np.int64)
        for number in np.unique(rows[rows >= 0]):
            mine = rows == number
            part = found[mine] - self.offset[place, number]
            found[mine] = _without(part, self.directions[place, number])
        found = _without(found, self.subspace)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return (found / np.maximum(lengths, np.finfo(np.float64).tiny)).astype(np.float32)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {language: number for number, language in enumerate(self.languages)}


def _without(vectors: npt.NDArray[np.float64], directions: Floats) -> npt.NDArray[np.float64]:
    if not len(directions):
        return vectors
    basis = directions.astype(np.float64)
    return vectors - (vectors @ basis.T) @ basis


HEAD, NUMBERS = "remedy.json", "remedy.safetensors"
_CURE = "run `panglot debias` again"


def save(remedy: Debiasing, folder: Path, about: Mapping[str, Any]) -> None:
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


def read(folder: Path, hint: str = _CURE) -> tuple[Debiasing, dict[str, Any]]:
    """Return the remedy in ``folder``, and all that ``remedy.json`` says.

    Args:
        folder: Where :func:`save` wrote.
        hint: What the user is told to do where it is damaged.

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
        raise PanglotError(f"not a remedy: {_told(error)}", file=head_file, hint=hint) from error
    try:
        found = file_digest(numbers)
        arrays = load_file(numbers)
    except (OSError, SafetensorError) as error:
        raise PanglotError(f"damaged: {_told(error)}", file=numbers, hint=hint) from error
    try:
        remedy = Debiasing(method, languages, arrays["offset"], arrays["directions"], arrays["subspace"])
        fits = method in METHODS and remedy.dimension == dimension and remedy.rank == rank
        fits = fits and all(getattr(remedy, name).shape == shape for name, shape in _shapes(remedy).items())
    except (KeyError, IndexError) as error:
        raise PanglotError(f"damaged: {_told(error)} is missing", file=numbers, hint=hint) from error
    if not fits or found != wanted or any(not np.isfinite(array).all() for array in arrays.values()):
        raise PanglotError(f"damaged, or not what {HEAD} speaks of", file=numbers, hint=hint)
    return remedy, head


def _shapes(remedy: Debiasing) -> dict[str, tuple[int, ...]]:
    languages, dimension = len(remedy.languages), remedy.dimension
    return {
        "offset": (2, languages, dimension),
        "directions": (2, languages, remedy.directions.shape[2], dimension),
        "subspace": (len(remedy.subspace), dimension),
    }


def _told(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
