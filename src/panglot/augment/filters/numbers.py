"""Are the source's numbers in the translation?"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from itertools import pairwise

_NUMBER = re.compile(r"\d+(?:[.,'’\u00a0\u202f\u066b\u066c ]\d{3}(?!\d)|[.,\u066b]\d+)*")
_ROMAN = re.compile(r"\bX{1,3}(?:IX|IV|V?I{0,3})\b")
# 20,000 is 2万 there.
_MYRIADS = {"zh", "ja", "ko", "yue", "wuu"}
# And 2万 is 20,000 elsewhere, 10月 is October; the same with thousands in Persian.
_TIMES = re.compile(r"\s?(?:[百千万億兆萬亿十月]|[백천만억조월]|هزار|میلیون|میلیارد)")


def numbers(text: str) -> Counter[str]:
    """Return the numbers of two digits or more as ASCII digits, without separators.

    >>> sorted(numbers("1,000 of ٣٫١٤ in 1999, 3"))
    ['1000', '1999', '314']
    """
    found = ("".join(str(unicodedata.decimal(c)) for c in run if c.isdecimal()) for run in _NUMBER.findall(text))
    return Counter(number for number in found if len(number) > 1)


def _plain(text: str) -> str:
    """Return the text without the numbers that another language writes otherwise."""
    return _NUMBER.sub(lambda found: "" if _TIMES.match(text, found.end()) else found[0], text)


def numbers_lost(source: str, translation: str, target: str) -> float:
    """Return the share of the source's numbers that the translation has not; 0 where there are none.

    A single digit may be written as a word, and a number up to 39 in Roman, as centuries often are. In Chinese,
    Japanese and Korean, round numbers from ten thousand on are not looked for, nor anywhere what is written as a
    number of thousands, or of a month, there.

    >>> numbers_lost("From 1914 to 1918", "De 1914 a 1981", "es"), numbers_lost("19th century", "siglo XIX", "es")
    (0.5, 0.0)
    """
    wanted = numbers(_plain(source))
    if target.split("-", 1)[0] in _MYRIADS:
        wanted = Counter({number: count for number, count in wanted.items() if not _round(number)})
    there = numbers(translation) + Counter(str(_roman(word)) for word in _ROMAN.findall(translation))
    lost = wanted - there
    return lost.total() / wanted.total() if wanted else 0.0


def _roman(numeral: str) -> int:
    values = [{"X": 10, "V": 5, "I": 1}[letter] for letter in numeral]
    return sum(-a if a < b else a for a, b in pairwise([*values, 0]))


def _round(number: str) -> bool:
    return len(number) > 4 and number.endswith("000")
