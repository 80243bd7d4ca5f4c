"""Which language each text is taken to be in."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from panglot.corpus.language import NO_LANGUAGE, canonical
from panglot.remedies.detect import Detector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.remedies.remedy import Remedy


class Languages:
    """The languages given, else those detected; those that were not fitted are told once.

    Args:
        remedy: Whose languages they are for.
        name: What the model is called.
    """

    def __init__(self, remedy: Remedy, name: str) -> None:
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
