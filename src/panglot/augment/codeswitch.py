"""Code-switching: replace English words with their translations (arXiv 2305.05295), in texts and in training rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from panglot.augment.lexicons import LONGEST, Lexicon, joined, key, stems, words
from panglot.batching.policy import Batch, uniforms
from panglot.batching.table import TrainingTable, is_english
from panglot.data.collection import Collection
from panglot.data.columns import Bools
from panglot.data.letters import has_dotted_capital

CodeSwitch = Literal["none", "bilingual", "multilingual"]

# Texts on which coverage is estimated before training, and languages that are listed.
_LOOKED_AT, _NAMED = 200, 12


@dataclass(frozen=True)
class Switched:
    """A text after code-switching, with numbers of words of the English text.

    ``covered`` words have a translation in the drawn language, or in any of the languages. ``replaced`` ones are
    counted by language.
    """

    text: str
    words: int
    covered: int
    replaced: Mapping[str, int]


def switch(text: str, lexicon: Lexicon, *, mode: CodeSwitch, share: float, name: tuple[str | int, ...]) -> Switched:
    """Replace each word of an English text with a translation, with probability ``share``.

    From left to right, the longest run of up to three words with an entry counts as one. A word is looked up as it is
    written, then in lower case, then capitalized, then by the words that it may be a form of (:func:`stems`). Words
    without an entry stay, so that the average share of replaced words is ``share`` times the share that is covered.
    Everything between words stays.

    The mode ``bilingual`` draws one language per text. ``multilingual`` draws a language per word, among those that
    have an entry for it. ``none`` changes nothing. ``name`` seeds the random numbers.

    >>> lexicon = Lexicon.of({"fi": {"lake": "järvi", "of course": "tietysti"}})
    >>> switch("Of course lakes freeze.", lexicon, mode="bilingual", share=1, name=(0,))
    Switched(text='Tietysti järvi freeze.', words=4, covered=3, replaced={'fi': 3})
    """
    if mode == "none":
        share = 0.0
    spans = words(text)
    # Two numbers per word, drawn at once, so that a word's draws do not depend on which words before it were replaced.
    chance = uniforms(1 + 2 * len(spans), "code-switch", *name).tolist()
    language = _draw(lexicon.languages, chance[0]) if mode == "bilingual" else None
    pieces: list[str] = []
    done = place = covered = 0
    replaced: Counter[str] = Counter()
    while place < len(spans):
        length, entry, targets = _longest_entry(text, spans, place, lexicon, language)
        covered += length if targets else 0
        if targets and chance[1 + 2 * place] < share:
            chosen = _draw(tuple(targets), chance[2 + 2 * place])
            start, end = spans[place][0], spans[place + length - 1][1]
            pieces += [text[done:start], cased(targets[chosen], key(text[start:end]), entry, chosen)]
            done = end
            replaced[chosen] += length
        place += length
    return Switched("".join([*pieces, text[done:]]), len(spans), covered, dict(sorted(replaced.items())))


def reachable(texts: Iterable[str], lexicon: Lexicon) -> list[str]:
    """Return the translations that switching these texts may bring in, as in the lexicon and capitalized."""
    known = {key(text[start:end]).lower() for text in texts for start, end in words(text)}
    known |= {stem for word in known for stem in stems(word)}
    found: set[str] = set()
    # More than `switch` may write, but never less: every word of an entry must occur, in any order and text.
    for english, targets in lexicon.entries.items():
        if all(english[start:end].lower() in known for start, end in words(english)):
            found.update(targets.values())
            found.update(cased(target, "Xx", "xx", language) for language, target in targets.items())
    return sorted(found)


def _longest_entry(
    text: str, spans: list[tuple[int, int]], place: int, lexicon: Lexicon, language: str | None
) -> tuple[int, str, Mapping[str, str]]:
    """Return the number of words of the longest entry that begins with word ``place``, the entry, and its translations.

    ``spans`` are start and end of the text's words. A word without an entry has no translations. The language None
    means any.
    """
    start, end = spans[place]
    length = 1
    if text[start:end].lower().replace("’", "'") in lexicon.beginnings:
        for before, after in pairwise(spans[place : place + LONGEST]):
            if not joined(text, before, after):
                break
            length += 1
    for size in range(length, 0, -1):
        for candidate in lexicon.keys(key(text[start : spans[place + size - 1][1]])):
            targets = lexicon.entries[candidate]
            if language is None:
                return size, candidate, targets
            if language in targets:
                return size, candidate, {language: targets[language]}
    return 1, "", {}


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


def _draw(choices: tuple[str, ...], chance: float) -> str:
    return choices[int(chance * len(choices))]


@dataclass(frozen=True)
class Coverage:
    """Numbers of English texts and their words, of words with a translation by language, and into any of them."""

    texts: int
    words: int
    covered: dict[str, int]
    anywhere: int

    def share(self, language: str | None = None) -> float:
        """Return the share of words with a translation into a language, or into any."""
        return (self.anywhere if language is None else self.covered[language]) / max(self.words, 1)


def coverage(texts: Iterable[str], lexicon: Lexicon) -> Coverage:
    """Count words as :func:`switch` looks them up.

    On average, code-switching replaces this share of the words times its probability.

    >>> lexicon = Lexicon.of({"fi": {"lake": "järvi"}, "de": {"lake": "See", "of course": "natürlich"}})
    >>> coverage(["Of course lakes freeze."], lexicon)
    Coverage(texts=1, words=4, covered={'de': 3, 'fi': 1}, anywhere=3)
    """
    covered: Counter[str] = Counter(dict.fromkeys(lexicon.languages, 0))
    number = total = anywhere = 0
    for text in texts:
        spans = words(text)
        number, total = number + 1, total + len(spans)
        # A text that no language covers is not looked up again for each of hundreds of languages.
        whole = _covered(text, spans, lexicon, None)
        anywhere += whole
        for language in lexicon.languages if whole else ():
            covered[language] += _covered(text, spans, lexicon, language)
    return Coverage(number, total, dict(covered), anywhere)


def english_texts(collection: Collection, most: int = 1000) -> list[str]:
    """Return at most ``most`` English questions and passages of a collection, spread evenly over it."""
    found: list[str] = []
    for table in (collection.questions, collection.passages):
        rows = zip(table["text"].to_pylist(), table["language"].to_pylist(), strict=True)
        found += [text for text, language in rows if is_english(language)]
    return found[:: max(1, -(-len(found) // most))]


def _covered(text: str, spans: list[tuple[int, int]], lexicon: Lexicon, language: str | None) -> int:
    place = found = 0
    while place < len(spans):
        length, _, targets = _longest_entry(text, spans, place, lexicon, language)
        found += length if targets else 0
        place += length
    return found


@dataclass(frozen=True)
class Switching:
    """How texts are code-switched: a word with a translation in the lexicon is replaced with probability ``share``."""

    lexicon: Lexicon
    mode: CodeSwitch
    share: float
    seed: int

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know before training, one sentence each."""
        missing, languages = self.lexicon.missing, len(self.lexicon.languages)
        if not missing:
            return ()
        total = languages + len(missing)
        return (f"code-switching uses {languages} of {total} languages, as no lexicon has {', '.join(missing)}",)

    def coverage_note(self, collections: Iterable[Collection]) -> str:
        """Return a sentence on how much of the English training text the lexicons cover, estimated on some texts."""
        texts = [text for collection in collections for text in english_texts(collection, _LOOKED_AT)]
        found = coverage(texts, self.lexicon)
        ranked = sorted(found.covered, key=lambda code: (-found.covered[code], code))
        some = ranked if len(ranked) <= _NAMED else [*ranked[: _NAMED - 1], ranked[-1]]
        by_language = ", ".join(f"{code} {found.share(code):.0%}" for code in some)
        return (
            f"code-switching: the lexicons cover {found.share():.0%} of {found.words:,} English words looked at "
            f"({by_language}{'' if some == ranked else f' of {len(ranked)} languages, the best and the last'})"
        )

    def __call__(self, text: str, *name: str | int) -> Switched:
        """Return the text with words replaced; ``name`` (step, source, side, row) seeds the draws."""
        return switch(text, self.lexicon, mode=self.mode, share=self.share, name=(self.seed, *name))


def has_english_rows(source: TrainingTable) -> bool:
    """Return whether any row of a source has a question and a passage in English."""
    english = [x for x, code in enumerate(source.languages) if is_english(code)]
    both = (source.question[:, english] >= 0).any(1) & (source.passage[:, english] >= 0).any(1)
    return source.mono and bool(both.any())


def english_rows(batch: Batch, source: TrainingTable) -> Bools:
    """Mark the rows of a batch whose question and passage are both English, shape ``[B]``.

    Only rows in one language are switched, so rows in two languages and whole groups are not marked.
    """
    if batch.positive is not None:
        return np.zeros(len(batch.questions), bool)
    english = np.array([is_english(code) for code in source.languages])
    return english[batch.question_languages] & english[batch.passage_languages]


def switching_metrics(texts: Iterable[Switched]) -> dict[str, Any]:
    """Return the log's figures of a step's switched texts; nothing if they have no words.

    ``switched_share`` is the share of replaced words. ``switched`` has the number of words, of those with an entry, and
    of those replaced, per language.
    """
    found = total(texts)
    if not found.words:
        return {}
    replaced = dict(sorted(found.replaced.items()))
    numbers = {"words": found.words, "covered": found.covered, "replaced": replaced}
    return {"switched_share": sum(replaced.values()) / found.words, "switched": numbers}


def total(texts: Iterable[Switched]) -> Switched:
    """Return the sums over switched texts, without a text."""
    words = covered = 0
    replaced: Counter[str] = Counter()
    for text in texts:
        words, covered = words + text.words, covered + text.covered
        replaced.update(text.replaced)
    return Switched("", words, covered, replaced)
