"""Correct vectors by their languages, alone or behind an encoder, and read and write the correction."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError, first_line
from panglot._files import digest, file_digest, write_json
from panglot.data.language import NO_LANGUAGE, Detector, canonical
from panglot.encoders.open_model import folder_digest
from panglot.encoders.protocol import Encoder, Side, Vectors, by_id

Method = Literal["center", "shift", "lir", "lsar", "leace"]
_Floats = npt.NDArray[np.float32]
_Doubles = npt.NDArray[np.float64]

METHODS: tuple[Method, ...] = ("center", "shift", "lir", "lsar", "leace")
BY_LANGUAGE: tuple[Method, ...] = ("center", "shift", "lir")
"""The methods that need the language of a text. The others have one map for all."""

SIDES: tuple[Side, Side] = ("question", "passage")

MODEL = "model"
"""The subfolder of a debiased model's folder that has the model as it was."""

HEAD, ARRAYS = "debiasing.json", "debiasing.safetensors"
_OLD_HEAD, _OLD_ARRAYS = "remedy.json", "remedy.safetensors"


@dataclass(frozen=True)
class Debiasing:
    """Correct vectors by their language.

    A vector x of side s and language l becomes x − ``offset[s, l]``. Then its part in the span of ``directions[s, l]``
    is removed, then its part in ``subspace``. The result y becomes ``matrix`` y + ``bias``, scaled to unit length.

    The strength is folded into the arrays: offsets are that share of a mean, and the rows of ``directions`` and
    ``subspace`` have length √strength, so that x − BᵀBx removes that share of a component.

    Attributes:
        method: The method of fitting. See :mod:`panglot.debiasing.fit`.
        languages: The fitted languages, canonical and sorted.
        offset: The vectors to subtract, shape ``[2, languages, dimension]``, with sides as in :data:`SIDES`.
        directions: Orthogonal rows, shape ``[2, languages, r, dimension]``. r may be 0.
        subspace: Orthogonal rows, shape ``[k, dimension]``, removed from the vectors of every language.
        matrix: Shape ``[dimension, dimension]``, common to all languages. None: the identity.
        bias: Shape ``[dimension]``, added after ``matrix``. None: nothing.
        strength: The share of the correction that is applied, from 0 to 1.
        whiten: The shrinkage of the whitening that is part of ``matrix``. None if there is none.
    """

    method: Method
    languages: tuple[str, ...]
    offset: _Floats
    directions: _Floats
    subspace: _Floats
    matrix: _Floats | None = None
    bias: _Floats | None = None
    strength: float = 1.0
    whiten: float | None = None

    @property
    def dimension(self) -> int:
        """The length of the vectors."""
        return int(self.offset.shape[2])

    @property
    def rank(self) -> int:
        """The number of directions that ``lir`` removes from each language, or ``lsar`` from all, otherwise 0."""
        return max(int(self.directions.shape[2]), len(self.subspace))

    @cached_property
    def needs_language(self) -> bool:
        """Whether :meth:`apply` uses languages. Otherwise it is one map for all of them, :meth:`affine`."""
        return bool(self.offset.any() or self.directions.any())

    @property
    def arrays(self) -> dict[str, _Floats]:
        """The arrays by name, without ``matrix`` and ``bias`` if they are None."""
        names = ("offset", "directions", "subspace", "matrix", "bias")
        return {name: array for name in names if (array := getattr(self, name)) is not None}

    def affine(self) -> tuple[_Doubles, _Doubles | None]:
        """Return weight and bias of the map that is common to all languages, before the scaling to unit length."""
        basis = self.subspace.astype(np.float64)
        weight = np.eye(self.dimension) - basis.T @ basis
        if self.matrix is not None:
            weight = self.matrix.astype(np.float64) @ weight
        return weight, None if self.bias is None else self.bias.astype(np.float64)

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

        ``languages`` has the canonical language of each text. Vectors whose language is None or was not fitted only
        undergo what is common to all languages: the removal of ``subspace``, ``matrix`` and ``bias``.
        """
        found = self.corrected(vectors, languages, side)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        # A vector that equals its language's mean becomes zero, not NaN.
        return (found / np.maximum(lengths, np.finfo(np.float64).tiny)).astype(np.float32)

    def corrected(self, vectors: npt.ArrayLike, languages: Sequence[str | None], side: Side) -> _Doubles:
        """Return what :meth:`apply` scales to unit length."""
        # In doubles, because differences of nearly equal numbers lose most of a float's digits.
        found = np.asarray(vectors, np.float64).copy()
        side_number = SIDES.index(side)
        distinct = {language: self.find(language) for language in set(languages)}
        numbers = np.asarray([distinct[language] for language in languages], np.int64)
        for number in np.unique(numbers[numbers >= 0]):
            rows = numbers == number
            part = found[rows] - self.offset[side_number, number]
            found[rows] = _without(part, self.directions[side_number, number])
        found = _without(found, self.subspace)
        if self.matrix is not None:
            found = found @ self.matrix.T.astype(np.float64)
        return found if self.bias is None else found + self.bias

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {language: number for number, language in enumerate(self.languages)}


def _without(vectors: _Doubles, directions: _Floats) -> _Doubles:
    if not len(directions):
        return vectors
    basis = directions.astype(np.float64)
    return vectors - (vectors @ basis.T) @ basis


class Languages:
    """Return the languages of texts as given, or detect them. Warn once of each given one that was not fitted.

    ``name`` is the name of the model in warnings.
    """

    def __init__(self, debiasing: Debiasing, name: str) -> None:
        self._debiasing, self._name = debiasing, name
        self._detector: Detector | None = None
        self._warned: set[str] = set()

    def of(self, texts: Sequence[str], languages: Sequence[str] | None) -> Sequence[str | None]:
        """Return the canonical language of each text, or None.

        ``languages`` are in any style, ``und`` if unknown. If they are None, they are detected.
        """
        if not self._debiasing.needs_language:
            return [None] * len(texts)
        if languages is None:
            # The detector's model takes a second to load, and callers that give languages never need it.
            if self._detector is None:
                self._detector = Detector(self._debiasing.languages)
            return [self._detector.detect(text) for text in texts]
        codes = [None if code in NO_LANGUAGE else canonical(code) for code in languages]
        unfitted = {code for code in set(codes) if code and self._debiasing.find(code) < 0} - self._warned
        if unfitted:
            self._warned |= unfitted
            what = "do not change" if self._debiasing.matrix is None else "are whitened only"
            problem = f"{self._name} was not fitted on {', '.join(sorted(unfitted))}, whose vectors {what}"
            warnings.warn(problem, RuntimeWarning, stacklevel=4)
        return codes


class Debiased:
    """Correct another encoder's vectors by the languages of the texts.

    Languages are detected unless they are given. Vectors in a language that was not fitted only undergo what is common
    to all languages. The name in tables is ``NAME+METHOD`` by default.
    """

    by_language = True

    def __init__(self, base: Encoder, debiasing: Debiasing, *, name: str | None = None) -> None:
        self.base, self.debiasing = base, debiasing
        self.name = name or f"{base.name}+{debiasing.method}"
        arrays = (array.tobytes() for array in debiasing.arrays.values())
        # "remedy" is the former name of a debiasing. It stays here so that fingerprints stay the same.
        self.fingerprint = digest("remedy", base.fingerprint, debiasing.method, *debiasing.languages, *arrays)
        self.by_id = by_id(base)
        self._languages = Languages(debiasing, self.name)

    def over(self, base: Encoder) -> Debiased:
        """Return the same correction of another encoder, such as the same one with a cache."""
        return Debiased(base, self.debiasing, name=self.name)

    def encode(
        self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None,
        languages: Sequence[str] | None = None,
    ) -> Vectors:  # fmt: skip
        """Return one unit-length row per text, shape ``[texts, dimension]``, float32.

        ``ids`` are for a base that looks vectors up by id. ``languages`` are in any style. If None, they are detected.
        """
        if languages is not None and len(languages) != len(texts):
            problem = f"got {len(languages)} languages for {len(texts)} texts"
            raise PanglotError(problem, field="languages", hint="give one per text")
        vectors = self.base.encode(texts, side, ids=ids)
        expected, got = self.debiasing.dimension, vectors.shape[1]
        if got != expected:
            problem = f"vectors must have {expected} numbers, got {got} from {self.base.name}"
            raise PanglotError(problem, hint="use the model that the debiasing was fitted on")
        return self.debiasing.apply(vectors, self._languages.of(texts, languages), side)


def save(debiasing: Debiasing, folder: Path, metadata: Mapping[str, Any]) -> None:
    """Write ``debiasing.json``, with ``metadata``, and ``debiasing.safetensors`` into an existing folder."""
    from safetensors.numpy import save_file

    arrays = folder / ARRAYS
    # safetensors writes the memory of an array, whatever its strides.
    save_file({name: np.ascontiguousarray(array) for name, array in debiasing.arrays.items()}, arrays)
    # safetensors writes files that only their owner may read.
    arrays.chmod(0o644)
    head = {"method": debiasing.method, "rank": debiasing.rank, "dimension": debiasing.dimension}
    head |= {"strength": debiasing.strength, "whiten": debiasing.whiten}
    head |= {"languages": list(debiasing.languages), "sha256": file_digest(arrays)}
    write_json(folder / HEAD, {**head, **metadata})


def files_in(folder: Path) -> tuple[Path, Path]:
    """Return the two files of the correction in a folder. Before version 0.1, they were called ``remedy.*``."""
    if not (folder / HEAD).is_file() and (folder / _OLD_HEAD).is_file():
        return folder / _OLD_HEAD, folder / _OLD_ARRAYS
    return folder / HEAD, folder / ARRAYS


def read(folder: Path, hint: str = "run `panglot debias` again") -> tuple[Debiasing, dict[str, Any]]:
    """Return the correction in ``folder``, and the content of ``debiasing.json``.

    A missing or damaged file is an error with ``hint``, which says what the user can do.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    head_file, array_file = files_in(folder)
    try:
        head: dict[str, Any] = json.loads(head_file.read_text("utf-8"))
        method, languages = head["method"], tuple(head["languages"])
        rank, dimension, sha256 = int(head["rank"]), int(head["dimension"]), head["sha256"]
        # Folders written before there was a strength have all of the correction.
        strength, whiten = float(head.get("strength", 1)), head.get("whiten")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PanglotError(f"the debiasing cannot be read: {first_line(error)}", file=head_file, hint=hint) from error
    try:
        found = file_digest(array_file)
        arrays = load_file(array_file)
    except (OSError, SafetensorError) as error:
        raise PanglotError(f"the file is damaged: {first_line(error)}", file=array_file, hint=hint) from error
    try:
        parts = arrays["offset"], arrays["directions"], arrays["subspace"], arrays.get("matrix"), arrays.get("bias")
        debiasing = Debiasing(method, languages, *parts, strength, whiten)
        fits = method in METHODS and debiasing.dimension == dimension and debiasing.rank == rank
        # Whitening without its matrix would be dropped silently.
        fits = fits and (debiasing.matrix is not None) == (method == "leace" or whiten is not None)
        shapes = {
            "offset": (2, len(languages), dimension),
            "directions": (2, len(languages), debiasing.directions.shape[2], dimension),
            "subspace": (len(debiasing.subspace), dimension), "matrix": (dimension, dimension), "bias": (dimension,),
        }  # fmt: skip
        fits = fits and all(array.shape == shapes[name] for name, array in debiasing.arrays.items())
    except (KeyError, IndexError) as error:
        raise PanglotError(f"the file lacks {first_line(error)}", file=array_file, hint=hint) from error
    if not fits or found != sha256 or any(not np.isfinite(array).all() for array in arrays.values()):
        raise PanglotError(f"the file is damaged or does not belong to {head_file.name}", file=array_file, hint=hint)
    return debiasing, head


def open_debiasing(folder: Path) -> Debiasing:
    """Return the debiasing of a folder, or refuse it if the model is not the one that it was fitted on."""
    debiasing, head = read(folder)
    model = head.get("model")
    if not isinstance(model, dict) or model.get("digest") != folder_digest(folder / MODEL):
        hint = "restore the files of the model, or run `panglot debias` again"
        raise PanglotError("this model is not the one that the debiasing was fitted on", file=folder / MODEL, hint=hint)
    return debiasing
