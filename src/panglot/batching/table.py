"""A collection as a table of training rows: one row per question group, one column per language."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot._errors import PanglotError
from panglot._files import atomic_folder, cache_folder
from panglot.data.collection import Collection, source_key
from panglot.data.columns import Bools, Ints, Ints32, connect, number_groups, open_array, pc, text_numbers, walk

#: Rows of collections with at least that many questions are cached. Smaller ones are found in a second or two.
LARGE = 200_000
# To be raised whenever other rows or conflict groups are found in the same collection.
_VERSION = 4

_ARRAYS = ("question", "passage", "conflict_group")

_log = logging.getLogger(__name__)


class _Rows(NamedTuple):
    """The rows of a collection, with the attributes of :class:`panglot.batching.TrainingTable`."""

    question: Ints32
    passage: Ints32
    conflict_group: Ints32
    mono: bool


def _rows(collection: Collection) -> _Rows:
    """Return the rows of a collection from the cache, or find them, and cache those of a large collection."""
    home = collection.folder
    if home is None or collection.questions.num_rows < LARGE:
        return _find_rows(collection)
    key = source_key([home / f"{part}.arrow" for part in ("questions", "passages", "qrels")], rows=_VERSION)
    folder = cache_folder() / "sources" / key
    try:
        return _open_cached(folder)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("cannot read the cached rows of %s, finding them again: %s", collection.name, error)
    found = _find_rows(collection)
    try:
        with atomic_folder(folder) as part:
            for name in _ARRAYS:
                np.save(part / f"{name}.npy", getattr(found, name))
            (part / "rows.json").write_text(json.dumps({"mono": found.mono}), "utf-8")
    except PanglotError as error:
        _log.warning("cannot cache the rows of %s: %s", collection.name, error)
        return found
    del found
    return _open_cached(folder)


def _open_cached(folder: Path) -> _Rows:
    mono = json.loads((folder / "rows.json").read_text("utf-8"))["mono"]
    question, passage, conflict_group = (open_array(folder / f"{name}.npy") for name in _ARRAYS)
    return _Rows(question, passage, conflict_group, bool(mono))


#: Kinds of batches in which both sides are versions of one text, of which one is English.
DISTILL = ("distill-questions", "distill-passages")
_LARGE_GROUP = 0.1
_CHUNK = 65536  # Rows that are looked at together.
_Codes = npt.NDArray[np.int16]


@dataclass(frozen=True)
class TrainingTable:
    """Training rows of one collection.

    Attributes:
        name: The collection's name. It seeds the table's permutations, so no two tables of a plan share it.
        languages: Canonical BCP 47 codes, sorted.
        question: Row numbers in ``collection.questions``, −1 for a missing version, shape ``[rows, languages]``.
            Those of :meth:`from_collection` have 32 bits. With ``passage`` that is 8 bytes per row and language.
        passage: Row numbers in ``collection.passages``, −1 for a missing version, shape ``[rows, languages]``.
        conflict_group: Rows that must never be each other's negatives share a number, shape ``[rows]``.
        mono: Whether any question has a relevant passage in its own language. False for translations, where that
            passage would be the question itself. Such a table has no one-language rows.
    """

    name: str
    languages: tuple[str, ...]
    question: Ints | Ints32
    passage: Ints | Ints32
    conflict_group: Ints | Ints32
    mono: bool = True

    @classmethod
    def from_collection(cls, collection: Collection) -> TrainingTable:
        """Return the training rows of a collection.

        A row is a question group; ``question[row, x]`` is its version in language x, and ``passage[row, y]`` the
        passage in language y that answers any version of it. If a group has several relevant passages in a language,
        the first by row number is taken, and none of the others is ever a negative of the row. If a group has several
        questions in one language, they become rows of their own in one conflict group. Questions without a relevant
        passage are left out.

        Two rows share a conflict group if they share the question group, a relevant passage in any language, the group
        of one (so that a translation of a passage counts as the passage), or the text of a question or of a relevant
        passage up to case and whitespace. Chains of such rows are one group.

        Rows of a large collection that was opened from a folder are found once and then memory-mapped from the cache.

        Raises:
            PanglotError: No question has a relevant passage.
        """
        return cls(collection.name, collection.languages, *_rows(collection))

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.conflict_group)

    @property
    def largest_conflict_group(self) -> int:
        """The number of rows in the largest conflict group, of which no two share a batch."""
        return int(np.bincount(self.conflict_group).max())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the owner of the data should know before training, one sentence each."""
        share = self.largest_conflict_group / self.rows
        if share <= _LARGE_GROUP or self.largest_conflict_group == 1:
            return ()
        warning = (
            f"{self.name}: {self.largest_conflict_group:,} of {self.rows:,} rows ({share:.0%}) share a passage, a text"
            " or a group and never meet in one batch, so large batches have only a part of them in each epoch"
        )
        return (warning,)

    def __repr__(self) -> str:
        return (
            f"TrainingTable({self.name!r}: {self.rows:,} rows, {len(self.languages)} languages,"
            f" largest conflict group {self.largest_conflict_group:,})"
        )


def is_english(code: str) -> bool:
    """Return whether a BCP 47 code is that of English, of whatever region."""
    return code.split("-", maxsplit=1)[0] == "en"


def english_of(source: TrainingTable) -> int:
    """Return the number of a source's English, the plainest code if it has several, −1 without English."""
    found = [x for x, code in enumerate(source.languages) if is_english(code)]
    return min(found, key=lambda x: len(source.languages[x]), default=-1)


def pair_counts(source: TrainingTable) -> Ints:
    """Return how many rows have a question in x and a relevant passage in y, shape ``[languages, languages]``."""
    counts = np.zeros((len(source.languages),) * 2, np.int64)
    for start in range(0, source.rows, _CHUNK):
        part = slice(start, start + _CHUNK)
        # Sums of 65,536 ones are exact in float32, whose products are far faster than those of integers.
        q, p = ((matrix[part] >= 0).astype(np.float32) for matrix in (source.question, source.passage))
        counts += (q.T @ p).astype(np.int64)
    if not source.mono:
        np.fill_diagonal(counts, 0)
    return counts


def eligible_rows(kind: str, source: TrainingTable) -> Bools:
    """Mark the rows of a source that batches of a kind can use, shape ``[rows]``.

    ``whole-group`` takes the rows that ``cross`` can use. Groups in one language each would make batches of
    one-language rows, which is ``mixed-mono``.
    """
    found = np.empty(source.rows, bool)
    for start in range(0, source.rows, _CHUNK):
        part = slice(start, start + _CHUNK)
        found[part] = _eligible_piece(kind, source, source.question[part] >= 0, source.passage[part] >= 0)
    return found


def _eligible_piece(kind: str, source: TrainingTable, q: Bools, p: Bools) -> Bools:
    """Mark the eligible rows of a piece, given which languages its questions and passages are in."""
    if kind in DISTILL:
        side, english = (q if kind == DISTILL[0] else p), english_of(source)
        return side[:, english] & (side.sum(1) > 1) if english >= 0 else np.zeros(len(side), bool)
    both = (q & p).sum(1)
    mono = (both > 0) & source.mono
    if kind in {"mono", "mixed-mono"}:
        return mono
    cross = q.sum(1) * p.sum(1) > both
    return (cross | mono) if kind == "hybrid-row" else cross


def cache_rows(collection: Collection) -> None:
    """Find the rows of a large saved collection now instead of when it is first trained on."""
    if collection.folder is not None and collection.questions.num_rows >= LARGE:
        with contextlib.suppress(PanglotError):  # If there is nothing to train on, training says so.
            TrainingTable.from_collection(collection)


def _find_rows(collection: Collection) -> _Rows:
    languages = len(collection.languages)
    group = number_groups(collection.questions["group"])
    question_in, passage_in = (
        _languages(table, collection.languages) for table in (collection.questions, collection.passages)
    )
    answered = np.zeros(int(group.max(initial=-1)) + 1, bool)
    for question_of, _ in collection.walk_pairs():
        answered[group[question_of]] = True
    if not answered.any():
        hint = "add relevance judgements above 0, or leave the collection out of the training"
        raise PanglotError(f"{collection.name} has no question with a relevant passage", hint=hint)
    best, links, mono = _first_passages(collection, group, question_in, passage_in, len(answered))
    del passage_in
    asked = np.flatnonzero(answered[group]).astype(np.int32)
    occurrence = _occurrence(group[asked].astype(np.int64) * languages + question_in[asked])
    if occurrence.any():
        order = np.lexsort((occurrence, group[asked]))
        asked, occurrence = asked[order], occurrence[order]
    elif (group[asked][1:] < group[asked][:-1]).any():
        asked = asked[np.argsort(group[asked], kind="stable")]
    first = np.r_[True, (np.diff(group[asked]) != 0) | (np.diff(occurrence) != 0)]
    del occurrence
    row = np.cumsum(first, dtype=np.int32) - np.int32(1)
    group_of_row = group[asked[first]]
    question = np.full((len(group_of_row), languages), -1, np.int32)
    question[row, question_in[asked]] = asked
    del row, first, question_in
    # Where each group is one row, and in its place, as nearly always, the table of groups is that of rows.
    alike = len(group_of_row) == len(answered) and bool((group_of_row[1:] > group_of_row[:-1]).all())
    passage = best if alike else best[group_of_row]
    del best
    conflicts = connect(len(answered), _conflicts(collection, group, asked, *links))
    return _Rows(question, passage, _renumber(conflicts[group_of_row]), mono)


def _conflicts(
    collection: Collection, group: Ints32, asked: Ints32, linked_group: Ints32, linked_passage: Ints32
) -> Iterator[tuple[Ints32, Ints32]]:
    """Yield what makes question groups conflict: the groups, and numbers of the things that they have."""
    yield linked_group, linked_passage
    yield linked_group, number_groups(collection.passages["group"])[linked_passage]
    for rows, groups, table in (
        (linked_passage, linked_group, collection.passages),
        (asked, group[asked], collection.questions),
    ):
        chosen = np.zeros(table.num_rows, bool)
        chosen[rows] = True
        yield groups, text_numbers(table["text"], chosen)[rows]


def _first_passages(
    collection: Collection, group: Ints32, question_in: _Codes, passage_in: _Codes, groups: int
) -> tuple[Ints32, tuple[Ints32, Ints32], bool]:
    """Return the first passage of each group and language, the passages of each group, and whether any is mono."""
    best = np.full((groups, len(collection.languages)), np.iinfo(np.int32).max, np.int32)
    links: list[Ints] = []
    mono = False
    for question_of, passage_of in collection.walk_pairs():
        groups_here = group[question_of]
        np.minimum.at(best, (groups_here, passage_in[passage_of]), passage_of)
        # The versions of a question mostly follow each other, and have the same answers.
        links.append(np.unique(groups_here.astype(np.int64) * collection.passages.num_rows + passage_of))
        mono = mono or bool((question_in[question_of] == passage_in[passage_of]).any())
    best[best == np.iinfo(np.int32).max] = -1
    linked = np.concatenate(links)
    links.clear()
    if (linked[1:] <= linked[:-1]).any():
        linked = np.unique(linked)
    linked_group = (linked // collection.passages.num_rows).astype(np.int32)
    linked %= collection.passages.num_rows
    return best, (linked_group, linked.astype(np.int32)), mono


def _languages(table: pa.Table, languages: tuple[str, ...]) -> _Codes:
    """Return the language of each text as an index."""
    known = pa.array(languages, pa.string())
    found = [pc.index_in(batch.column(0), known).to_numpy().astype(np.int16) for batch in walk(table, ["language"])]
    return np.concatenate([np.empty(0, np.int16), *found])


def _renumber(numbers: Ints32) -> Ints32:
    """Number values from 0 without gaps, in their own order."""
    there = np.zeros(int(numbers.max()) + 1, bool)
    there[numbers] = True
    return (np.cumsum(there, dtype=np.int32) - np.int32(1))[numbers]


def _occurrence(keys: Ints) -> Ints32:
    """Return for each key how many equal keys precede it."""
    counts = np.zeros(len(keys), np.int32)
    ranked = np.sort(keys)
    if not (ranked[1:] == ranked[:-1]).any():
        return counts
    order = np.argsort(keys, kind="stable")
    starts = np.r_[True, np.diff(keys[order]) != 0]
    begin = np.maximum.accumulate(np.where(starts, np.arange(len(keys)), 0))
    counts[order] = np.arange(len(keys)) - begin
    return counts
