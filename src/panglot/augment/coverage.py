"""How much of English text a lexicon covers: known before it is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from panglot.augment.codeswitch import longest_entry
from panglot.augment.lexicons import Lexicon
from panglot.augment.words import words
from panglot.batching.streams import is_english
from panglot.corpus.collection import Collection


@dataclass(frozen=True)
class Coverage:
    """The words of English texts that a lexicon translates.

    Attributes:
        texts: Number of texts.
        words: Their words.
        covered: By language, those of them with a translation.
        anywhere: Those with a translation into at least one language.
    """

    texts: int
    words: int
    covered: dict[str, int]
    anywhere: int

    def share(self, language: str | None = None) -> float:
        """Return the share of the words that a language, or any, covers."""
        return (self.anywhere if language is None else self.covered[language]) / max(self.words, 1)


def coverage(texts: Iterable[str], lexicon: Lexicon) -> Coverage:
    """Count words as code-switching does: in runs of up to three, as written, and by what they are forms of.

    The share of the words that code-switching replaces is on average its probability times this share.

    >>> lexicon = Lexicon.of({"fi": {"lake": "järvi"}, "de": {"lake": "See", "of course": "natürlich"}})
    >>> coverage(["Of course lakes freeze."], lexicon)
    Coverage(texts=1, words=4, covered={'de': 3, 'fi': 1}, anywhere=3)
    """
    covered: Counter[str] = Counter(dict.fromkeys(lexicon.languages, 0))
    number = total = anywhere = 0
    for text in texts:
        spans = words(text)
        number, total = number + 1, total + len(spans)
        whole = _covered(text, spans, lexicon, None)
        anywhere += whole
        for language in lexicon.languages if whole else ():
            covered[language] += _covered(text, spans, lexicon, language)
    return Coverage(number, total, dict(covered), anywhere)


def english_texts(collection: Collection, most: int = 1000) -> list[str]:
    """Return English questions and passages of a collection, at most so many, spread evenly over it."""
    found: list[str] = []
    for table in (collection.questions, collection.passages):
        for text, language in zip(table["text"].to_pylist(), table["language"].to_pylist(), strict=True):
            if is_english(language):
                found.append(text)
    step = max(1, -(-len(found) // most))
    return found[::step]


def _covered(text: str, spans: list[tuple[int, int]], lexicon: Lexicon, language: str | None) -> int:
    place = found = 0
    while place < len(spans):
        length, _, targets = longest_entry(text, spans, place, lexicon, language)
        found += length if targets else 0
        place += length
    return found
