"""Correct the vectors of an encoder by the languages of the texts."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from panglot._errors import PanglotError
from panglot._files import digest
from panglot.data.language import NO_LANGUAGE, Detector, canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.debiasing.transform import Debiasing
    from panglot.encoders.protocol import Encoder, Side, Vectors

__all__ = ["Debiased", "Languages"]


class Languages:
    """Return the languages of texts as given, or detect them. Warn once of each given one that was not fitted.

    Args:
        debiasing: The correction for which languages are needed.
        name: The name of the model in warnings.
    """

    def __init__(self, debiasing: Debiasing, name: str) -> None:
        self._debiasing, self._name = debiasing, name
        self._detector: Detector | None = None
        self._warned: set[str] = set()

    def of(self, texts: Sequence[str], languages: Sequence[str] | None) -> Sequence[str | None]:
        """Return the canonical language of each text, or None.

        Args:
            texts: The texts.
            languages: Their languages in any style, ``und`` if unknown. If None, they are detected.

        Raises:
            PanglotError: A given language does not exist.
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
            warnings.warn(
                f"{self._name} was not fitted on {', '.join(sorted(unfitted))}, whose vectors do not change",
                RuntimeWarning,
                stacklevel=4,
            )
        return codes


class Debiased:
    """Correct another encoder's vectors by the languages of the texts.

    Languages are detected unless they are given. Vectors in a language that was not fitted do not change.

    Args:
        base: The encoder whose vectors are corrected.
        debiasing: The correction.
        name: The name in tables. By default ``NAME+METHOD``.

    Raises:
        PanglotError: On the first text, if the vectors are not as long as those that were fitted.
    """

    by_language = True

    def __init__(self, base: Encoder, debiasing: Debiasing, *, name: str | None = None) -> None:
        self.base, self.debiasing = base, debiasing
        self.name = name or f"{base.name}+{debiasing.method}"
        arrays = (part.tobytes() for part in (debiasing.offset, debiasing.directions, debiasing.subspace))
        # "remedy" is the former name of a debiasing. It stays here so that fingerprints stay the same.
        self.fingerprint = digest("remedy", base.fingerprint, debiasing.method, *debiasing.languages, *arrays)
        self.by_id = bool(getattr(base, "by_id", False))
        self._languages = Languages(debiasing, self.name)

    def over(self, base: Encoder) -> Debiased:
        """Return the same correction of another encoder, such as the same one with a cache."""
        return Debiased(base, self.debiasing, name=self.name)

    def encode(
        self,
        texts: Sequence[str],
        side: Side,
        *,
        ids: Sequence[str] | None = None,
        languages: Sequence[str] | None = None,
    ) -> Vectors:
        """Return one unit-length row per text, shape ``[texts, dimension]``, float32.

        Args:
            texts: The texts.
            side: Whether the texts are questions or passages.
            ids: Ids of the texts, for a base that looks vectors up by id.
            languages: The language of each text in any style. If None, languages are detected.

        Raises:
            PanglotError: A language is unknown, their number is wrong, or the base has vectors of another length.
        """
        if languages is not None and len(languages) != len(texts):
            raise PanglotError(
                f"got {len(languages)} languages for {len(texts)} texts", field="languages", hint="give one per text"
            )
        vectors = self.base.encode(texts, side, ids=ids)
        if vectors.shape[1] != self.debiasing.dimension:
            raise PanglotError(
                f"vectors must have {self.debiasing.dimension} numbers, got {vectors.shape[1]} from {self.base.name}",
                hint="use the model that the debiasing was fitted on",
            )
        return self.debiasing.apply(vectors, self._languages.of(texts, languages), side)
