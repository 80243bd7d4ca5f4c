"""English words: their place in a text, the words they may be forms of, and their case."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

from panglot.data.letters import has_dotted_capital

#: Maximum number of words in an entry.
LONGEST = 3

_LETTER = r"(?:[^\W\d_]|[\u0300-\u036f])"
# A run of letters, with apostrophes inside. A run next to a digit or an underscore is part of a code.
_WORD = re.compile(rf"(?<!\w){_LETTER}+(?:['’]{_LETTER}+)*(?!\w)")
# Shorter stems match too much: "as" is not the plural of "a".
_SHORTEST_STEM = 3


def words(text: str) -> list[tuple[int, int]]:
    """Return the start and end of each word.

    >>> [text[a:b] for text in ["It's the 3rd well-known B2B_x, isn’t it?"] for a, b in words(text)]
    ["It's", 'the', 'well', 'known', 'isn’t', 'it']
    """
    return [match.span() for match in _WORD.finditer(text)]


def key(text: str) -> str:
    """Return words with one spelling of apostrophes and composed letters.

    >>> key("isn’t")
    "isn't"
    """
    return unicodedata.normalize("NFC", text).replace("’", "'")


def is_entry(english: str) -> bool:
    """Return whether text of a lexicon is up to three words, with one blank or hyphen between two.

    >>> [is_entry(text) for text in ("of course", "forty-two", "Ga", "Are you still there?", "as much as possible")]
    [True, True, True, False, False]
    """
    spans = words(english)
    return (
        0 < len(spans) <= LONGEST
        and (spans[0][0], spans[-1][1]) == (0, len(english))
        and all(joined(english, a, b) for a, b in pairwise(spans))
    )


def joined(text: str, first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Return whether neighbouring words can be part of one entry: only a blank or a hyphen is between them."""
    return text[first[1] : second[0]] in {" ", "-"}


def stems(word: str) -> Iterator[str]:
    """Yield the words whose genitive, plural or verb form a lower-case word may be, the likeliest first.

    >>> [list(stems(word)) for word in ("city's", "cities", "used", "stopped", "making", "this")]
    [['city'], ['city', 'citie', 'citi'], ['use'], ['stoppe', 'stopp', 'stop'], ['make', 'mak'], ['thi']]
    """
    found: tuple[str, ...] = ()
    if word.endswith("'s"):
        found = (word[:-2],)
    elif word.endswith("s") and not word.endswith("ss"):
        found = (*([word[:-3] + "y"] if word.endswith("ies") else []), word[:-1])
        found += (word[:-2],) if word.endswith("es") else ()
    elif word.endswith("ied"):
        found = (word[:-3] + "y",)
    elif word.endswith(("ed", "ing")):
        root = word[: -2 if word.endswith("ed") else -3]
        # With the e first, because rating is more often from rate than rat, and used from use than us.
        found = (root + "e", root, *([root[:-1]] if root[-1:] == root[-2:-1] else []))
    yield from (stem for stem in found if len(stem) >= _SHORTEST_STEM)


def cased(target: str, source: str, entry: str, language: str) -> str:
    """Return a translation with the case of the English text that it replaces.

    A capital at the beginning and capitals throughout are carried over if the script has them. Otherwise the
    translation keeps its case, as German nouns do, except for a capital that it took over from the entry, which has the
    English words in the lexicon.

    >>> [cased("ja", text, "and", "fi") for text in ("and", "And", "AND")], cased("Ei", "no", "No", "fi")
    (['ja', 'Ja', 'JA'], 'ei')
    >>> cased("iyi", "Good", "good", "tr"), cased("და", "AND", "and", "ka"), cased("minä", "I", "I", "fi")
    ('İyi', 'და', 'minä')
    """
    if source == entry:
        return target
    dotted = has_dotted_capital(language)
    letters = [letter for letter in source if letter.isalpha()]
    if len(letters) > 1 and all(letter.isupper() for letter in letters):
        return "".join(_capital(letter, dotted=dotted) for letter in target)
    if source[0].isupper():
        return _capital(target[0], dotted=dotted) + target[1:]
    return target[0].lower() + target[1:] if entry[0].isupper() else target


def _capital(letter: str, *, dotted: bool) -> str:
    # If the two differ, as in Georgian, plain writing has no capitals.
    upper = "İ" if dotted and letter == "i" else letter.upper()
    return upper if upper == letter.title() or dotted else letter
