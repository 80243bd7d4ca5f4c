"""Texts become sentences and sentences texts, with the blanks between them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from panglot.data.scripts import joins_sentences
from panglot.data.sentences import spans

#: Letters of a sentence, at most: engines cut the rest off, or take minutes for it.
LONGEST = 600
_BREAKS = re.compile(r"[\s,;:،؛，、；：।]")


@dataclass(frozen=True)
class Pieces:
    """A text, cut.

    Attributes:
        sentences: Each sentence with a letter or a digit, with one blank in place of every run of white space.
        between: What stands before the first, between two, and after the last: one more than the sentences.
    """

    sentences: tuple[str, ...]
    between: tuple[str, ...]


def cut(text: str, language: str) -> Pieces:
    r"""Cut a text into sentences as its script asks for it; a line break always ends one.

    Longer ones than :data:`LONGEST` are cut at the last blank or comma before, or right there.

    >>> cut("Who?  Me.\n", "en")
    Pieces(sentences=('Who?', 'Me.'), between=('', '  ', '\n'))
    """
    sentences: list[str] = []
    between: list[str] = []
    end = 0
    for start, stop in _lines(text, language):
        # Controls, and halves of surrogate pairs, would end the stream of a subprocess; joiners are letters' business.
        letters = (c for c in text[start:stop] if c.isspace() or unicodedata.category(c) not in ("Cc", "Cs"))
        sentence = " ".join("".join(letters).split())
        # Engines make words out of signs alone: those stay as they are.
        if any(map(str.isalnum, sentence)):
            sentences.append(sentence)
            between.append(text[end:start])
            end = stop
    between.append(text[end:])
    return Pieces(tuple(sentences), tuple(between))


def joined(pieces: Pieces, translations: tuple[str, ...] | list[str], target: str) -> str:
    """Put translations in the place of the sentences.

    Line breaks stay. A blank between sentences goes where the target's script writes none, and is put where the
    source's script wrote none.

    >>> joined(cut("Wer? Ich.", "de"), ["Who?", "Me."], "en"), joined(cut("Wer? Ich.", "de"), ["谁?", "我。"], "zh")
    ('Who? Me.', '谁?我。')
    """
    unspaced = joins_sentences(target)
    parts = [pieces.between[0]]
    last = len(translations) - 1
    for place, (translation, gap) in enumerate(zip(translations, pieces.between[1:], strict=True)):
        parts.append(translation)
        if place < last and not gap:
            gap = "" if unspaced else " "  # noqa: PLW2901
        elif place < last and unspaced and not gap.strip(" "):
            gap = ""  # noqa: PLW2901
        parts.append(gap)
    return "".join(parts)


def _lines(text: str, language: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    start = 0
    for line in text.splitlines(keepends=True):
        found.extend(
            (start + a, start + b) for begin, end in spans(line, language) for a, b in _short(line, begin, end)
        )
        start += len(line)
    return found


def _short(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > LONGEST:
        places = [found.end() for found in _BREAKS.finditer(text, start + LONGEST // 2, start + LONGEST)]
        stop = places[-1] if places else start + LONGEST
        piece = text[start:stop]
        yield start, start + len(piece.rstrip())
        start = stop + len(text[stop:end]) - len(text[stop:end].lstrip())
    yield start, end
