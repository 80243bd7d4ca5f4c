"""Detect the language of a query that does not name it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from panglot.data.language import Detector, canonical_or_none, identifier, script_of

if TYPE_CHECKING:
    from collections.abc import Iterable

USUAL = "en"
"""Asked everywhere, whatever the documents' languages."""

SURE = 0.5
"""How probable a language must be that no document has: a word or two can be of many languages."""


def near(language: str, languages: Iterable[str]) -> list[str]:
    """Return a language if it is there, else its forms.

    >>> near("pt", ["de", "pt-BR"]), near("zh-Hant", ["zh", "zh-Hant"])
    (['pt-BR'], ['zh-Hant'])
    """
    known = sorted(languages)
    base = language.partition("-")[0]
    return [language] if language in known else [code for code in known if code.partition("-")[0] == base]


def language_of(query: str, languages: Iterable[str]) -> str:
    """Return the language of a query.

    It is looked for among the languages given and English; a query that is surely in another language is in that.

    Args:
        query: Its text.
        languages: Canonical codes: those of the documents and of the reader.

    >>> language_of("Wie drucke ich eine Tabelle?", ["de", "nl", "sv"])
    'de'
    >>> language_of("Print", ["de", "ja"]), language_of("jinsi ya kuchapisha jedwali", ["de", "ja"])
    ('en', 'sw')
    >>> language_of("Strg+Pos1", ["ar", "en-US"])  # letters of a code, not of Arabic
    'en-US'
    """
    known = {*languages}
    if not near(USUAL, known):
        known.add(USUAL)
    usual = near(USUAL, known)[0]
    if not any(letter.isalpha() for letter in query):
        return usual
    detector = _detector(tuple(sorted(known)))
    found = detector.detect(query)
    if not found:
        label, share = identifier().rank(query)[0]
        found = (canonical_or_none(label) if share >= SURE else None) or detector.detect(query, least=0) or usual
    return usual if query.isascii() and script_of(found) not in ("Latn", "") else found


@lru_cache(maxsize=16)
def _detector(languages: tuple[str, ...]) -> Detector:
    return Detector(languages)
