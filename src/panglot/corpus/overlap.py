"""Texts that training sets and test sets share, and what must be left out of training for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from panglot.corpus._cache import kept
from panglot.corpus._keys import Ints32, numbered
from panglot.corpus.collection import Collection
from panglot.corpus.matches import Texts
from panglot.corpus.shared import THRESHOLD, Shared, shared

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Overlap:
    """What a training set shares with one test set.

    Attributes:
        training: Name of the training set.
        test: Name of the test set.
        equal: Distinct texts of the training set that are equal to a text of the test set.
        near: Distinct texts of the training set that are not equal but share at least the threshold.
        highest: The largest share below the threshold, 0 to 1.
        groups: Groups of questions and of passages of the training set that hold such a text.
        examples: The first few pairs, text of the training set first.
        nearest: The pair with the share ``highest``, or None where nothing below the threshold is shared.
    """

    training: str
    test: str
    equal: int
    near: int
    highest: float
    groups: int
    examples: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    nearest: tuple[str, str] | None = field(default=None, repr=False)


class Verdict(NamedTuple):
    """What must go.

    Attributes:
        questions: A mark for each question that must, shape ``[questions]``.
        passages: A mark for each passage that must, shape ``[passages]``.
        overlaps: Why: what is shared with each test set.
    """

    questions: Bools
    passages: Bools
    overlaps: tuple[Overlap, ...]


def leave_out(
    training: Collection, tests: Sequence[Collection | tuple[str, Texts]], *, threshold: float = THRESHOLD
) -> tuple[Collection, tuple[Overlap, ...]]:
    """Return the training set without what it shares with the test sets, and what that was.

    A text goes if it is equal to a text of a test set, question or passage, or shares at least ``threshold`` of the
    n-grams of the one that has fewer (:class:`Matches`). With it go its group in all languages, for a
    translation tells as much, and the question groups that any passage of its group answers.

    The training set passes by in pieces; what is left of a large one is memory-mapped from the cache.

    Args:
        training: What would be trained on.
        tests: What will be measured on; for several training sets, hash them once with :func:`prepare`.
        threshold: From which share on, above 0 to 1.

    Raises:
        PanglotError: The threshold is not between 0 and 1.
    """
    known = [prepare(test) if isinstance(test, Collection) else test for test in tests]
    return without(training, shared(training, known, threshold=threshold))


def without(training: Collection, found: Sequence[Shared]) -> tuple[Collection, tuple[Overlap, ...]]:
    """Return the training set without what it shares with test sets, and what that was; as :func:`leave_out`."""
    questions, passages, overlaps = verdict(training, found)
    return kept(training, ~questions, ~passages), overlaps


def verdict(training: Collection, found: Sequence[Shared]) -> Verdict:
    """Mark what :func:`leave_out` leaves out, given what is shared with each test set."""
    asked = training.questions.num_rows
    questions, passages = np.zeros(asked, bool), np.zeros(training.passages.num_rows, bool)
    groups = [0] * len(found)
    if any(len(each.taken) for each in found):
        sides = [np.split(each.taken, [np.searchsorted(each.taken, asked)]) for each in found]
        group = numbered(training.passages["group"])
        gone, said = _groups(group, [rows - np.int32(asked) for _, rows in sides])
        passages = gone[group]
        group = numbered(training.questions["group"])
        gone, mine = _groups(group, [rows for rows, _ in sides])
        for question, passage in training.walk_pairs():
            gone[group[question[passages[passage]]]] = True
        questions = gone[group]
        groups = [a + b for a, b in zip(mine, said, strict=True)]
    overlaps = (
        Overlap(training.name, each.test, each.equal, each.near, each.highest, number, each.examples, each.nearest)
        for each, number in zip(found, groups, strict=True)
    )
    return Verdict(questions, passages, tuple(overlaps))


def prepare(test: Collection) -> tuple[str, Texts]:
    """Return the name of a test set and its texts, hashed, as :func:`leave_out` takes them."""
    texts = (text for table in (test.questions, test.passages) for text in table["text"].to_pylist())
    return test.name, Texts(dict.fromkeys(texts))


def _groups(group: Ints32, marked: Sequence[Ints32]) -> tuple[Bools, list[int]]:
    """Mark the groups of which any row is marked, and count those of each list of marked rows."""
    gone = np.zeros(int(group.max(initial=-1)) + 1, bool)
    counts: list[int] = []
    for rows in marked:
        hit = np.unique(group[rows])
        gone[hit] = True
        counts.append(len(hit))
    return gone, counts
