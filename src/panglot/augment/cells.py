"""What a lexicon's cell says, without glosses, alternatives, transliterations and markup."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_BRACKETS = re.compile(r"\s*[(\[（][^)\]）]*[)\]）]\s*")
_ALTERNATIVES = re.compile(r"\s+or\s+|[,،、，/;؛]")
_ENDS = ' \t.?!¿¡:"“”„«»。？！'
# Digits, markup, sentences, brackets that have no other half, gaps for arguments.
_NO_WORD = re.compile(r"[\d{}<>|=*+@#$%^_~\\\"“”„«»&:?¿!¡.…()\[\]（）]")
_VOCALISED = re.compile("[\u064b-\u0652\u0670\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7]")
# Their plain text has no vowel marks.
_PLAIN = {"aeb", "apc", "apd", "ar", "arz", "ayl", "fa", "he", "ur"}
_MORE_WORDS = 3


def cleaned(english: str, target: str, language: str) -> str | None:
    """Return the translation in a cell, or None where there is none that could stand in a text.

    Glosses in brackets go. Of alternatives (commas, slashes, "or") for one English word the first is taken; for
    several words a comma is part of a phrase, and such cells are left out. Latin transliterations beside another
    script go, as do the vowel marks of Arabic, Persian, Urdu and Hebrew. Cells with digits, markup, affixes, a
    gap (…) between words, or four words more than the English are left out.

    >>> [cleaned("area", cell, "lt") for cell in ("šaka (mokslo)", "plotas, sritis", "zona.", "-a-", "{NS}", "?")]
    ['šaka', 'plotas', 'zona', None, None, None]
    >>> cleaned("comparison", "مقایسه moqâyese/", "fa"), cleaned("sky", "السَّمَاء", "ar")
    ('مقایسه', 'السماء')
    """
    text = _BRACKETS.sub(" ", unicodedata.normalize("NFC", target)).strip(_ENDS)
    single = not re.search(r"[\s-]", english)
    if len(parts := _ALTERNATIVES.split(text)) > 1:
        if not single:
            return None
        text = next((part for part in parts if part.strip(_ENDS)), "").strip(_ENDS)
    words = text.split()
    if any(_has_letter(word) and not any(_has_latin(letter) for letter in word) for word in words):
        # A word in capitals is an abbreviation, such as DVD.
        words = [word for word in words if not is_latin(word) or word.isupper() or not _has_letter(word)]
    text = " ".join(words)
    if language.partition("-")[0] in _PLAIN:
        text = _VOCALISED.sub("", text)
    if not _has_letter(text) or _NO_WORD.search(text) or text[0] in "-–—" or text[-1] in "-–—":
        return None
    return text if len(words) <= len(re.split(r"[\s-]", english)) + _MORE_WORDS else None


def is_latin(text: str) -> bool:
    """Whether all letters are Latin ones.

    >>> is_latin("nɔ̱ŋ ’a"), is_latin("X射线"), is_latin("...")
    (True, False, True)
    """
    return all(_latin(letter) for letter in text)


@cache
def _latin(letter: str) -> bool:
    return not letter.isalpha() or unicodedata.name(letter, "").startswith(("LATIN", "MODIFIER LETTER"))


def _has_latin(letter: str) -> bool:
    return letter.isalpha() and _latin(letter)


def _has_letter(text: str) -> bool:
    return any(letter.isalpha() for letter in text)
