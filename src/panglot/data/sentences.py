"""Sentences of a text in any language, as slices of it."""

from __future__ import annotations

import bisect
import re
from functools import lru_cache

from panglot.data.language import has_sentence_ends

# A blank in Thai may follow any phrase. Shorter pieces would be fragments that answer nothing.
_SHORTEST = 60
_SURROGATE = re.compile("[\ud800-\udfff]")


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
    return tuple(_trimmed(text, start, end) for start, end in found if text[start:end].strip())


def sentence_at(text: str, language: str, offset: int) -> tuple[int, int]:
    """Return ``(start, end)`` of the sentence that holds the code point at ``offset``.

    A blank between sentences belongs to the sentence before it.
    """
    found = spans(text, language)
    if not found:
        return 0, len(text)
    return found[max(bisect.bisect_right(found, offset, key=lambda span: span[0]) - 1, 0)]


def _by_rules(text: str, language: str) -> list[tuple[int, int]]:
    import sentencex

    boundaries = sentencex.get_sentence_boundaries  # pyright: ignore[reportAttributeAccessIssue]
    # A library in Rust takes no half of a surrogate pair.
    whole = _SURROGATE.sub("\ufffd", text)
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


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())
