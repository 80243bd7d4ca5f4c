"""Language codes: one canonical BCP 47 code for every style in which data sets write them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import langcodes
from langcodes.data_dicts import LIKELY_SUBTAGS

from panglot._errors import PanglotError

# Codes that langcodes cannot read, or would read as something that is not meant.
_SPECIAL = {
    "spa-ref2": "es-x-ref2",  # NTREX: a second Spanish reference
    "gsw-be": "gsw-u-sd-chbe",  # NTREX: the dialects of Bern and Zürich, not of Belgium and "ZH"
    "gsw-zh": "gsw-u-sd-chzh",
}
# Scripts that are another name of the likely one: all of Korean is Hangul with or without Hanja.
_SAME_SCRIPT = {("ko", "Hang"), ("zh", "Hani"), ("ja", "Hrkt")}
_MODIFIERS = {
    "latin": "Latn",
    "cyrillic": "Cyrl",
    "devanagari": "Deva",
    "arabic": "Arab",
}  # sr@latin and the like
NO_LANGUAGE = frozenset({"und", "mul", "mis", "zxx"})
"""BCP 47 codes that say that nobody knows the language, or that there is none or several."""


@lru_cache(maxsize=4096)
def canonical(code: str) -> str:
    """Return the canonical BCP 47 code of ``code``, whatever its style.

    Three-letter codes become two-letter ones, members of a macrolanguage that stand for it become it
    (``swh`` is ``sw``), outdated codes their successors. A script is dropped if it is the likely one of a
    language whose likely script is known, and never added. Regions and variants stay, for they tell columns
    of one data set apart, but a Chinese region that only says which script is meant becomes that script.

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
    """Return the English name of a language, or ``code`` where names are not installed (``language_data``).

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
        hint="write a BCP 47 or ISO 639 code, such as en, zh-Hant or swh; qaa to qtz are for your own use",
    )


@lru_cache(maxsize=1)
def identifier() -> Any:
    """Return an identifier of our own, never restricted: the one of the module's functions belongs to the user."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@lru_cache(maxsize=256)
def code(label: str) -> str | None:
    """Return the canonical code of one of its labels; None for ``zxx``, no language."""
    try:
        return canonical(label)
    except PanglotError:
        return None
