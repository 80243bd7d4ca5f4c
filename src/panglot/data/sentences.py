"""Sentences of a text in any language, and other places at which it can be cut, as slices of it."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from itertools import accumulate
from math import ceil

from panglot.data.language import has_sentence_ends
from panglot.data.letters import LONE_SURROGATE, unspaced_letters

# A blank in Thai may follow any phrase. Shorter pieces would be fragments that answer nothing.
_SHORTEST = 60
# In as few pieces as possible, a text would be cut wherever they are full. This leaves a choice of places.
_FILLED = 0.8


@lru_cache(maxsize=512)
def spans(text: str, language: str) -> tuple[tuple[int, int], ...]:
    """Return ``(start, end)`` of every sentence in code points. Together they cover everything but blanks.

    ``sentencex`` finds the sentences. Thai, Lao, Khmer and Burmese have no sentence ends, so they are cut at blanks
    into stretches of at least 60 characters.

    >>> spans("Who? Me.", "en")
    ((0, 4), (5, 8))
    """
    if not text.strip():
        return ()
    found = _by_rules(text, language.split("-", 1)[0]) if has_sentence_ends(language) else _at_blanks(text)
    pieces = ((start, text[start:end]) for start, end in found)
    return tuple((start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip()))
                 for start, piece in pieces if piece.strip())  # fmt: skip


def sentence_at(text: str, language: str, offset: int) -> tuple[int, int]:
    """Return ``(start, end)`` of the sentence that holds the code point at ``offset``.

    A blank between sentences belongs to the sentence before it.
    """
    found = spans(text, language)
    if not found:
        return 0, len(text)
    return found[max(bisect_right(found, offset, key=lambda span: span[0]) - 1, 0)]


def _by_rules(text: str, language: str) -> list[tuple[int, int]]:
    import sentencex

    boundaries = sentencex.get_sentence_boundaries  # pyright: ignore[reportAttributeAccessIssue]
    # A library in Rust takes no half of a surrogate pair.
    whole = LONE_SURROGATE.sub("\ufffd", text)
    return [(found["start_index"], found["end_index"]) for found in boundaries(language, whole)]


def _at_blanks(text: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    start = 0
    for place, letter in enumerate(text):
        if letter.isspace() and (letter == "\n" or len(text[start:place].strip()) >= _SHORTEST):
            found.append((start, place + 1))
            start = place + 1
    found.append((start, len(text)))
    return found


def pieces_needed(tokens: int, room: int) -> int:
    """Return into how many pieces of at most ``room`` tokens :func:`cut` cuts a text of so many tokens.

    >>> pieces_needed(100, 100), pieces_needed(101, 100), pieces_needed(161, 100)
    (1, 2, 3)
    """
    return ceil(tokens / (room * _FILLED)) if tokens > room else 1


def cut(text: str, language: str, starts: Sequence[int], room: int, number: int = 1) -> list[tuple[int, int]]:
    """Return begin and end of pieces of a text, which together are the text.

    A piece ends as near as possible to where pieces of equal length would, at the best kind of place: the end of a
    paragraph, of a sentence, of a word, of a character as a reader sees it.

    Args:
        text: The text. A line end ends a paragraph.
        language: Its canonical code.
        starts: Where each token begins, in ascending order.
        room: The largest number of tokens of a piece. Only a single character may have more.
        number: The least number of pieces. There are fewer if there are not so many tokens.

    >>> text = "One. Two. Three."
    >>> [text[begin:end] for begin, end in cut(text, "en", [0, 3, 5, 8, 10, 15], room=4)]
    ['One. Two. ', 'Three.']
    """
    ends = _Ends(text, language, starts)
    found: list[tuple[int, int]] = []
    begin = first = 0
    number = max(number, pieces_needed(len(starts), room))
    while (left := len(starts) - first) > 0:
        wanted = min(max(number - len(found), ceil(left / room)), left)
        if wanted == 1:
            break
        aim = left / wanted
        # Not so few that the rest needs more pieces than are wanted.
        tokens = max(ceil(aim / 2), left - (wanted - 1) * room), round(aim), min(ceil(aim * 1.5), room)
        end = ends.best(begin, *(_place(starts, first + each, len(text)) for each in tokens))
        if end >= len(text):
            break
        found.append((begin, end))
        begin, first = end, bisect_left(starts, end)
    return [*found, (begin, len(text))]


def _place(starts: Sequence[int], token: int, end: int) -> int:
    return starts[token] if token < len(starts) else end


class _Ends:
    """The places of a text at which it can be cut, by kind, each in ascending order."""

    def __init__(self, text: str, language: str, starts: Sequence[int]) -> None:
        self._text, self._language, self._starts = text, language, starts

    def best(self, begin: int, least: int, aim: int, most: int) -> int:
        """Return the best place after ``begin`` from ``least`` to ``most``, near ``aim``."""
        for kind in ("_paragraphs", "_sentences", "_words", "_characters"):
            ends: list[int] = getattr(self, kind)
            some = ends[bisect_left(ends, max(least, begin + 1)) : bisect_right(ends, most)]
            if some:
                return min(some, key=lambda end: abs(end - aim))
        # A character with more tokens than there is room for stays whole.
        return self._characters[bisect_right(self._characters, begin)]

    @cached_property
    def _characters(self) -> list[int]:
        return graphemes(self._text)

    @cached_property
    def _whole(self) -> frozenset[int]:
        return frozenset(self._characters)

    def _between_characters(self, ends: Iterable[int]) -> list[int]:
        return sorted({*ends} & self._whole)

    @cached_property
    def _paragraphs(self) -> list[int]:
        return self._between_characters(match.end() for match in re.finditer(r"\n\s*", self._text))

    @cached_property
    def _sentences(self) -> list[int]:
        return self._between_characters(begin for begin, _ in spans(self._text, self._language))

    @cached_property
    def _words(self) -> list[int]:
        blanks = (match.end() for match in re.finditer(r"\s+", self._text))
        # Between letters of scripts without blanks, words are looked up, or else are what the tokenizer takes as one.
        known = word_ends(self._text, self._language) or self._starts
        return self._between_characters((*blanks, *(end for end in known if is_inside_run(self._text, end))))


def graphemes(text: str) -> list[int]:
    r"""Return where the characters of a text end, as a reader sees them (Unicode's extended grapheme clusters).

    >>> graphemes("กำ\r\n👩🏽‍🚀")
    [2, 4, 8]
    """
    import regex

    return [match.end() for match in regex.finditer(r"\X", text)]


def word_ends(text: str, language: str) -> list[int]:
    """Return where words end by ICU's dictionaries, or nothing without ICU."""
    try:
        from icu4py.breakers import WordBreaker
    except ImportError:
        return []
    # ICU takes no half of a surrogate pair.
    plain = LONE_SURROGATE.sub("\ufffd", text)
    return list(accumulate(len(word) for word in WordBreaker(plain, language or "en")))


def is_inside_run(text: str, end: int) -> bool:
    """Return whether letters of scripts without blanks between words are on both sides of a place."""
    letter = unspaced_letters()
    return 0 < end < len(text) and bool(letter.match(text[end - 1]) and letter.match(text[end]))
