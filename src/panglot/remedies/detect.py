"""The language of a text, where nobody says it."""

from __future__ import annotations

from panglot.corpus._langid import code as code_of
from panglot.corpus._langid import identifier

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
