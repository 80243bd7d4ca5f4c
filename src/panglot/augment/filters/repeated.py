"""Does the translation say the same again and again?"""

from __future__ import annotations

import re

# The shortest stretch of up to forty letters, with a letter in it, that follows on itself.
_AGAIN = re.compile(r"(?=[^\W\d_])(.{1,40}?)\1+", re.DOTALL)


def repetition(text: str) -> int:
    """Return how often the most repeated stretch of up to forty letters follows on itself; 1: never.

    Words and letters of scripts without blanks count alike; a letter by itself is none, nor are digits and marks.

    >>> repetition("the dog the dog the dog"), repetition("我是我是我是"), repetition("10000000 ...... aaaa")
    (3, 3, 1)
    """
    flat = " ".join(text.split()) + " "
    best = 1
    for found in _AGAIN.finditer(flat):
        stretch = found[1]
        if len(set(stretch)) > 1:
            best = max(best, len(found[0]) // len(stretch))
    return best
