"""Where every row of a file goes in a collection: groups, equal passages and their ties, joined as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from panglot.corpus._keys import Ints32, Keys, first_of, first_of_numbers, in_language, ranks, smallest_together

Bools = npt.NDArray[np.bool_]


@dataclass
class Rows:
    """What is known of the rows of all files without their texts, an entry a row.

    Attributes:
        group: Keys of the groups' names; of no meaning where there is none.
        grouped: Whether a group is named.
        language: Index into a list of languages; −1: there is no such language.
        question: 64 bits of each question's key.
        asks: Whether there is a question.
        passage: Keys of the passages.
        says: Whether there is a passage.
        ids: Keys of the rows' own ids, an entry for each of ``id_rows``.
        id_rows: The rows that have one.
    """

    group: Keys
    grouped: Bools
    language: npt.NDArray[np.int16]
    question: npt.NDArray[np.int64]
    asks: Bools
    passage: Keys
    says: Bools
    ids: Keys
    id_rows: Ints32


class Clash(NamedTuple):
    """The first row that cannot stay, with the row that it does not agree with, if there is one."""

    row: int
    what: str
    other: int = -1


@dataclass(frozen=True)
class Layout:
    """The order of questions, passages and judgements.

    Attributes:
        questions: The row of each question, shape ``[questions]``.
        passages: The row of each passage, shape ``[passages]``.
        origin: The row whose group is that of the passage, shape ``[passages]``.
        group: The group of each question, shape ``[questions]``.
        starts: Where the answers of each group begin in ``answers``, shape ``[groups + 1]``.
        answers: Passages, group by group.
    """

    questions: Ints32
    passages: Ints32
    origin: Ints32
    group: Ints32
    starts: Ints32
    answers: Ints32

    def judgements(self, start: int, end: int) -> tuple[Ints32, Ints32]:
        """Return the relevant pairs ``(questions, passages)`` of a stretch of questions."""
        group = self.group[start:end]
        first = self.starts[group]
        counts = self.starts[group + 1] - first
        question = np.repeat(np.arange(start, start + len(group), dtype=np.int32), counts)
        before = np.cumsum(counts) - counts
        place = np.repeat(first - before, counts) + np.arange(len(question))
        return question, self.answers[place]


def laid_out(rows: Rows) -> Layout | Clash:
    """Return where rows go, as :func:`panglot.corpus._rows.collect` puts them, or the first that cannot go anywhere."""
    group = group_numbers(rows)
    clashes = list(_clashes(rows, group))
    if clashes:
        return min(clashes, key=lambda clash: (clash.row, ("id", "language", "question", "passage").index(clash.what)))
    count = int(group.max(initial=-1)) + 1
    answered = np.zeros(count, bool)
    answered[group[rows.says]] = True
    lone = np.flatnonzero(rows.asks & ~answered[group])
    if len(lone):
        return Clash(int(lone[group[lone] == group[lone].min()][0]), "unanswered")
    questions = _versions(rows.asks, group, rows.language)
    versions = _versions(rows.says, group, rows.language)
    of_version = group[versions]
    starts = np.zeros(count + 1, np.int32)
    np.cumsum(np.bincount(of_version, minlength=count), out=starts[1:])
    first = first_of(in_language(rows.passage[versions], rows.language[versions]))
    answers = ranks(first)
    passages = versions[first == np.arange(len(first), dtype=np.int32)]
    del first
    neighbours = of_version[1:] == of_version[:-1]
    together = smallest_together(len(passages), answers[:-1][neighbours], answers[1:][neighbours])
    return Layout(questions, passages, passages[together], group[questions], starts, answers)


def group_numbers(rows: Rows) -> Ints32:
    """Number the groups in the order of their first rows; a row without a name is a group of its own."""
    first = np.arange(len(rows.grouped), dtype=np.int32)
    named = np.flatnonzero(rows.grouped).astype(np.int32)
    first[named] = named[first_of(rows.group[named])]
    return ranks(first)


def _clashes(rows: Rows, group: Ints32) -> list[Clash]:
    found: list[Clash] = []
    first = first_of(rows.ids)
    again = np.flatnonzero(first != np.arange(len(first), dtype=np.int32))
    if len(again):
        found.append(Clash(int(rows.id_rows[again[0]]), "id", int(rows.id_rows[first[again[0]]])))
    unknown = np.flatnonzero(rows.language < 0)
    if len(unknown):
        found.append(Clash(int(unknown[0]), "language"))
    for what, there in (("question", rows.asks), ("passage", rows.says)):
        held = np.flatnonzero(there & (rows.language >= 0)).astype(np.int32)
        before = held[first_of_numbers(version_numbers(held, group, rows.language))]
        if what == "question":
            other = rows.question[held] != rows.question[before]
        else:
            other = (rows.passage.wide[held] != rows.passage.wide[before]) | (
                rows.passage.check[held] != rows.passage.check[before]
            )
        if other.any():
            place = int(other.argmax())
            found.append(Clash(int(held[place]), what, int(before[place])))
    return found


def version_numbers(held: Ints32, group: Ints32, language: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
    """Return a number for the group and language of each of some rows."""
    numbers = group[held].astype(np.int64)
    numbers *= int(language.max(initial=0)) + 1
    numbers += language[held]
    return numbers


def _versions(there: Bools, group: Ints32, language: npt.NDArray[np.int16]) -> Ints32:
    """Return the first row of each group and language that has a text, group by group, in the order of the rows."""
    held = np.flatnonzero(there).astype(np.int32)
    first = first_of_numbers(version_numbers(held, group, language))
    held = held[first == np.arange(len(first), dtype=np.int32)]
    mine = group[held]
    # Files mostly have their groups one after the other.
    return held if (mine[:-1] <= mine[1:]).all() else held[np.argsort(mine, kind="stable")]
