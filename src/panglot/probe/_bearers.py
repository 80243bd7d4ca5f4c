"""What of a question bears its meaning and must survive a change: numbers and names."""

from __future__ import annotations

import re
import unicodedata

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NAME = re.compile(r"\b[A-Z][\w'’-]*(?:\s+(?:of\s+the\s+|of\s+|de\s+|von\s+|van\s+)?[A-Z0-9][\w'’-]*)*")
#: Capitalised without being a name: what questions begin with.
_OPENING = (
    "A According After An Along Approximately Are As At Be Before Besides By Can Could Did Do Does During Each For "
    "From Give Had Has Have How I If In Is It List Most Name Of On One Other Prior Since The There This To Under Was "
    "Were What When Where Which Who Whom Whose Why With Would"
)
_OPENERS = frozenset(_OPENING.split())


def ascii_digits(text: str) -> str:
    """Return ``text`` with the digits of every script as 0 to 9.

    >>> ascii_digits("في ١٩٨١")
    'في 1981'
    """
    return "".join(str(unicodedata.digit(mark)) if mark.isdecimal() else mark for mark in text)


def numbers(text: str) -> list[str]:
    """Return the numbers of a text, in order, in the digits 0 to 9.

    >>> numbers("In 1,200 or ๑๒ ways")
    ['1,200', '12']
    """
    return _NUMBER.findall(ascii_digits(text))


def names(english: str) -> list[str]:
    """Return what is capitalised in an English question beside its first word: names, as good as always.

    >>> names("What did Queen Elizabeth II open in Newcastle?")
    ['Queen Elizabeth II', 'Newcastle']
    """
    found: list[str] = []
    for match in _NAME.finditer(english):
        words = match[0].split()
        while words and words[0] in _OPENERS:
            words = words[1:]
        if words and not (len(words) == 1 and len(words[0]) < 2):
            found.append(" ".join(words))
    return list(dict.fromkeys(found))


def shared(english: str, other: str) -> list[str]:
    """Return what both versions write alike: numbers, then names, longest first."""
    folded = other.casefold()
    both = [name for name in names(english) if name.casefold() in folded]
    rest = _NUMBER.findall(other)
    years = [number for number in _NUMBER.findall(english) if number in rest]
    return [*dict.fromkeys(years), *sorted(both, key=lambda name: (-len(name), name))]
