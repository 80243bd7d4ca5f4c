"""Define what an encoder is."""

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
    """Turn texts into vectors whose dot product is their similarity.

    Attributes:
        name: The name in tables.
        fingerprint: A text that changes whenever the vectors would. It is the key of the cache of vectors.
    """

    name: str
    fingerprint: str

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        """Return one unit-length row per text, shape ``[texts, dimension]``, float32.

        Args:
            texts: Texts of any length, in any order.
            side: Whether the texts are questions or passages, which have different prompts.
            ids: Ids of the texts. Only encoders of precomputed vectors use them.
        """
        ...


@runtime_checkable
class LanguageAware(Encoder, Protocol):
    """Turn texts and their languages into vectors, by correcting the vectors of another encoder.

    Attributes:
        by_language: True.
        base: The encoder whose vectors are corrected. They do not depend on languages.
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
        """Return one unit-length row per text, as :meth:`Encoder.encode`. If there are no languages, detect them."""
        ...

    def over(self, base: Encoder) -> Encoder:
        """Return the same correction of another base, such as the same base with a cache."""
        ...
