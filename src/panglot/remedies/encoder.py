"""An encoder with a remedy behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from panglot._errors import PanglotError
from panglot._files import digest
from panglot.remedies.languages import Languages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.encoders.protocol import Encoder, Side, Vectors
    from panglot.remedies.remedy import Remedy


class Debiased:
    """Another encoder's vectors, corrected by the languages of the texts.

    The languages are those given, else those detected. A given language that the remedy was not fitted on is
    left as it is, and told once.

    Args:
        base: Whose vectors are corrected.
        remedy: The correction.
        name: What tables call it; by default ``NAME+METHOD``.

    Raises:
        PanglotError: On the first text, if the vectors are not as long as those that were fitted.
    """

    by_language = True

    def __init__(self, base: Encoder, remedy: Remedy, *, name: str | None = None) -> None:
        self.base, self.remedy = base, remedy
        self.name = name or f"{base.name}+{remedy.method}"
        numbers = (part.tobytes() for part in (remedy.offset, remedy.directions, remedy.subspace))
        self.fingerprint = digest("remedy", base.fingerprint, remedy.method, *remedy.languages, *numbers)
        self.by_id = bool(getattr(base, "by_id", False))
        self._languages = Languages(remedy, self.name)

    def over(self, base: Encoder) -> Debiased:
        """Return the same remedy over another encoder, such as the same one with a cache."""
        return Debiased(base, self.remedy, name=self.name)

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
            side: Whether they are asked or searched.
            ids: Their ids, for a base that looks vectors up by id.
            languages: The language of each text, in any style; None: they are detected.

        Raises:
            PanglotError: A language is unknown, their number is wrong, or the base gives vectors of other length.
        """
        if languages is not None and len(languages) != len(texts):
            raise PanglotError(
                f"{len(languages)} languages for {len(texts)} texts", field="languages", cure="give one per text"
            )
        vectors = self.base.encode(texts, side, ids=ids)
        if vectors.shape[1] != self.remedy.dimension:
            raise PanglotError(
                f"{self.base.name} gives vectors of {vectors.shape[1]} numbers, the remedy wants"
                f" {self.remedy.dimension}",
                cure="use the model that the remedy was fitted on",
            )
        return self.remedy.apply(vectors, self._languages.of(texts, languages), side)
