"""The language of a question, where nobody says it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from panglot.corpus._langid import code, identifier
from panglot.remedies.detect import Detector

if TYPE_CHECKING:
    from collections.abc import Iterable

USUAL = "en"
"""Asked everywhere, whatever the documents' languages."""


def language_of(question: str, languages: Iterable[str]) -> str:
    """Return the language of a question.

    It is looked for among the languages given and English; a question that is probably in none of these may be in any.

    Args:
        question: Its text.
        languages: Canonical codes: those of the documents and of the reader.

    >>> language_of("Wie drucke ich eine Tabelle?", ["de", "nl", "sv"])
    'de'
    """
    detector = _detector(tuple(sorted({*languages, USUAL})))
    return detector.detect(question) or code(identifier().classify(question)[0]) or USUAL


@lru_cache(maxsize=16)
def _detector(languages: tuple[str, ...]) -> Detector:
    return Detector(languages)
