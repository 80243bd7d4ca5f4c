"""Language codes: one canonical BCP 47 code for all styles that data sets use."""

from __future__ import annotations

from functools import lru_cache
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
_MODIFIERS = {
    "latin": "Latn",
    "cyrillic": "Cyrl",
    "devanagari": "Deva",
    "arabic": "Arab",
}  # sr@latin and the like
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
        tag = langcodes.Language.get(langcodes.standardize_tag(plain, macro=True))
    except ValueError as error:
        raise _unknown(code) from error
    if not tag.is_valid() or not tag.language or tag.language in NO_LANGUAGE:
        raise _unknown(code)
    if tag.language == "zh":
        tag = _chinese(tag)
    likely = LIKELY_SUBTAGS.get(tag.language or "")
    usual = langcodes.Language.get(likely).script if likely else None
    if tag.script and (tag.script == usual or (tag.language, tag.script) in _SAME_SCRIPT):
        tag = _changed(tag, script=None, territory=tag.territory)
    return tag.to_tag()


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


def _unknown(code: str) -> PanglotError:
    return PanglotError(
        f"unknown language code {code!r}",
        hint="write a BCP 47 or ISO 639 code, such as en, zh-Hant or swh, or one of qaa to qtz for private use",
    )


@lru_cache(maxsize=1)
def identifier() -> Any:
    """Return py3langid's identifier for all its languages.

    Its module-level identifier is shared, and the user may have restricted it to some languages.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@lru_cache(maxsize=256)
def code(label: str) -> str | None:
    """Return the canonical code of one of the identifier's labels, None for ``zxx`` (no language)."""
    try:
        return canonical(label)
    except PanglotError:
        return None


class Detector:
    """Detect which of some languages a text is in, with py3langid (Lui & Baldwin 2012).

    Languages that py3langid does not know are never detected. It does not tell regions and scripts of a language
    apart. If several are candidates, the first by its code is detected.

    Args:
        languages: Canonical codes of the candidates.
    """

    def __init__(self, languages: tuple[str, ...]) -> None:
        self._identifier = identifier()
        self._candidates: dict[str, str] = {}
        for label in self._identifier.labels:
            if chosen := _candidate(code(label), languages):
                self._candidates[label] = chosen

    @property
    def known(self) -> frozenset[str]:
        """The languages that can be detected."""
        return frozenset(self._candidates.values())

    def detect(self, text: str, least: float = _LEAST) -> str | None:
        """Return the most probable candidate, or None if the text is probably in none of the languages.

        Args:
            text: The text.
            least: The smallest sum of the candidates' probabilities.
        """
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
