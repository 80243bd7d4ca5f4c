"""What an encoder is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

Side = Literal["question", "passage"]
Vectors = npt.NDArray[np.float32]


@runtime_checkable
class Encoder(Protocol):
    """Turns texts into vectors whose dot product is their similarity.

    Attributes:
        name: What tables call it.
        fingerprint: Changes whenever the vectors of a text would; the key of the cache of vectors.
    """

    name: str
    fingerprint: str

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        """Return one unit-length row per text, shape ``[texts, dimension]``, float32.

        Args:
            texts: The texts, in any order and length.
            side: Whether they are asked or searched; prompts differ.
            ids: The ids of the texts; only encoders of precomputed vectors look at them.
        """
        ...


@runtime_checkable
class LanguageAware(Encoder, Protocol):
    """An encoder whose vectors depend on the languages of the texts too, and come from those of another one.

    Attributes:
        by_language: True.
        base: The encoder whose vectors do not depend on languages.
    """

    by_language: bool
    base: Encoder

    def encode(
        self,
        texts: Sequence[str],
        side: Side,
        *,
        ids: Sequence[str] | None = None,
        languages: Sequence[str] | None = None,
    ) -> Vectors:
        """Return one unit-length row per text, as :meth:`Encoder.encode`.

        Args:
            texts: The texts.
            side: Whether they are asked or searched.
            ids: The ids of the texts.
            languages: The language of each text; None: the encoder finds out.
        """
        ...

    def over(self, base: Encoder) -> Encoder:
        """Return the same over another base, such as the same base with a cache."""
        ...
