"""Scripts: those of letters and texts, and how they are written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

from panglot._errors import PanglotError

# Hiragana uses it too, so that Unicode calls its script "Common".
_LONG_VOWEL = "ー"
_DOTTED = frozenset({"az", "crh", "kk-Latn", "tr", "tt-Latn"})
# Scripts by ISO 15924 code. Nowhere else in panglot is there another list of these properties (a test checks it).
_RIGHT_TO_LEFT = frozenset({
    "Adlm", "Arab", "Aran", "Armi", "Avst", "Chrs", "Cprt", "Elym", "Gara", "Hatr", "Hebr", "Hung", "Khar", "Lydi",
    "Mand", "Mani", "Mend", "Merc", "Mero", "Narb", "Nbat", "Nkoo", "Orkh", "Ougr", "Palm", "Phli", "Phlp", "Phnx",
    "Prti", "Rohg", "Samr", "Sarb", "Sogd", "Sogo", "Syrc", "Thaa", "Yezi",
})  # fmt: skip
#: No blank between words. Unicode gives the letters of most of them the line break class SA ("complex context").
NO_WORD_BLANKS = frozenset({
    "Ahom", "Bopo", "Hani", "Hira", "Kana", "Khmr", "Lana", "Laoo", "Mymr", "Tale", "Talu", "Tavt", "Thai", "Tibt",
})  # fmt: skip
#: No blank between sentences either.
NO_SENTENCE_BLANKS = frozenset({"Bopo", "Hani", "Hira", "Kana"})
#: No sign at the end of a sentence, only a blank.
NO_SENTENCE_ENDS = frozenset({"Khmr", "Lana", "Laoo", "Mymr", "Tale", "Talu", "Tavt", "Thai"})
#: Half of a surrogate pair, which JSON may escape and a file name may hold, but UTF-8 cannot hold.
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
#: Codes for several scripts at once, or for one style of a script.
_MEMBERS = {
    "Aran": ("Arab",), "Hans": ("Hani",), "Hant": ("Hani",), "Hrkt": ("Hira", "Kana"),
    "Jpan": ("Hani", "Hira", "Kana"), "Kore": ("Hang", "Hani"),
}  # fmt: skip


def lines_of(text: str) -> list[str]:
    r"""Return the lines of a text, without their ends.

    ``str.splitlines`` cuts at U+2028, U+0085 and others too, which ids, queries and the texts in a log may hold.

    >>> lines_of("a\r\nb\u2028c\n"), lines_of("")
    (['a', 'b\u2028c'], [])
    """
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []


def encodable(text: str, field: str) -> str:
    """Return a text that UTF-8, and therefore Arrow, can hold.

    Raises:
        PanglotError: It has half of a surrogate pair.
    """
    if LONE_SURROGATE.search(text):
        raise PanglotError("the text has half of a surrogate pair", field=field, hint="correct the escape")
    return text


def has_dotted_capital(language: str) -> bool:
    """Return whether the capital of i is İ, and not I, in a language.

    >>> [has_dotted_capital(code) for code in ("tr", "tr-CY", "az-Latn", "kk-Latn", "kk", "en")]
    [True, True, True, True, False, False]
    """
    return language in _DOTTED or language.partition("-")[0] in _DOTTED


def lower(text: str, language: str) -> str:
    """Return ``text`` in lower case by the rules of the language.

    >>> lower("ISPARTA İlk", "tr"), lower("ISPARTA", "en")
    ('ısparta ilk', 'isparta')
    """
    if has_dotted_capital(language):
        text = text.replace("İ", "i").replace("I", "ı")
    return text.lower()


def upper(text: str, language: str) -> str:
    """Return ``text`` in upper case by the rules of the language.

    >>> upper("ısparta ilk", "tr")
    'ISPARTA İLK'
    """
    if has_dotted_capital(language):
        text = text.replace("i", "İ").replace("ı", "I")
    return text.upper()


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
    """Return the script of most letters, or "" without letters.

    >>> commonest_script(["ܫܠܡܐ", "ok"]), commonest_script(["123"])
    ('Syrc', '')
    """
    scripts: Counter[str] = Counter()
    for letter, number in Counter("".join(texts)).items():
        if letter.isalpha() and (script := script_of_letter(letter)):
            scripts[script] += number
    return scripts.most_common(1)[0][0] if scripts else ""


def scripts_of(text: str) -> frozenset[str]:
    """Return the scripts of a text's letters. Chinese characters of one form only also count as Hans or Hant.

    >>> sorted(scripts_of("電腦 R2")), sorted(scripts_of("中文"))
    (['Hani', 'Hant', 'Latn'], ['Hani'])
    """
    found = {script for letter in set(text) if letter.isalpha() and (script := script_of_letter(letter))}
    if "Hani" in found:
        forms = Counter(form for letter in text if (form := _chinese_form(letter)))
        found.update(form for form, _ in forms.most_common(1) if forms["Hans"] != forms["Hant"])
    return frozenset(found)


@lru_cache(maxsize=65536)
def _chinese_form(letter: str) -> str:
    # GB 2312 has the simplified characters and Big5 the traditional ones. Most that are in both look the same.
    simplified, traditional = (_encodes(letter, codec) for codec in ("gb2312", "big5"))
    return "" if simplified == traditional else "Hans" if simplified else "Hant"


def _encodes(letter: str, codec: str) -> bool:
    try:
        return len(letter.encode(codec)) > 1
    except UnicodeEncodeError:
        return False


def members(script: str) -> tuple[str, ...]:
    """Return the scripts that a code covers.

    >>> members("Jpan"), members("Latn")
    (('Hani', 'Hira', 'Kana'), ('Latn',))
    """
    return _MEMBERS.get(script, (script,))


def is_right_to_left(script: str) -> bool:
    """Return whether a script runs from right to left.

    >>> [is_right_to_left(script) for script in ("Hebr", "Latn", "Arab", "")]
    [True, False, True, False]
    """
    return script in _RIGHT_TO_LEFT


@cache
def unspaced_letters() -> Any:
    """Return the compiled pattern of one letter of a script without blanks between words.

    >>> unspaced_letters().findall("Who? 谁 ใคร")
    ['谁', 'ใ', 'ค', 'ร']
    """
    import regex

    scripts = "".join(rf"\p{{Script={script}}}" for script in sorted(NO_WORD_BLANKS))
    return regex.compile(rf"[{scripts}{_LONG_VOWEL}]")
