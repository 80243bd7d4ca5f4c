"""Are the source's names in the translation?"""

from __future__ import annotations

import re
import unicodedata

from panglot.augment.filters.letters import script

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_START = 3
_FEWEST = 3
# Common nouns have capitals there.
_CAPITALS = {"de", "lb", "nds"}


def names(text: str, language: str) -> frozenset[str]:
    """Return words that are capitalised within a sentence of a cased script, plain and in lower case.

    None in German, and none where most words have capitals, as in titles.

    >>> sorted(names("Did Ólafur meet Ann in the old Paris? Yes.", "en"))
    ['ann', 'olafur', 'paris']
    """
    if language.split("-", 1)[0] in _CAPITALS:
        return frozenset()
    found = list(_WORD.finditer(text))
    inside = [word for word in found if not _begins(text, word.start())]
    capitals = [word[0] for word in inside if word[0][:1].isupper() and len(word[0]) > _START - 1]
    if 2 * len(capitals) > max(len(inside), 1) and len(inside) > _FEWEST:
        return frozenset()
    return frozenset(_plain(word) for word in capitals)


def names_lost(source: str, translation: str, language: str) -> float:
    """Return the share of the source's names of which no word of the translation has the first three letters.

    0 with fewer than three names, and where the translation is in another script, which writes names its own way.

    >>> names_lost("Did Ann meet Bob and Carl there?", "¿Ana vio a Roberto allí?", "en")
    1.0
    """
    wanted = names(source, language)
    if len(wanted) < _FEWEST:
        return 0.0
    letters = [letter for letter in translation if letter.isalpha()]
    first = next(letter for letter in source if letter.isalpha())
    same = bool(letters) and sum(script(c) == script(first) for c in letters) > len(letters) / 2
    if not same:
        return 0.0
    starts = {_plain(word)[:_START] for word in _WORD.findall(translation)}
    return sum(name[:_START] not in starts for name in wanted) / len(wanted)


def _begins(text: str, place: int) -> bool:
    before = text[:place].rstrip(" \"'“”‘’«»([¿¡—–-")
    return not before or before[-1] in ".?!:;\n…"


def _plain(word: str) -> str:
    apart = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))
