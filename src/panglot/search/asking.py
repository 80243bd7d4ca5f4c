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

SURE = 0.5
"""How probable a language must be that no document has: a word or two can be of many languages."""


def language_of(question: str, languages: Iterable[str]) -> str:
    """Return the language of a question.

    It is looked for among the languages given and English; a question that is surely in another language is in that.

    Args:
        question: Its text.
        languages: Canonical codes: those of the documents and of the reader.

    >>> language_of("Wie drucke ich eine Tabelle?", ["de", "nl", "sv"])
    'de'
    >>> language_of("Print", ["de", "ja"]), language_of("jinsi ya kuchapisha jedwali", ["de", "ja"])
    ('en', 'sw')
    """
    detector = _detector(tuple(sorted({*languages, USUAL})))
    if found := detector.detect(question):
        return found
    label, share = identifier().rank(question)[0]
    other = code(label) if share >= SURE else None
    return other or detector.detect(question, least=0) or USUAL


@lru_cache(maxsize=16)
def _detector(languages: tuple[str, ...]) -> Detector:
    return Detector(languages)
