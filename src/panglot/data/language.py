"""Languages: one canonical BCP 47 code for all styles that data sets use, scripts, and language detection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

import langcodes
from langcodes.data_dicts import LIKELY_SUBTAGS

from panglot._errors import PanglotError

# Codes that langcodes cannot read, or would misread.
_SPECIAL = {
    "spa-ref2": "es-x-ref2",  # NTREX: a second Spanish reference
    "gsw-be": "gsw-u-sd-chbe",  # NTREX: the dialects of Bern and Zürich, not of Belgium and "ZH"
    "gsw-zh": "gsw-u-sd-chzh",
}
# Scripts that are another name of the likely one. All Korean is Hangul, with or without Hanja.
_SAME_SCRIPT = {("ko", "Hang"), ("zh", "Hani"), ("ja", "Hrkt")}
_MODIFIERS = {"latin": "Latn", "cyrillic": "Cyrl", "devanagari": "Deva", "arabic": "Arab"}  # of glibc: sr@latin
# Labels of the identifier and codes that mean the same language without being forms of one another.
_ALIKE = {"nb": "no", "no": "nb"}
# A text is in none of the candidate languages if their probabilities sum to less than this.
_LEAST = 0.05
NO_LANGUAGE = frozenset({"und", "mul", "mis", "zxx"})
"""BCP 47 codes for an unknown language, no language, or several."""


@lru_cache(maxsize=4096)
def canonical(code: str) -> str:
    """Return the canonical BCP 47 code of ``code``, whatever its style.

    Three-letter codes become two-letter ones. The main member of a macrolanguage becomes the macrolanguage (``swh`` is
    ``sw``), and outdated codes become their successors. A script is dropped if it is the likely one of the language,
    and never added. Regions and variants stay, because they distinguish columns of one data set. A Chinese region that
    only implies a script becomes that script.

    Raises:
        PanglotError: There is no such language.

    >>> [canonical(code) for code in ("eng_Latn", "zho_Hant", "zh_cn", "zh-TW", " ar", "sr@latin", "swh")]
    ['en', 'zh-Hant', 'zh', 'zh-Hant', 'ar', 'sr-Latn', 'sw']
    """
    plain = code.strip().replace("_", "-")
    if special := _SPECIAL.get(plain.lower()):
        return special
    base, _, modifier = plain.partition("@")
    if modifier:
        plain = f"{base}-{_MODIFIERS.get(modifier.lower(), modifier)}"
    try:
        # `standardize_tag` would drop a script that is usual for the language, but not in the region.
        tag = langcodes.Language.get(plain, normalize=True).prefer_macrolanguage()
    except ValueError:
        tag = None
    if tag is None or not tag.is_valid() or not tag.language or tag.language in NO_LANGUAGE:
        hint = "write a BCP 47 or ISO 639 code, such as en, zh-Hant or swh, or one of qaa to qtz for private use"
        raise PanglotError(f"unknown language code {code!r}", hint=hint)
    if tag.language == "zh":
        tag = _chinese(tag)
    usual = (_likely_script(tag.language), _likely_script(tag.language, tag.territory))
    if tag.script and (usual == (tag.script, tag.script) or (tag.language, tag.script) in _SAME_SCRIPT):
        tag = _changed(tag, script=None, territory=tag.territory)
    return tag.to_tag()


@lru_cache(maxsize=4096)
def canonical_or_none(code: str) -> str | None:
    """Return what :func:`canonical` returns, or None for an unknown language."""
    try:
        return canonical(code)
    except PanglotError:
        return None


def name(code: str) -> str:
    """Return the English name of a language, or ``code`` if names are not installed (``language_data``).

    >>> name("de") in ("German", "de")
    True
    """
    try:
        return langcodes.Language.get(code).display_name()
    except (ImportError, ValueError):
        return code


def _chinese(tag: langcodes.Language) -> langcodes.Language:
    likely = langcodes.Language.get(LIKELY_SUBTAGS.get(f"zh-{tag.territory}", "zh-Hans"))
    script = tag.script or likely.script
    usual = {"Hans": "CN", "Hant": "TW"}.get(script or "")
    return _changed(tag, script=script, territory=None if tag.territory == usual else tag.territory)


def _changed(tag: langcodes.Language, *, script: str | None, territory: str | None) -> langcodes.Language:
    return langcodes.Language.make(
        tag.language, tag.extlangs, script, territory, tag.variants, tag.extensions, tag.private
    )


def _likely_script(language: str | None, territory: str | None = None) -> str:
    # `maximize` would answer Latin for a language that CLDR does not know.
    likely = LIKELY_SUBTAGS.get(f"{language}-{territory}") or LIKELY_SUBTAGS.get(language or "")
    return (langcodes.Language.get(likely).script if likely else "") or ""


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
    """Return the scripts that a code covers.

    >>> members("Jpan"), members("Latn")
    (('Hani', 'Hira', 'Kana'), ('Latn',))
    """
    return _MEMBERS.get(script, (script,))


def near(language: str, languages: Iterable[str]) -> list[str]:
    """Return a language if it is among some, else its forms that are.

    >>> near("pt", ["de", "pt-BR"]), near("zh-Hant", ["zh", "zh-Hant"])
    (['pt-BR'], ['zh-Hant'])
    """
    known = sorted(languages)
    base = language.partition("-")[0]
    return [language] if language in known else [code for code in known if code.partition("-")[0] == base]


@lru_cache(maxsize=4096)
def script_of(code: str) -> str:
    """Return the script that a canonical code names, or else the likely one of its language and region, or else "".

    >>> script_of("zh"), script_of("bjn-Arab"), script_of("sr-ME"), script_of("alz")
    ('Hans', 'Arab', 'Latn', '')
    """
    try:
        tag = langcodes.Language.get(code)
    except ValueError:
        return ""
    return tag.script or _likely_script(tag.language, tag.territory)


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
    """Return the script of most letters, or "" without letters.

    >>> commonest_script(["ܫܠܡܐ", "ok"]), commonest_script(["123"])
    ('Syrc', '')
    """
    scripts: Counter[str] = Counter()
    for letter, number in Counter("".join(texts)).items():
        if letter.isalpha() and (script := script_of_letter(letter)):
            scripts[script] += number
    return scripts.most_common(1)[0][0] if scripts else ""


@lru_cache(maxsize=1)
def identifier() -> Any:
    """Return py3langid's identifier for all its languages.

    Its module-level identifier is shared, and the user may have restricted it to some languages.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


class Detector:
    """Detect which of some ``languages`` (canonical codes) a text is in, with py3langid (Lui & Baldwin 2012).

    Languages that py3langid does not know are never detected. It does not distinguish regions and scripts of a
    language. If several are candidates, the first by its code is detected.
    """

    def __init__(self, languages: tuple[str, ...]) -> None:
        self._identifier = identifier()
        self._candidates: dict[str, str] = {}
        for label in self._identifier.labels:
            if chosen := _candidate(canonical_or_none(label), languages):
                self._candidates[label] = chosen

    @property
    def known(self) -> frozenset[str]:
        """The languages that can be detected."""
        return frozenset(self._candidates.values())

    def detect(self, text: str, least: float = _LEAST) -> str | None:
        """Return the most probable candidate, or None if the candidates' probabilities sum to less than ``least``."""
        scores: dict[str, float] = {}
        for label, probability in self._identifier.rank(text):
            if chosen := self._candidates.get(label):
                scores[chosen] = scores.get(chosen, 0.0) + probability
        if not scores or sum(scores.values()) < least:
            return None
        return max(scores, key=lambda code: scores[code])


def _candidate(code: str | None, languages: tuple[str, ...]) -> str | None:
    if code is None or code in languages:
        return code
    near = [each for each in sorted(languages) if each.split("-")[0] in {code, _ALIKE.get(code)}]
    return near[0] if near else None
