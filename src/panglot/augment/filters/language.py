"""Is the translation in the language, and in the script, that was asked for?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import langcodes

from panglot.augment.filters.letters import script, weight
from panglot.corpus._langid import code as code_of
from panglot.corpus._langid import identifier

#: Scripts by ISO 15924 code, as Unicode's names of letters begin.
_SCRIPTS = {
    "Arab": {"ARABIC"}, "Armn": {"ARMENIAN"}, "Beng": {"BENGALI"}, "Cyrl": {"CYRILLIC"}, "Deva": {"DEVANAGARI"},
    "Ethi": {"ETHIOPIC"}, "Geor": {"GEORGIAN"}, "Grek": {"GREEK"}, "Gujr": {"GUJARATI"}, "Guru": {"GURMUKHI"},
    "Hans": {"CJK"}, "Hant": {"CJK"}, "Hebr": {"HEBREW"}, "Jpan": {"CJK", "HIRAGANA", "KATAKANA"},
    "Khmr": {"KHMER"}, "Knda": {"KANNADA"}, "Kore": {"HANGUL", "CJK"}, "Laoo": {"LAO"}, "Latn": {"LATIN"},
    "Mlym": {"MALAYALAM"}, "Mymr": {"MYANMAR"}, "Orya": {"ORIYA"}, "Sinh": {"SINHALA"}, "Taml": {"TAMIL"},
    "Telu": {"TELUGU"}, "Thai": {"THAI"}, "Tibt": {"TIBETAN"},
}  # fmt: skip
#: Languages that py3langid takes for one another.
_ALIKE = (
    {"nb", "no", "nn", "da"}, {"bs", "hr", "sr", "sh", "cnr", "sl"}, {"id", "ms", "zsm", "jv"}, {"gl", "pt"},
    {"cs", "sk"}, {"hi", "mr", "ne"}, {"ca", "oc"}, {"es", "an", "ast"}, {"fr", "wa", "oc"}, {"af", "nl"},
    {"bg", "mk"}, {"xh", "zu"}, {"ur", "fa", "ps", "ug"}, {"kk", "ky"}, {"it", "sc", "co"},
)  # fmt: skip
#: Letters of the answers of a batch, below which nothing is said about its language.
BATCH_LETTERS = 200
#: Where the language itself is this unlikely, the text is not in it.
UNLIKELY = 0.02


def wrong_script(text: str, target: str, share: float) -> bool:
    """Whether less than ``share`` of the text is of a script of the language; never where that is unknown.

    Shares are by :func:`weight`: a few long Latin names outnumber the characters of a Chinese sentence.

    >>> wrong_script("How are you?", "ru", 0.5), wrong_script("Как дела?", "ru", 0.5)
    (True, False)
    """
    wanted = _scripts(target)
    letters = [letter for letter in text if letter.isalpha()]
    if not wanted or not letters:
        return False
    own = [letter for letter in letters if script(letter) in wanted]
    return weight("".join(own)) < share * weight("".join(letters))


def wrong_language(text: str, target: str, *, letters: int, sure: float) -> str | None:
    """Return the language that a text is in where it is surely another than ``target``.

    Surely: py3langid gives the other at least ``sure`` and ``target``, with those that it takes for it, less than
    .02. Nothing is said of texts shorter than ``letters`` and of languages that it does not know.
    """
    if weight(text) < letters:
        return None
    wanted = {target.split("-", 1)[0]}
    wanted |= {code for alike in _ALIKE if alike & wanted for code in alike}
    ranked = _rank(text)
    if not wanted & {code for code, _ in ranked}:
        return None
    best, share = ranked[0]
    near = sum(part for code, part in ranked if code in wanted)
    return best if best not in wanted and share >= sure and near < UNLIKELY else None


def answers_in(found: Sequence[str], given: Sequence[str], source: str, target: str) -> str | None:
    """Return the language of an engine's answers where they, together, are surely in another than ``target``.

    Nothing is said of few letters, or where the sources, together, do not look like their language either.
    """
    whole = " ".join(found)
    if weight(whole) < BATCH_LETTERS:
        return None
    if wrong_language(" ".join(given), source, letters=0, sure=0.5):
        return None
    return wrong_language(whole, target, letters=0, sure=0.9)


@lru_cache(maxsize=256)
def _scripts(language: str) -> frozenset[str]:
    tag = langcodes.Language.get(language).maximize()
    return frozenset(_SCRIPTS.get(tag.script or "", ()))


def _rank(text: str) -> list[tuple[str, float]]:
    return [(code, float(share)) for label, share in identifier().rank(text) if (code := code_of(label))]
