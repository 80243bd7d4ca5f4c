"""An encoder with a remedy behind it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from panglot._errors import PanglotError
from panglot._files import digest
from panglot.data.language import NO_LANGUAGE, canonical, identifier
from panglot.data.language import code as code_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.debiasing.transform import Debiasing
    from panglot.encoders.protocol import Encoder, Side, Vectors

LEAST = 0.05
"""If the wanted languages together are less probable than this, the text is in none of them."""

_ALIKE = {"nb": "no", "no": "nb"}
"""Codes that stand for one another, where the regions' rule below does not find it."""


class Detector:
    """Detects which of some languages a text is in, with py3langid (Lui & Baldwin 2012).

    Languages that it does not know are never detected. Of regions and scripts of a language it sees the plain
    language, and of several ones the first by its code.

    Args:
        languages: The canonical codes to choose among.
    """

    def __init__(self, languages: tuple[str, ...]) -> None:
        self._identifier = identifier()
        self._wanted: dict[str, str] = {}
        for label in self._identifier.labels:
            if chosen := _served(code_of(label), languages):
                self._wanted[label] = chosen

    @property
    def known(self) -> frozenset[str]:
        """The languages that can be detected."""
        return frozenset(self._wanted.values())

    def detect(self, text: str, least: float = LEAST) -> str | None:
        """Return the most probable of the languages, or None if the text is probably in none of them.

        Args:
            text: The text.
            least: How probable they must be together.
        """
        scores: dict[str, float] = {}
        for label, share in self._identifier.rank(text):
            if chosen := self._wanted.get(label):
                scores[chosen] = scores.get(chosen, 0.0) + share
        if not scores or sum(scores.values()) < least:
            return None
        return max(scores, key=lambda code: scores[code])


def _served(code: str | None, languages: tuple[str, ...]) -> str | None:
    if code is None or code in languages:
        return code
    near = [each for each in sorted(languages) if each.split("-")[0] in {code, _ALIKE.get(code)}]
    return near[0] if near else None


class Languages:
    """The languages given, else those detected; those that were not fitted are told once.

    Args:
        remedy: Whose languages they are for.
        name: What the model is called.
    """

    def __init__(self, remedy: Debiasing, name: str) -> None:
        self._remedy, self._name = remedy, name
        self._detector: Detector | None = None
        self._told: set[str] = set()

    def of(self, texts: Sequence[str], given: Sequence[str] | None) -> Sequence[str | None]:
        """Return the canonical language of each text, or None.

        Args:
            texts: The texts.
            given: Their languages in any style, ``und`` where nobody knows; or None.

        Raises:
            PanglotError: A given language does not exist.
        """
        if not self._remedy.needs_language:
            return [None] * len(texts)
        if given is None:
            if self._detector is None:
                self._detector = Detector(self._remedy.languages)
            return [self._detector.detect(text) for text in texts]
        found = [None if code in NO_LANGUAGE else canonical(code) for code in given]
        strange = {code for code in set(found) if code and self._remedy.find(code) < 0} - self._told
        if strange:
            self._told |= strange
            warnings.warn(
                f"{self._name} was not fitted on {', '.join(sorted(strange))}: their vectors stay as they are",
                RuntimeWarning,
                stacklevel=4,
            )
        return found


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

    def __init__(self, base: Encoder, remedy: Debiasing, *, name: str | None = None) -> None:
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
                f"{len(languages)} languages for {len(texts)} texts", field="languages", hint="give one per text"
            )
        vectors = self.base.encode(texts, side, ids=ids)
        if vectors.shape[1] != self.remedy.dimension:
            raise PanglotError(
                f"{self.base.name} gives vectors of {vectors.shape[1]} numbers, the remedy wants"
                f" {self.remedy.dimension}",
                hint="use the model that the remedy was fitted on",
            )
        return self.remedy.apply(vectors, self._languages.of(texts, languages), side)
