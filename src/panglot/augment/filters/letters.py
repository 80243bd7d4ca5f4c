"""What the filters count: letters, words, scripts."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_WORD = re.compile(r"\w+(?:\u200c\w+)*")
# Ranges of scripts that are written without blanks between words.
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_WEIGHTS = (("CJK", 3.0), ("HANGUL", 2.0), ("KATAKANA", 1.5), ("HIRAGANA", 1.5), ("ETHIOPIC", 1.7))

# Their marks are often not written.
_LEFT_OUT = {"COMBINING", "ARABIC", "HEBREW", "VARIATION"}


def words(text: str) -> list[str]:
    """Return the words in lower case; of scripts without blanks, each letter with its marks is one.

    >>> words("Who, me? 谁")
    ['who', 'me', '谁']
    """
    found: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFC", text).casefold()):
        if not _UNSPACED.search(word):
            found.append(word)
            continue
        for letter in word:
            if found and unicodedata.category(letter).startswith("M"):
                found[-1] += letter
            else:
                found.append(letter)
    return found


def weight(text: str) -> float:
    """Return the length of a text in letters and digits of an alphabet: a Chinese character counts as three.

    Signs of vowels count where a script cannot do without them.

    >>> weight("Who?"), weight("谁")
    (3.0, 3.0)
    """
    return sum(_weight(letter) for letter in text)


@lru_cache(maxsize=65536)
def script(letter: str) -> str:
    """Return the first word of a letter's Unicode name, which for most is its script.

    >>> script("é"), script("я"), script("谁")
    ('LATIN', 'CYRILLIC', 'CJK')
    """
    return unicodedata.name(letter, "").split(" ", 1)[0].split("-", 1)[0]


@lru_cache(maxsize=65536)
def _weight(letter: str) -> float:
    if not letter.isalnum() and (unicodedata.category(letter)[0] != "M" or script(letter) in _LEFT_OUT):
        return 0.0
    return next((value for name, value in _WEIGHTS if script(letter) == name), 1.0)
