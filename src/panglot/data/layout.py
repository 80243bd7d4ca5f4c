"""Decide where each row goes in a collection, from numbers alone: groups, equal passages, and rows that disagree."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot.data.collection import pc
from panglot.data.keys import (
    Ints32,
    Keys,
    concatenated,
    first_of,
    first_of_numbers,
    in_language,
    keys,
    ranks,
    smallest_together,
)

Bools = npt.NDArray[np.bool_]

# Why a row cannot stay: its id, question or passage is not that of an earlier row, or nothing answers its question.
ID, QUESTION, PASSAGE, UNANSWERED = range(4)


@dataclass(frozen=True)
class RowIndex:
    """What must be known of rows to join them, without their texts: an entry per row.

    Attributes:
        group: Keys of the groups' names, without meaning where there is none.
        in_group: Whether the row names a group.
        language: Index into a list of languages.
        question: 64 bits of each question's key.
        has_question: Whether there is a question.
        passage: Keys of the passages.
        has_passage: Whether there is a passage.
        ids: Keys of the rows' own ids, an entry for each of ``id_rows``.
        id_rows: The rows that have an id.
    """

    group: Keys
    in_group: Bools
    language: npt.NDArray[np.int16]
    question: npt.NDArray[np.int64]
    has_question: Bools
    passage: Keys
    has_passage: Bools
    ids: Keys
    id_rows: Ints32

    def group_numbers(self) -> Ints32:
        """Number the groups in the order of their first rows. A row without a name is a group of its own."""
        first = np.arange(len(self.in_group), dtype=np.int32)
        named = np.flatnonzero(self.in_group).astype(np.int32)
        first[named] = named[first_of(self.group[named])]
        return ranks(first)

    def keep(self, stays: Bools) -> RowIndex:
        """Return the index of the marked rows, whose ids have been compared and are dropped."""
        none = np.empty(0, np.int32)
        return replace(
            self, group=self.group[stays], in_group=self.in_group[stays], language=self.language[stays],
            question=self.question[stays], has_question=self.has_question[stays], passage=self.passage[stays],
            has_passage=self.has_passage[stays], ids=self.ids[none], id_rows=none,
        )  # fmt: skip


class RowIndexBuilder:
    """Collect row keys without keeping the texts: some 60 bytes per row.

    Attributes:
        codes: The languages met, in order. :attr:`RowIndex.language` are places in it.
        size: The number of rows.
        test_only: Whether any row says that it comes from a test set.
    """

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.size = 0
        self.test_only = False
        self._keys: dict[str, list[Keys]] = {name: [] for name in ("group", "passage", "id")}
        self._questions: list[npt.NDArray[np.int64]] = [np.empty(0, np.int64)]
        self._valid: dict[str, list[Bools]] = {name: [np.empty(0, bool)] for name in ("group", "question", "passage")}
        self._languages: list[npt.NDArray[np.int16]] = [np.empty(0, np.int16)]
        self._id_rows: list[Ints32] = [np.empty(0, np.int32)]

    def add(self, batch: pa.RecordBatch) -> None:
        """Add a batch of :data:`panglot.data.rows.ROWS`."""
        for name, parts in self._valid.items():
            parts.append(batch[name].is_valid().to_numpy(zero_copy_only=False))
        for name in ("group", "passage"):
            self._keys[name].append(keys(batch[name].fill_null("")))
        self._questions.append(keys(batch["question"].fill_null("")).wide)
        id_rows = np.flatnonzero(batch["id"].is_valid().to_numpy(zero_copy_only=False)).astype(np.int32)
        if len(id_rows):
            self._keys["id"].append(keys(batch["id"].drop_null()))
            self._id_rows.append(id_rows + np.int32(self.size))
        language = batch["language"].dictionary_encode()
        batch_codes = language.dictionary.to_pylist()
        self.codes += [code for code in batch_codes if code not in self.codes]
        places = np.array([self.codes.index(code) for code in batch_codes], np.int16)
        self._languages.append(places[language.indices.to_numpy()])
        self.test_only |= bool(pc.any(batch["test_only"]).as_py())
        self.size += batch.num_rows

    def build(self) -> RowIndex:
        """Return the index of all rows, and forget them."""
        valid = {name: np.concatenate(parts) for name, parts in self._valid.items()}
        index = RowIndex(
            group=concatenated(self._keys["group"]),
            in_group=valid["group"],
            language=np.concatenate(self._languages),
            question=np.concatenate(self._questions),
            has_question=valid["question"],
            passage=concatenated(self._keys["passage"]),
            has_passage=valid["passage"],
            ids=concatenated(self._keys["id"]),
            id_rows=np.concatenate(self._id_rows),
        )
        for parts in (*self._keys.values(), *self._valid.values(), self._questions, self._languages, self._id_rows):
            parts.clear()
        return index


class Conflicts(NamedTuple):
    """Rows that cannot stay.

    Attributes:
        row: Each of them, rising.
        reason: :data:`ID`, :data:`QUESTION`, :data:`PASSAGE` or :data:`UNANSWERED`.
        other: For an id, the row that had it before, else −1.
    """

    row: Ints32
    reason: npt.NDArray[np.int8]
    other: Ints32


def conflicts(index: RowIndex, group: Ints32) -> Conflicts:
    """Return the rows that must go so that the others make a collection.

    Of rows with one id, of questions of one group and language that differ, and of such passages, the first row stays.
    Then rows go whose group has a question and no passage.
    """
    # Only rows that share an id or a version with a row that differs are looked at one by one.
    found = _disagreements(index, group, np.flatnonzero(_suspects(index, group)))
    stays = np.ones(len(index.in_group), bool)
    stays[[row for row, _, _ in found]] = False
    answered = np.zeros(int(group.max(initial=-1)) + 1, bool)
    answered[group[stays & index.has_passage]] = True
    unanswered = np.flatnonzero(stays & index.has_question & ~index.has_passage & ~answered[group])
    found += [(row, UNANSWERED, -1) for row in unanswered.tolist()]
    rows = np.array(sorted(found), np.int64).reshape(-1, 3)
    return Conflicts(rows[:, 0].astype(np.int32), rows[:, 1].astype(np.int8), rows[:, 2].astype(np.int32))


def _suspects(index: RowIndex, group: Ints32) -> Bools:
    suspects = np.zeros(len(index.in_group), bool)
    first = first_of(index.ids)
    repeated = np.zeros(len(first), bool)
    repeated[first[first != np.arange(len(first), dtype=np.int32)]] = True
    suspects[index.id_rows[repeated[first]]] = True
    for valid, parts in (
        (index.has_question, (index.question,)),
        (index.has_passage, (index.passage.wide, index.passage.check)),
    ):
        rows = np.flatnonzero(valid & index.in_group).astype(np.int32)
        first = first_of_numbers(_version_numbers(rows, group, index.language))
        differs = np.zeros(len(rows), bool)
        for part in parts:
            differs |= part[rows] != part[rows[first]]
        doubtful = np.zeros(len(rows), bool)
        doubtful[first[differs]] = True
        suspects[rows[doubtful[first]]] = True
    return suspects


def _disagreements(index: RowIndex, group: Ints32, suspects: npt.NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Return ``(row, reason, other row)`` of each suspect that does not agree with one before it that stays."""
    row_of_id: dict[tuple[int, int], int] = {}
    versions: dict[tuple[int, int, int], tuple[int, int]] = {}
    found: list[tuple[int, int, int]] = []
    places = np.searchsorted(index.id_rows, suspects)
    for row, place in zip(suspects.tolist(), places.tolist(), strict=True):
        key = None
        if place < len(index.id_rows) and index.id_rows[place] == row:
            key = int(index.ids.wide[place]), int(index.ids.check[place])
            if key in row_of_id:
                found.append((row, ID, row_of_id[key]))
                continue
        own: dict[tuple[int, int, int], tuple[int, int]] = {}
        if index.in_group[row]:
            version = int(group[row]), int(index.language[row])
            if index.has_question[row]:
                own[*version, QUESTION] = int(index.question[row]), 0
            if index.has_passage[row]:
                own[*version, PASSAGE] = int(index.passage.wide[row]), int(index.passage.check[row])
        if differing := [version for version, text in own.items() if versions.get(version, text) != text]:
            found.append((row, differing[0][2], -1))
            continue
        versions |= own
        if key is not None:
            row_of_id[key] = row
    return found


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
        """Return the relevant pairs ``(questions, passages)`` of some successive questions."""
        group = self.group[start:end]
        first = self.starts[group]
        counts = self.starts[group + 1] - first
        question = np.repeat(np.arange(start, start + len(group), dtype=np.int32), counts)
        before = np.cumsum(counts) - counts
        place = np.repeat(first - before, counts) + np.arange(len(question))
        return question, self.answers[place]


def layout(index: RowIndex, group: Ints32) -> Layout:
    """Return where rows go that have no :func:`conflicts`.

    Rows of one group are versions of one question and of one passage: any of its questions is answered by any of its
    passages. A group without a question only enlarges the pool. Equal passages of one language are one passage, and
    tie the passages of the groups that share it: these get the group of the first of them.
    """
    count = int(group.max(initial=-1)) + 1
    questions = _versions(index.has_question, group, index.language)
    versions = _versions(index.has_passage, group, index.language)
    group_of_version = group[versions]
    starts = np.zeros(count + 1, np.int32)
    np.cumsum(np.bincount(group_of_version, minlength=count), out=starts[1:])
    first = first_of(in_language(index.passage[versions], index.language[versions]))
    answers = ranks(first)
    passages = versions[first == np.arange(len(first), dtype=np.int32)]
    del first
    neighbours = group_of_version[1:] == group_of_version[:-1]
    together = smallest_together(len(passages), answers[:-1][neighbours], answers[1:][neighbours])
    return Layout(questions, passages, passages[together], group[questions], starts, answers)


def _version_numbers(rows: Ints32, group: Ints32, language: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
    """Return one number for the group and language of each of some rows."""
    numbers = group[rows].astype(np.int64)
    numbers *= int(language.max(initial=0)) + 1
    numbers += language[rows]
    return numbers


def _versions(valid: Bools, group: Ints32, language: npt.NDArray[np.int16]) -> Ints32:
    """Return the first row of each group and language that has a text, group by group, in the order of the rows."""
    rows = np.flatnonzero(valid).astype(np.int32)
    first = first_of_numbers(_version_numbers(rows, group, language))
    rows = rows[first == np.arange(len(first), dtype=np.int32)]
    group_of_row = group[rows]
    # Files mostly have their groups one after the other, and then a sort is not needed.
    in_order = (group_of_row[:-1] <= group_of_row[1:]).all()
    return rows if in_order else rows[np.argsort(group_of_row, kind="stable")]
