"""What a question is sorted by when weaknesses are reported."""

from __future__ import annotations

import re
from functools import lru_cache

import langcodes

#: Upper ends of the buckets, the last of which is open.
LENGTHS = (40, 60, 80)
FERTILITIES = (1.25, 1.5, 1.75, 2.0)

_QUESTION_WORDS = {
    "what": "what", "who": "who", "whom": "who", "whose": "who", "when": "when", "where": "where",
    "which": "which", "why": "why", "how": "how",
}  # fmt: skip
_AMOUNT = ("many", "much")


@lru_cache(maxsize=1024)
def script(language: str) -> str:
    """Return the English name of the script in which a language is most likely written.

    >>> script("th"), script("sr"), script("sr-Latn"), script("zh-Hant")
    ('Thai', 'Cyrillic', 'Latin', 'Han')
    """
    found = langcodes.Language.get(language).maximize().script or "Zyyy"
    found = "Hani" if found in {"Hans", "Hant"} else found
    try:
        return langcodes.Language.make(script=found).script_name()
    except (ImportError, LookupError):  # langcodes keeps its names in a package of their own
        return found


def length(english: str) -> str:
    """Return the bucket of the English version's length in characters: the same for all its translations.

    >>> length("Who?"), length("x" * 41), length("x" * 99)
    ('40 or fewer', '41 to 60', 'above 80')
    """
    low = 0
    for high in LENGTHS:
        if len(english) <= high:
            return f"{low + 1} to {high}" if low else f"{high} or fewer"
        low = high
    return f"above {LENGTHS[-1]}"


def question_word(english: str) -> str:
    """Return the first question word of the English version, wherever it stands; ``how many`` is one.

    >>> question_word("In which year?"), question_word("Of how much use is it?"), question_word("Name one.")
    ('which', 'how many', 'none')
    """
    words = re.findall(r"[a-z]+", english.lower())
    for place, word in enumerate(words):
        if found := _QUESTION_WORDS.get(word):
            many = found == "how" and place + 1 < len(words) and words[place + 1] in _AMOUNT
            return "how many" if many else found
    return "none"


def fertility(tokens: int, english: str) -> str:
    """Return the bucket of the tokens that a version takes for each word of the English one.

    Words are counted in English because Thai, Chinese or Japanese do not mark theirs.

    >>> fertility(5, "How many are there?"), fertility(30, "How many are there?")
    ('1.25 to 1.5', '2 or more')
    """
    ratio = tokens / max(1, len(english.split()))
    low: float = 0
    for high in FERTILITIES:
        if ratio < high:
            return f"{low:g} to {high:g}" if low else f"below {high:g}"
        low = high
    return f"{low:g} or more"


def order(kind: str) -> list[str]:
    """Return the buckets of ``length`` or ``fertility`` from the lowest; nothing for other kinds."""
    if kind == "length":
        return [length("x" * size) for size in (1, *(end + 1 for end in LENGTHS))]
    if kind == "tokens per word":
        return [fertility(int(100 * size), "x " * 100) for size in (1, *FERTILITIES)]
    return []
