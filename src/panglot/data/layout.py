"""Where every row of a file goes in a collection: groups, equal passages and their ties, joined as numbers."""

from __future__ import annotations

from dataclasses import dataclass
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


class Conflict(NamedTuple):
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


def laid_out(rows: Rows) -> Layout | Conflict:
    """Return where rows go, as :func:`panglot.data.rows.collect` puts them, or the first that cannot go anywhere."""
    group = group_numbers(rows)
    clashes = list(_clashes(rows, group))
    if clashes:
        return min(clashes, key=lambda clash: (clash.row, ("id", "language", "question", "passage").index(clash.what)))
    count = int(group.max(initial=-1)) + 1
    answered = np.zeros(count, bool)
    answered[group[rows.says]] = True
    lone = np.flatnonzero(rows.asks & ~answered[group])
    if len(lone):
        return Conflict(int(lone[group[lone] == group[lone].min()][0]), "unanswered")
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


def _clashes(rows: Rows, group: Ints32) -> list[Conflict]:
    found: list[Conflict] = []
    first = first_of(rows.ids)
    again = np.flatnonzero(first != np.arange(len(first), dtype=np.int32))
    if len(again):
        found.append(Conflict(int(rows.id_rows[again[0]]), "id", int(rows.id_rows[first[again[0]]])))
    unknown = np.flatnonzero(rows.language < 0)
    if len(unknown):
        found.append(Conflict(int(unknown[0]), "language"))
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
            found.append(Conflict(int(held[place]), what, int(before[place])))
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


class RowIndexBuilder:
    """Rows so far, some 60 bytes each.

    Attributes:
        codes: The languages met, in order; :attr:`Rows.language` has their places.
        size: The number of rows.
        test_only: Whether any row says that it comes from a test set.
    """

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.size = 0
        self.test_only = False
        self._keys: dict[str, list[Keys]] = {name: [] for name in ("group", "passage", "id")}
        self._questions: list[npt.NDArray[np.int64]] = []
        self._there: dict[str, list[npt.NDArray[np.bool_]]] = {name: [] for name in ("group", "question", "passage")}
        self._languages: list[npt.NDArray[np.int16]] = []
        self._with_id: list[npt.NDArray[np.int32]] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch of :data:`panglot.data.chunks.ROWS`."""
        for name, found in self._there.items():
            found.append(batch[name].is_valid().to_numpy(zero_copy_only=False))
        for name in ("group", "passage"):
            self._keys[name].append(keys(batch[name].fill_null("")))
        self._questions.append(keys(batch["question"].fill_null("")).wide)
        with_id = np.flatnonzero(batch["id"].is_valid().to_numpy(zero_copy_only=False)).astype(np.int32)
        if len(with_id):
            self._keys["id"].append(keys(batch["id"].drop_null()))
            self._with_id.append(with_id + np.int32(self.size))
        spoken = batch["language"].dictionary_encode()
        spelled = spoken.dictionary.to_pylist()
        self.codes += [code for code in spelled if not code.startswith("?") and code not in self.codes]
        place = {code: number for number, code in enumerate(self.codes)}
        self._languages.append(np.array([place.get(code, -1) for code in spelled], np.int16)[spoken.indices.to_numpy()])
        self.test_only |= bool(pc.any(batch["test_only"]).as_py())
        self.size += batch.num_rows

    def rows(self) -> Rows:
        """Return what is known of all of them; what was gathered is gone."""
        nothing = np.empty(0, bool)
        there = {name: np.concatenate([nothing, *found]) for name, found in self._there.items()}
        rows = Rows(
            group=concatenated(self._keys["group"]),
            grouped=there["group"],
            language=np.concatenate([np.empty(0, np.int16), *self._languages]),
            question=np.concatenate([np.empty(0, np.int64), *self._questions]),
            asks=there["question"],
            passage=concatenated(self._keys["passage"]),
            says=there["passage"],
            ids=concatenated(self._keys["id"]),
            id_rows=np.concatenate([np.empty(0, np.int32), *self._with_id]),
        )
        for held in (*self._keys.values(), *self._there.values(), self._questions, self._languages, self._with_id):
            held.clear()
        return rows


#: Why a row cannot stay: its id, question or passage is not that of an earlier row; or nothing answers it.
ID, QUESTION, PASSAGE, UNANSWERED = range(4)


class Disagreements(NamedTuple):
    """Rows that go.

    Attributes:
        row: Each of them, rising.
        why: One of the reasons above.
        other: For an id, the row that had it before; else −1.
    """

    row: Ints32
    why: npt.NDArray[np.int8]
    other: Ints32


def disagreements(rows: Rows) -> Disagreements:
    """Return the rows that :func:`panglot.data.validate.sieve` drops for what binds lines together.

    Of rows that do not agree the first one stays. Only those that share an id or a version with a row that differs
    are looked at one by one.
    """
    group = group_numbers(rows)
    suspects = _suspects(rows, group)
    found = list(_one_by_one(rows, group, np.flatnonzero(suspects)))
    stays = np.ones(len(rows.grouped), bool)
    stays[[row for row, _, _ in found]] = False
    answered = np.zeros(int(group.max(initial=-1)) + 1, bool)
    answered[group[stays & rows.says]] = True
    lone = np.flatnonzero(stays & rows.asks & ~rows.says & ~answered[group])
    row = np.array([row for row, _, _ in found], np.int32)
    row = np.concatenate([row, lone.astype(np.int32)])
    why = np.concatenate([np.array([why for _, why, _ in found], np.int8), np.full(len(lone), UNANSWERED, np.int8)])
    other = np.concatenate([np.array([other for _, _, other in found], np.int32), np.full(len(lone), -1, np.int32)])
    order = np.argsort(row)
    return Disagreements(row[order], why[order], other[order])


def _suspects(rows: Rows, group: Ints32) -> npt.NDArray[np.bool_]:
    suspects = np.zeros(len(rows.grouped), bool)
    first = first_of(rows.ids)
    again = np.zeros(len(first), bool)
    again[first[first != np.arange(len(first), dtype=np.int32)]] = True
    suspects[rows.id_rows[again[first]]] = True
    for there, wide, check in (
        (rows.asks, rows.question, None),
        (rows.says, rows.passage.wide, rows.passage.check),
    ):
        held = np.flatnonzero(there & rows.grouped).astype(np.int32)
        first = first_of_numbers(version_numbers(held, group, rows.language))
        differs = wide[held] != wide[held[first]]
        if check is not None:
            differs |= check[held] != check[held[first]]
        doubtful = np.zeros(len(held), bool)
        doubtful[first[differs]] = True
        suspects[held[doubtful[first]]] = True
    return suspects


def _one_by_one(rows: Rows, group: Ints32, suspects: npt.NDArray[np.int64]) -> list[tuple[int, int, int]]:
    ids: dict[tuple[int, int], int] = {}
    versions: dict[tuple[int, int, int], tuple[int, int]] = {}
    found: list[tuple[int, int, int]] = []
    place = np.searchsorted(rows.id_rows, suspects)
    for row, at in zip(suspects.tolist(), place.tolist(), strict=True):
        key = None
        if at < len(rows.id_rows) and rows.id_rows[at] == row:
            key = int(rows.ids.wide[at]), int(rows.ids.check[at])
            if key in ids:
                found.append((row, ID, ids[key]))
                continue
        mine: dict[tuple[int, int, int], tuple[int, int]] = {}
        if rows.grouped[row]:
            version = int(group[row]), int(rows.language[row])
            if rows.asks[row]:
                mine[*version, QUESTION] = int(rows.question[row]), 0
            if rows.says[row]:
                mine[*version, PASSAGE] = int(rows.passage.wide[row]), int(rows.passage.check[row])
        if clash := [version for version, text in mine.items() if versions.get(version, text) != text]:
            found.append((row, clash[0][2], -1))
            continue
        versions |= mine
        if key is not None:
            ids[key] = row
    return found
