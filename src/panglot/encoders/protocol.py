"""Define what an encoder is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Side = Literal["question", "passage"]
Vectors = npt.NDArray[np.float32]


@runtime_checkable
class Encoder(Protocol):
    """Turn texts into vectors whose dot product is their similarity.

    Attributes:
        name: The name in tables.
    """

    name: str

    @property
    def fingerprint(self) -> str:
        """A text that changes whenever the vectors would. It is the key of the cache of vectors."""
        ...

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        """Return one unit-length row per text, shape ``[texts, dimension]``, float32.

        Texts may have any length and order. Questions and passages have different prompts. Only encoders of precomputed
        vectors use ``ids``.
        """
        ...


@runtime_checkable
class Windowed(Encoder, Protocol):
    """Turn texts into vectors, and say how much of a long text the vector is of."""

    def window(self, texts: Sequence[str], side: Side) -> list[tuple[int, int]]:
        """Return begin and end of what the model sees of each text, in characters."""
        ...


@runtime_checkable
class LanguageAware(Encoder, Protocol):
    """Turn texts and their languages into vectors, by correcting the vectors of another encoder."""

    by_language: bool
    base: Encoder  # Its vectors are corrected. They do not depend on languages.

    def encode(
        self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None,
        languages: Sequence[str] | None = None,
    ) -> Vectors:  # fmt: skip
        """Return one unit-length row per text, as :meth:`Encoder.encode`. If there are no languages, detect them."""
        ...

    def over(self, base: Encoder) -> Encoder:
        """Return the same correction of another base, such as the same base with a cache."""
        ...
