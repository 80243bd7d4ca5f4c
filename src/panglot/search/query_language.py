"""Decide which language a query is in, and which languages of the documents a code covers."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import langcodes

from panglot.data.language import Detector, identify, near, script_of
from panglot.data.letters import letters_in

if TYPE_CHECKING:
    from collections.abc import Iterable

Source = Literal["declared", "detected", "default"]

_USUAL = "en"  # People ask in this language everywhere, whatever the documents' languages.
_SURE = 0.5  # Probability that a language without documents needs, because a word or two can be of many languages.
_ELSEWHERE = 0.1  # Weight of languages that neither the documents nor the reader have.
ENOUGH = 0.6
"""Confidence from which a detected language is used.

Of the titles of LibreOffice's help in ten languages, 79 % reach it, and 98 % of these are right. Of their first two
words, 64 % reach it, and 97 % of these are right."""
_FEW_CHARACTERS = 8  # A Chinese text with fewer characters may be Japanese, and the other way round.


class QueryLanguage(NamedTuple):
    """The language of a query, and how it is known."""

    code: str  # Empty if it is unknown. The search then uses nothing that depends on it.
    source: Source
    confidence: float | None = None  # Of the best guess, from 0 to 1. None if the language was declared.


def query_language(query: str, languages: Iterable[str], declared: str = "", default: str = "") -> QueryLanguage:
    """Return the declared language, or the detected one, or ``default`` if the detection is doubtful.

    Candidates are the languages of the documents and of the reader, and English. A query that is surely in another
    language is in that.

    >>> query_language("Wie drucke ich eine Tabelle?", ["de", "nl", "sv"])[:2]
    ('de', 'detected')
    >>> query_language("sort", ["de", "fr"])[:2], query_language("sort", ["de", "fr"], default="fr")[:2]
    (('', 'default'), ('fr', 'default'))
    """
    if declared:
        return QueryLanguage(declared, "declared")
    known = {*languages, *([default] if default else [])}
    if not near(_USUAL, known):
        known.add(_USUAL)
    ranked = _detector(tuple(sorted(known))).rank(query)
    mass = sum(each.confidence for each in ranked)
    # The candidates are more probable than the other languages of the world.
    best = (ranked[0].language, ranked[0].confidence / (mass + _ELSEWHERE * max(1 - mass, 0))) if ranked else ("", 0.0)
    elsewhere = identify(query)
    if elsewhere.confidence >= max(_SURE, mass) and not near(elsewhere.language, known):
        best = elsewhere
    code, confidence = best
    if _is_any_han(query, known):
        confidence = min(confidence, 0.5)
    confidence = round(confidence, 4)
    if confidence >= ENOUGH:
        return QueryLanguage(code, "detected", confidence)
    return QueryLanguage(default, "default", confidence)


def _is_any_han(query: str, languages: Iterable[str]) -> bool:
    """Return whether a text of a few Chinese characters may be both Chinese and Japanese."""
    bases = {code.partition("-")[0] for code in languages}
    letters = [letter for letter in query if letter.isalpha()]
    few = len(letters) < _FEW_CHARACTERS and letters == letters_in(query, ["Hani"])
    return few and "ja" in bases and bool(bases & {"zh", "yue"})


@lru_cache(maxsize=16)
def _detector(languages: tuple[str, ...]) -> Detector:
    return Detector(languages)


def forms(code: str, languages: Iterable[str]) -> list[str]:
    """Return those of some languages that a code covers: itself and its regional forms in the same script.

    If there are none, return all forms of the language.

    >>> forms("en", ["de", "en", "en-GB"]), forms("zh", ["zh", "zh-Hant"]), forms("zh-Hant", ["zh-Hant-HK", "zh"])
    (['en', 'en-GB'], ['zh'], ['zh-Hant-HK'])
    >>> forms("sr", ["en", "sr-Latn"]), forms("en-GB", ["en", "en-US"])
    (['sr-Latn'], ['en', 'en-US'])
    """
    known = sorted(languages)
    return [each for each in known if _covers(code, each)] or near(code, known)


@lru_cache(maxsize=4096)
def _covers(code: str, form: str) -> bool:
    (base, more), (other, others) = _parts(code), _parts(form)
    return code == form or (base == other and more <= others and script_of(code) == script_of(form))


def _parts(code: str) -> tuple[str, set[str]]:
    """Return the language of a code, and what it says besides language and script."""
    base, *rest = code.split("-")
    try:
        script = langcodes.Language.get(code).script
    except ValueError:
        script = None
    return base, {*rest} - {script or ""}
