"""What is known about scripts: the one table of how they are written, and the script of a language or a letter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

import langcodes
from langcodes.data_dicts import LIKELY_SUBTAGS

__all__ = [
    "commonest_script",
    "has_sentence_ends",
    "is_right_to_left",
    "joins_sentences",
    "joins_words",
    "letters_in",
    "members",
    "script_of",
    "script_of_letter",
    "unspaced_letters",
]

# Scripts by ISO 15924 code. Nowhere else in panglot is there another list of these properties (a test checks it).
_RIGHT_TO_LEFT = frozenset({
    "Adlm", "Arab", "Aran", "Armi", "Avst", "Chrs", "Cprt", "Elym", "Gara", "Hatr", "Hebr", "Hung", "Khar", "Lydi",
    "Mand", "Mani", "Mend", "Merc", "Mero", "Narb", "Nbat", "Nkoo", "Orkh", "Ougr", "Palm", "Phli", "Phlp", "Phnx",
    "Prti", "Rohg", "Samr", "Sarb", "Sogd", "Sogo", "Syrc", "Thaa", "Yezi",
})  # fmt: skip
#: No blank between words. Unicode gives the letters of most of them the line break class SA ("complex context").
_NO_WORD_BLANKS = frozenset({
    "Ahom", "Bopo", "Hani", "Hira", "Kana", "Khmr", "Lana", "Laoo", "Mymr", "Tale", "Talu", "Tavt", "Thai", "Tibt",
})  # fmt: skip
#: No blank between sentences either.
_NO_SENTENCE_BLANKS = frozenset({"Bopo", "Hani", "Hira", "Kana"})
#: No sign at the end of a sentence, only a blank.
_NO_SENTENCE_ENDS = frozenset({"Khmr", "Lana", "Laoo", "Mymr", "Tale", "Talu", "Tavt", "Thai"})
#: Codes for several scripts at once, or for one style of a script.
_MEMBERS = {
    "Aran": ("Arab",), "Hans": ("Hani",), "Hant": ("Hani",), "Hrkt": ("Hira", "Kana"),
    "Jpan": ("Hani", "Hira", "Kana"), "Kore": ("Hang", "Hani"),
}  # fmt: skip
# Hiragana uses it too, so that Unicode calls its script "Common".
_LONG_VOWEL = "ー"


def members(script: str) -> tuple[str, ...]:
    """Return the scripts that a code stands for.

    >>> members("Jpan"), members("Latn")
    (('Hani', 'Hira', 'Kana'), ('Latn',))
    """
    return _MEMBERS.get(script, (script,))


@lru_cache(maxsize=4096)
def script_of(code: str) -> str:
    """Return the script that a canonical code names, or else the likely one of its language, or else "".

    >>> script_of("zh"), script_of("bjn-Arab"), script_of("alz")
    ('Hans', 'Arab', '')
    """
    try:
        tag = langcodes.Language.get(code)
    except ValueError:
        return ""
    # `maximize` would answer Latin for a language that CLDR does not know.
    likely = LIKELY_SUBTAGS.get(tag.language or "")
    return tag.script or (langcodes.Language.get(likely).script if likely else "") or ""


def is_right_to_left(script: str) -> bool:
    """Return whether a script runs from right to left.

    >>> [is_right_to_left(script_of(code)) for code in ("he", "az", "az-Arab", "")]
    [True, False, True, False]
    """
    return script in _RIGHT_TO_LEFT


def joins_words(code: str) -> bool:
    """Return whether a language is written without blanks between words.

    >>> [joins_words(code) for code in ("th", "zh-Hant", "bo", "ko", "vi")]
    [True, True, True, False, False]
    """
    return members(script_of(code))[0] in _NO_WORD_BLANKS


def joins_sentences(code: str) -> bool:
    """Return whether a language is written without a blank between sentences.

    >>> [joins_sentences(code) for code in ("ja", "yue", "zh-Latn", "th")]
    [True, True, False, False]
    """
    return members(script_of(code))[0] in _NO_SENTENCE_BLANKS


def has_sentence_ends(code: str) -> bool:
    """Return whether a sign ends each sentence.

    >>> [has_sentence_ends(code) for code in ("th", "shn", "zh", "en")]
    [False, False, True, True]
    """
    return members(script_of(code))[0] not in _NO_SENTENCE_ENDS


@cache
def unspaced_letters() -> Any:
    """Return the compiled pattern of one letter of a script without blanks between words.

    >>> unspaced_letters().findall("Who? 谁 ใคร")
    ['谁', 'ใ', 'ค', 'ร']
    """
    import regex

    scripts = "".join(rf"\p{{Script={script}}}" for script in sorted(_NO_WORD_BLANKS))
    return regex.compile(rf"[{scripts}{_LONG_VOWEL}]")


@lru_cache(maxsize=65536)
def script_of_letter(letter: str) -> str:
    """Return the ISO 15924 code of a character's script; "" for characters that several scripts share.

    >>> [script_of_letter(letter) for letter in "éя谁3"]
    ['Latn', 'Cyrl', 'Hani', '']
    """
    if letter == _LONG_VOWEL:
        return "Kana"
    found = _letter_pattern().match(letter)
    return found.lastgroup if found else ""


@cache
def _letter_pattern() -> Any:
    import regex
    from iso_langcodes.iso15924 import ScriptName2ScriptCode

    codes: list[str] = []
    for code in sorted({*map(str, ScriptName2ScriptCode.values())} - {"Zinh", "Zyyy", "Zzzz"}):
        try:
            regex.compile(rf"\p{{Script={code}}}")
        except regex.error:  # not a script of Unicode, such as Jpan
            continue
        codes.append(code)
    return regex.compile("|".join(rf"(?P<{code}>\p{{Script={code}}})" for code in codes))


def letters_in(text: str, scripts: Iterable[str]) -> list[str]:
    """Return the letters of a text that are in one of some scripts.

    >>> letters_in("Как R2?", ["Cyrl"])
    ['К', 'а', 'к']
    """
    known = set(scripts)
    return [letter for letter in text if letter.isalpha() and script_of_letter(letter) in known]


def commonest_script(texts: Iterable[str]) -> str:
    """Return the script of most letters, "" if there are none.

    >>> commonest_script(["ܫܠܡܐ", "ok"]), commonest_script(["123"])
    ('Syrc', '')
    """
    scripts: Counter[str] = Counter()
    for letter, number in Counter("".join(texts)).items():
        if letter.isalpha() and (script := script_of_letter(letter)):
            scripts[script] += number
    return scripts.most_common(1)[0][0] if scripts else ""
