"""Join rows by group and text without holding their texts: find those that disagree, and where the others go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot.data.collection import QRELS
from panglot.data.columns import (
    BATCH,
    Bools,
    Ints,
    Ints32,
    Keys,
    concatenated,
    first_of,
    first_of_numbers,
    in_language,
    keys,
    pc,
    ranks,
    smallest_together,
)
from panglot.data.rows import TEXT_FIELDS, to_batch


class RowIndex(NamedTuple):
    """What must be known of rows to join them, without their texts: an entry per row, some 60 bytes."""

    group: Keys  # of the group's name, without meaning if the row names none
    in_group: Bools
    language: npt.NDArray[np.int16]  # as a place in `RowIndexBuilder.codes`
    question: Ints  # half of the question's key, which only finds suspects and equal questions of one group
    has_question: Bools
    passage: Keys
    has_passage: Bools
    ids: Keys  # of the rows' own ids, an entry for each of `id_rows`
    id_rows: Ints32

    def group_numbers(self) -> Ints32:
        """Number the groups in the order of their first rows. A row without a name is a group of its own."""
        first = np.arange(len(self.in_group), dtype=np.int32)
        named = np.flatnonzero(self.in_group).astype(np.int32)
        first[named] = named[first_of(self.group[named])]
        return ranks(first)

    def versions(self, marked: Bools, group: Ints32) -> tuple[Ints32, Ints32]:
        """Return the marked rows, and for each the place among them of the first one of its group and language."""
        rows = np.flatnonzero(marked).astype(np.int32)
        numbers = group[rows].astype(np.int64)
        numbers *= int(self.language.max(initial=0)) + 1
        numbers += self.language[rows]
        return rows, first_of_numbers(numbers)

    def keep(self, stays: Bools) -> RowIndex:
        """Return the index of the marked rows, whose ids have been compared and are dropped."""
        none = np.empty(0, np.int32)
        kept: list[Any] = [*(column[stays] for column in self[:-2]), self.ids[none], none]
        return RowIndex(*kept)


class RowIndexBuilder:
    """Collect row keys without keeping the texts."""

    def __init__(self) -> None:
        self.codes: list[str] = []  # the languages met, in order
        self.size = 0  # number of rows
        self.test_only = False  # whether any row says that it comes from a test set
        self._parts: list[RowIndex] = []
        self.add(to_batch([]))  # so that there is a part to join, of the right types

    def add(self, batch: pa.RecordBatch) -> None:
        """Add a batch of :data:`ROWS`."""
        valid = {name: batch[name].is_valid().to_numpy(zero_copy_only=False) for name in TEXT_FIELDS}
        group, question, passage = (keys(batch[name].fill_null("")) for name in ("group", "question", "passage"))
        language = batch["language"].dictionary_encode()
        batch_codes = language.dictionary.to_pylist()
        self.codes += [code for code in batch_codes if code not in self.codes]
        places = np.array([self.codes.index(code) for code in batch_codes], np.int16)
        id_rows = np.flatnonzero(valid["id"]).astype(np.int32) + np.int32(self.size)
        self._parts.append(
            RowIndex(group, valid["group"], places[language.indices.to_numpy()], question.wide, valid["question"],
                     passage, valid["passage"], keys(batch["id"].drop_null()), id_rows)
        )  # fmt: skip
        self.test_only |= bool(pc.any(batch["test_only"]).as_py())
        self.size += batch.num_rows

    def build(self) -> RowIndex:
        """Return the index of all rows, and forget them."""
        columns: Iterator[tuple[Any, ...]] = zip(*self._parts, strict=True)
        self._parts = []
        joined: list[Any] = [concatenated(c) if isinstance(c[0], Keys) else np.concatenate(c) for c in columns]
        return RowIndex(*joined)


# Why a row cannot stay: its id, question or passage is not that of an earlier row, or nothing answers its question.
ID, QUESTION, PASSAGE, UNANSWERED = range(4)


def conflicts(index: RowIndex, group: Ints32) -> Ints:
    """Return the rows that must go so that the others make a collection: ``(row, reason, other)``, rising.

    The reason is one of the numbers above. For an id, the other row is the one that had it before, else −1. Of rows
    with one id, of questions of one group and language that differ, and of such passages, the first row stays. Then
    rows go whose group has a question and no passage.
    """
    # Only rows that share an id or a version with a row that differs are looked at one by one.
    found = _disagreements(index, group, np.flatnonzero(_suspects(index, group)))
    stays = np.ones(len(index.in_group), bool)
    stays[[row for row, _, _ in found]] = False
    answered = np.zeros(int(group.max(initial=-1)) + 1, bool)
    answered[group[stays & index.has_passage]] = True
    unanswered = np.flatnonzero(stays & index.has_question & ~index.has_passage & ~answered[group])
    found += [(row, UNANSWERED, -1) for row in unanswered.tolist()]
    return np.array(sorted(found), np.int64).reshape(-1, 3)


def _suspects(index: RowIndex, group: Ints32) -> Bools:
    """Mark the rows that share an id, or the group and language of a text that differs."""
    suspects = np.zeros(len(index.in_group), bool)
    first = first_of(index.ids)
    repeated = first != np.arange(len(first), dtype=np.int32)
    suspects[index.id_rows[np.isin(first, first[repeated])]] = True
    for valid, parts in (
        (index.has_question, [index.question]),
        (index.has_passage, [index.passage.wide, index.passage.check]),
    ):
        rows, first = index.versions(valid & index.in_group, group)
        differs = np.any([part[rows] != part[rows[first]] for part in parts], axis=0)
        suspects[rows[np.isin(first, first[differs])]] = True
    return suspects


def _disagreements(index: RowIndex, group: Ints32, suspects: Ints) -> list[tuple[int, int, int]]:
    """Return ``(row, reason, other row)`` of each suspect that does not agree with one before it that stays."""
    known: dict[tuple[int, int, int], tuple[int, int]] = {}
    found: list[tuple[int, int, int]] = []
    places = np.searchsorted(index.id_rows, suspects)
    for row, place in zip(suspects.tolist(), places.tolist(), strict=True):
        own: dict[tuple[int, int, int], tuple[int, int]] = {}
        # An id is known with its row, so that it never agrees with that of another row.
        if place < len(index.id_rows) and index.id_rows[place] == row:
            own[ID, int(index.ids.wide[place]), int(index.ids.check[place])] = row, 0
        if index.in_group[row]:
            version = int(group[row]), int(index.language[row])
            if index.has_question[row]:
                own[QUESTION, *version] = int(index.question[row]), 0
            if index.has_passage[row]:
                own[PASSAGE, *version] = int(index.passage.wide[row]), int(index.passage.check[row])
        if differing := [part for part, value in own.items() if known.get(part, value) != value]:
            reason = differing[0][0]
            found.append((row, reason, known[differing[0]][0] if reason == ID else -1))
        else:
            known |= own
    return found


class Layout(NamedTuple):
    """The order of questions, passages and judgements."""

    questions: Ints32  # the row of each question, shape `[questions]`
    passages: Ints32  # the row of each passage, shape `[passages]`
    origin: Ints32  # the row whose group is that of the passage, shape `[passages]`
    group: Ints32  # the group of each question, shape `[questions]`
    starts: Ints32  # where the answers of each group begin in `answers`, shape `[groups + 1]`
    answers: Ints32  # passages, group by group


def layout(index: RowIndex, group: Ints32) -> Layout:
    """Return where rows go that have no :func:`conflicts`.

    Equal passages of one language are one passage, and tie the passages of the groups that share it: these get the
    group of the first of them.
    """
    count = int(group.max(initial=-1)) + 1
    questions = _versions(index, index.has_question, group)
    versions = _versions(index, index.has_passage, group)
    group_of_version = group[versions]
    starts = np.searchsorted(group_of_version, np.arange(count + 1)).astype(np.int32)
    first = first_of(in_language(index.passage[versions], index.language[versions]))
    answers = ranks(first)
    passages = versions[first == np.arange(len(first), dtype=np.int32)]
    del first
    neighbours = group_of_version[1:] == group_of_version[:-1]
    together = smallest_together(len(passages), answers[:-1][neighbours], answers[1:][neighbours])
    return Layout(questions, passages, passages[together], group[questions], starts, answers)


def _versions(index: RowIndex, valid: Bools, group: Ints32) -> Ints32:
    """Return the first row of each group and language that has a text, group by group, in the order of the rows."""
    rows, first = index.versions(valid, group)
    rows = rows[first == np.arange(len(first), dtype=np.int32)]
    group_of_row = group[rows]
    # Files mostly have their groups one after the other, and then a sort is not needed.
    in_order = (group_of_row[:-1] <= group_of_row[1:]).all()
    return rows if in_order else rows[np.argsort(group_of_row, kind="stable")]


def judgements(plan: Layout) -> Iterator[pa.RecordBatch]:
    """Yield the relevant pairs: each question with all answers of its group."""
    for start in range(0, len(plan.questions), BATCH):
        group = plan.group[start : start + BATCH]
        first = plan.starts[group]
        counts = plan.starts[group + 1] - first
        question = np.repeat(np.arange(start, start + len(group), dtype=np.int32), counts)
        before = np.cumsum(counts) - counts
        passage = plan.answers[np.repeat(first - before, counts) + np.arange(len(question))]
        relevance = np.ones(len(question), np.int16)
        yield pa.record_batch([pa.array(each) for each in (question, passage, relevance)], schema=QRELS)
