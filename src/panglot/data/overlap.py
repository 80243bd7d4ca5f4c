"""Find texts that training sets share with test sets, and exclude them from training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.data.arrow import walk
from panglot.data.cache import cached_subset
from panglot.data.collection import Collection
from panglot.data.grams import Matches, Texts, grams
from panglot.data.keys import Ints32, Keys, concatenated, first_of, keys, number_values

THRESHOLD = 0.5
_EXAMPLES = 3


@dataclass(frozen=True)
class Shared:
    """The texts of a training set that one test set has too.

    Attributes:
        test: Name of the test set.
        taken: Rows whose texts share at least the threshold, rising. Passages are counted on after the questions.
        equal: Distinct texts among them that are equal to a text of the test set.
        near: Distinct texts among them that are not.
        highest: The largest share below the threshold, 0 to 1.
        examples: The first few pairs at or above the threshold, text of the training set first.
        nearest: The pair with the share ``highest``, or None if nothing below the threshold is shared.
    """

    test: str
    taken: Ints32
    equal: int
    near: int
    highest: float
    examples: tuple[tuple[str, str], ...]
    nearest: tuple[str, str] | None


def find_shared(
    training: Collection, tests: Sequence[tuple[str, Texts]], *, threshold: float = THRESHOLD
) -> tuple[Shared, ...]:
    """Return what the texts of a training set share with each test set.

    Memory holds the n-grams of the test sets, and of the training set only what is at or above the threshold: 4 bytes
    per row, 12 per text. The rest passes by, so that memory does not grow with the training set.

    Raises:
        PanglotError: The threshold is not between 0 and 1.
    """
    if not 0 < threshold <= 1:
        problem = f"`threshold` must be above 0 and at most 1, got {threshold}"
        raise PanglotError(problem, field="threshold", hint="give a number such as 0.5")
    findings = [_Finding(name, known, threshold) for name, known in tests]
    start = 0
    for table in (training.questions, training.passages) if tests else ():
        for batch in walk(table, ["text"]):
            whole = batch.column(0).dictionary_encode()
            piece = _Piece(whole.dictionary, whole.dictionary.to_pylist(), whole.indices.to_numpy(), start)
            for first, part in grams(piece.texts):
                for finding in findings:
                    finding.add(piece, finding.known.found_in(first, part))
            start += batch.num_rows
    return tuple(finding.result() for finding in findings)


@dataclass(frozen=True)
class _Piece:
    """Some rows: their distinct texts, as a column and as a list, and which of them each row has."""

    column: pa.StringArray
    texts: list[str]
    text: Ints32
    start: int

    def rows(self, texts: npt.NDArray[np.int64]) -> Ints32:
        """Return the rows that have one of some texts."""
        marked = np.zeros(len(self.texts), bool)
        marked[texts] = True
        return np.flatnonzero(marked[self.text]).astype(np.int32) + np.int32(self.start)

    def keys(self, texts: npt.NDArray[np.int64]) -> Keys:
        return keys(self.column.take(pa.array(texts)))


class _Finding:
    """What was found of one test set so far."""

    def __init__(self, name: str, known: Texts, threshold: float) -> None:
        self.known = known
        self._name, self._threshold = name, threshold
        self._rows: list[Ints32] = []
        self._taken: list[Keys] = []
        self._equal: list[Keys] = []
        self._examples: list[tuple[str, str]] = []
        self._highest = 0.0
        self._nearest: tuple[str, str] | None = None

    def add(self, piece: _Piece, matches: Matches) -> None:
        """Add what some texts of a piece share with the test set."""
        if not len(matches.share):
            return
        taken = matches.share >= self._threshold
        below = np.where(taken, 0.0, matches.share)
        nearest = int(below.argmax())
        if below[nearest] > self._highest:
            self._highest = float(below[nearest])
            self._nearest = self._pair(piece, matches, nearest)
        if not taken.any():
            return
        texts = np.unique(matches.first[taken])
        self._rows.append(piece.rows(texts))
        self._taken.append(piece.keys(texts))
        self._equal.append(piece.keys(np.unique(matches.first[matches.equal])))
        if len(self._examples) < _EXAMPLES:
            # A text that came before had all its pairs then, and has no new ones.
            seen = {mine for mine, _ in self._examples}
            pairs = (self._pair(piece, matches, at) for at in np.flatnonzero(taken)[: 2 * _EXAMPLES].tolist())
            self._examples += [pair for pair in pairs if pair[0] not in seen]
            del self._examples[_EXAMPLES:]

    def result(self) -> Shared:
        rows = np.sort(np.concatenate([np.empty(0, np.int32), *self._rows]))
        taken, equal = _distinct(self._taken), _distinct(self._equal)
        return Shared(self._name, rows, equal, taken - equal, self._highest, tuple(self._examples), self._nearest)

    def _pair(self, piece: _Piece, matches: Matches, at: int) -> tuple[str, str]:
        return piece.texts[int(matches.first[at])], self.known.texts[int(matches.second[at])]


def _distinct(found: Sequence[Keys]) -> int:
    first = first_of(concatenated(found))
    return int(np.count_nonzero(first == np.arange(len(first), dtype=np.int32)))


Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Overlap:
    """Count what a training set shares with one test set.

    Attributes:
        training: Name of the training set.
        test: Name of the test set.
        equal: Distinct texts of the training set that are equal to a text of the test set.
        near: Distinct texts of the training set that are not equal but share at least the threshold.
        highest: The largest share below the threshold, 0 to 1.
        groups: Groups of questions and of passages of the training set that hold such a text.
        examples: The first few pairs, text of the training set first.
        nearest: The pair with the share ``highest``, or None if nothing below the threshold is shared.
    """

    training: str
    test: str
    equal: int
    near: int
    highest: float
    groups: int
    examples: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    nearest: tuple[str, str] | None = field(default=None, repr=False)


class RemovalMask(NamedTuple):
    """Mark what must go.

    Attributes:
        questions: Whether each question must go, shape ``[questions]``.
        passages: Whether each passage must go, shape ``[passages]``.
        overlaps: What is shared with each test set.
    """

    questions: Bools
    passages: Bools
    overlaps: tuple[Overlap, ...]


def exclude(
    training: Collection, tests: Sequence[Collection | tuple[str, Texts]], *, threshold: float = THRESHOLD
) -> tuple[Collection, tuple[Overlap, ...]]:
    """Return the training set without what it shares with the test sets, and what that was.

    A text goes if it is equal to a question or passage of a test set, or shares at least ``threshold`` of the n-grams
    of the one that has fewer (:class:`Matches`). Its group goes with it in all languages, because a translation gives
    away as much. So do the question groups that any passage of its group answers.

    The training set passes by in pieces. What is left of a large one is memory-mapped from the cache.

    Args:
        training: What would be trained on.
        tests: The test sets. For several training sets, hash them once with :func:`hash_texts`.
        threshold: The smallest share that counts, above 0 and at most 1.

    Raises:
        PanglotError: The threshold is not between 0 and 1.
    """
    known = [hash_texts(test) if isinstance(test, Collection) else test for test in tests]
    return exclude_shared(training, find_shared(training, known, threshold=threshold))


def exclude_shared(training: Collection, found: Sequence[Shared]) -> tuple[Collection, tuple[Overlap, ...]]:
    """Return the training set without what it shares with test sets, and what that was, as :func:`exclude` does."""
    questions, passages, overlaps = removal_mask(training, found)
    return cached_subset(training, ~questions, ~passages), overlaps


def removal_mask(training: Collection, found: Sequence[Shared]) -> RemovalMask:
    """Mark what :func:`exclude` leaves out, given what is shared with each test set."""
    asked = training.questions.num_rows
    questions, passages = np.zeros(asked, bool), np.zeros(training.passages.num_rows, bool)
    groups = [0] * len(found)
    if any(len(each.taken) for each in found):
        sides = [np.split(each.taken, [np.searchsorted(each.taken, asked)]) for each in found]
        group = number_values(training.passages["group"])
        gone, said = _groups(group, [rows - np.int32(asked) for _, rows in sides])
        passages = gone[group]
        group = number_values(training.questions["group"])
        gone, mine = _groups(group, [rows for rows, _ in sides])
        for question, passage in training.walk_pairs():
            gone[group[question[passages[passage]]]] = True
        questions = gone[group]
        groups = [a + b for a, b in zip(mine, said, strict=True)]
    overlaps = (
        Overlap(training.name, each.test, each.equal, each.near, each.highest, number, each.examples, each.nearest)
        for each, number in zip(found, groups, strict=True)
    )
    return RemovalMask(questions, passages, tuple(overlaps))


def hash_texts(test: Collection) -> tuple[str, Texts]:
    """Return the name of a test set and its texts, hashed, as :func:`exclude` takes them."""
    texts = (text for table in (test.questions, test.passages) for text in table["text"].to_pylist())
    return test.name, Texts(dict.fromkeys(texts))


def _groups(group: Ints32, marked: Sequence[Ints32]) -> tuple[Bools, list[int]]:
    """Mark the groups that have a row in any list, and count the groups of each list."""
    gone = np.zeros(int(group.max(initial=-1)) + 1, bool)
    counts: list[int] = []
    for rows in marked:
        hit = np.unique(group[rows])
        gone[hit] = True
        counts.append(len(hit))
    return gone, counts
