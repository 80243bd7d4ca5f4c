"""A collection as a table of training rows: one row a question group, one column a language."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot._errors import PanglotError
from panglot._files import atomic_folder, cache_folder
from panglot.data.arrow import open_array, walk
from panglot.data.cache import source_key
from panglot.data.collection import Collection, Ints, pc
from panglot.data.keys import Ints32, connect, first_of, gathered, numbered, ranks


def text_numbers(texts: pa.ChunkedArray, chosen: npt.NDArray[np.bool_] | None = None) -> Ints32:
    """Return a number for each text; texts that differ only in case or blanks share it.

    Args:
        texts: The texts.
        chosen: Marks those that matter; the others' number is −1.

    >>> text_numbers(pa.chunked_array([["Who?", "  who? ", "What?"]])).tolist()
    [0, 0, 1]
    """
    if chosen is None:
        return ranks(first_of(gathered(_plain(texts, None), len(texts))))
    found = np.full(len(texts), -1, np.int32)
    found[chosen] = ranks(first_of(gathered(_plain(texts, chosen), int(np.count_nonzero(chosen)))))
    return found


def _plain(texts: pa.ChunkedArray, chosen: npt.NDArray[np.bool_] | None) -> Iterator[pa.Array]:
    start = 0
    for batch in walk(pa.table({"text": texts})):
        column = batch.column(0)
        if chosen is not None:
            column = column.filter(pa.array(chosen[start : start + len(column)]))
        start += batch.num_rows
        yield pa.array([" ".join((text or "").casefold().split()) for text in column.to_pylist()], pa.string())


#: Collections of so many questions are kept; smaller ones take less than a second or two.
LARGE = 200_000
# Goes up whenever other rows or blocks are found in the same collection.
_VERSION = 1

_log = logging.getLogger(__name__)


class Rows(NamedTuple):
    """What is found in a collection; as :class:`panglot.batching.TrainingTable` has it."""

    question: Ints32
    passage: Ints32
    block: Ints32
    mono: bool


def found_once(collection: Collection, find: Callable[[], Rows]) -> Rows:
    """Return the rows of a collection, from the cache if they are there; find them, and keep those of a large one."""
    home = collection.folder
    if home is None or collection.questions.num_rows < LARGE:
        return find()
    key = source_key([home / f"{part}.arrow" for part in ("questions", "passages", "relevance")], rows=_VERSION)
    folder = cache_folder() / "sources" / key
    try:
        return _opened(folder)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("finding the rows of %s again: %s", collection.name, error)
    found = find()
    try:
        with atomic_folder(folder) as part:
            for name in ("question", "passage", "block"):
                np.save(part / f"{name}.npy", getattr(found, name))
            (part / "rows.json").write_text(json.dumps({"mono": found.mono}), "utf-8")
    except PanglotError as error:
        _log.warning("not cached: %s", error)
        return found
    del found
    return _opened(folder)


def _opened(folder: Path) -> Rows:
    mono = json.loads((folder / "rows.json").read_text("utf-8"))["mono"]
    question, passage, block = (open_array(folder / f"{name}.npy") for name in ("question", "passage", "block"))
    return Rows(question, passage, block, bool(mono))


LARGE_BLOCK = 0.1
Codes = npt.NDArray[np.int16]


@dataclass(frozen=True)
class TrainingTable:
    """Training rows of one collection.

    Attributes:
        name: The collection's name; it seeds the source's permutations, so no two sources of a plan share it.
        languages: Canonical BCP 47 codes, sorted.
        question: Row numbers in ``collection.questions``, −1 where there is no version, shape ``[rows,
            languages]``. Those of :func:`source` have 32 bits, as has ``passage``: 8 bytes a row and language.
        passage: Row numbers in ``collection.passages``, −1 where there is none, shape ``[rows, languages]``.
        block: Rows that must never be each other's negatives share it, shape ``[rows]``.
        mono: Whether a passage in the question's own language is relevant anywhere; False for translations,
            where it is the question itself. Such a source serves no one-language rows.
    """

    name: str
    languages: tuple[str, ...]
    question: Ints | Ints32
    passage: Ints | Ints32
    block: Ints | Ints32
    mono: bool = True

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.block)

    @property
    def largest_block(self) -> int:
        """The number of rows in the largest block: an epoch has at least as many batches."""
        return int(np.bincount(self.block).max())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the owner of the data should know before training, a sentence each."""
        share = self.largest_block / self.rows
        if share <= LARGE_BLOCK or self.rows == 1:
            return ()
        warning = (
            f"{self.name}: {self.largest_block:,} of {self.rows:,} rows ({share:.0%}) share a passage, a text"
            f" or a group and never meet in one batch: a batch has about {1 / share:.0f} of its rows at most"
        )
        return (warning,)

    def __repr__(self) -> str:
        return (
            f"TrainingTable({self.name!r}: {self.rows:,} rows, {len(self.languages)} languages,"
            f" largest block {self.largest_block:,})"
        )


def source(collection: Collection) -> TrainingTable:
    """Return the training rows of a collection.

    A row is a question group; ``question[row, x]`` is its version in language x and ``passage[row, y]`` the
    passage in language y that answers any version of it. Where a group has several relevant passages in a
    language, the first by row number is taken, and none of the others is ever a negative of the row. Where a
    group has several questions in one language, they become rows of their own, in one block. Questions
    without a relevant passage are left out.

    Two rows share a block if they share the question group, a relevant passage in any language, the group of
    one (so that a translation of a passage counts as the passage), or the text of a question or of a
    relevant passage but for case and blanks; also through a chain of such rows.

    The rows of a large collection that was opened from a folder are found once, and memory-mapped from the cache
    afterwards.

    Raises:
        PanglotError: No question has a relevant passage.
    """
    found = found_once(collection, lambda: _found(collection))
    return TrainingTable(collection.name, collection.languages, found.question, found.passage, found.block, found.mono)


def ready(collection: Collection) -> None:
    """Find the rows of a large saved collection now rather than when it is first trained on; others take no time."""
    if collection.folder is not None and collection.questions.num_rows >= LARGE:
        with contextlib.suppress(PanglotError):  # Nothing to train on: that is for the training to say.
            source(collection)


def _found(collection: Collection) -> Rows:
    languages = len(collection.languages)
    group = numbered(collection.questions["group"])
    asked_in, said_in = (
        _languages(table, collection.languages) for table in (collection.questions, collection.passages)
    )
    answered = np.zeros(int(group.max(initial=-1)) + 1, bool)
    for question_of, _ in collection.walk_pairs():
        answered[group[question_of]] = True
    if not answered.any():
        raise PanglotError(
            f"{collection.name} has no question with a relevant passage",
            hint="add judgements with a grade above 0, or leave the collection out of the training",
        )
    best, links, mono = _answers(collection, group, asked_in, said_in, len(answered))
    del said_in
    asked = np.flatnonzero(answered[group]).astype(np.int32)
    occurrence = _occurrence(group[asked].astype(np.int64) * languages + asked_in[asked])
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
    question[row, asked_in[asked]] = asked
    del row, first, asked_in
    # Where each group is one row, and in its place, as nearly always, the table of groups is that of rows.
    alike = len(group_of_row) == len(answered) and bool((group_of_row[1:] > group_of_row[:-1]).all())
    passage = best if alike else best[group_of_row]
    del best
    block_of_group = connect(len(answered), _shared(collection, group, asked, *links))
    return Rows(question, passage, _compact(block_of_group[group_of_row]), mono)


def _shared(
    collection: Collection, group: Ints32, asked: Ints32, linked_group: Ints32, linked_passage: Ints32
) -> Iterator[tuple[Ints32, Ints32]]:
    """Yield what makes question groups one block: the groups, and the things that they have."""
    yield linked_group, linked_passage
    yield linked_group, numbered(collection.passages["group"])[linked_passage]
    for rows, groups, table in (
        (linked_passage, linked_group, collection.passages),
        (asked, group[asked], collection.questions),
    ):
        chosen = np.zeros(table.num_rows, bool)
        chosen[rows] = True
        yield groups, text_numbers(table["text"], chosen)[rows]


def _answers(
    collection: Collection, group: Ints32, asked_in: Codes, said_in: Codes, groups: int
) -> tuple[Ints32, tuple[Ints32, Ints32], bool]:
    """Return the first passage of each group and language, which passages each group has, and whether any is mono."""
    best = np.full((groups, len(collection.languages)), np.iinfo(np.int32).max, np.int32)
    links: list[Ints] = []
    mono = False
    for question_of, passage_of in collection.walk_pairs():
        mine = group[question_of]
        np.minimum.at(best, (mine, said_in[passage_of]), passage_of)
        # The versions of a question mostly follow each other, and have the same answers.
        links.append(np.unique(mine.astype(np.int64) * collection.passages.num_rows + passage_of))
        mono = mono or bool((asked_in[question_of] == said_in[passage_of]).any())
    best[best == np.iinfo(np.int32).max] = -1
    linked = np.concatenate(links)
    links.clear()
    if (linked[1:] <= linked[:-1]).any():
        linked = np.unique(linked)
    linked_group = (linked // collection.passages.num_rows).astype(np.int32)
    linked %= collection.passages.num_rows
    return best, (linked_group, linked.astype(np.int32)), mono


def _languages(table: pa.Table, languages: tuple[str, ...]) -> Codes:
    """Return the language of each text as an index."""
    known = pa.array(languages, pa.string())
    found = [pc.index_in(batch.column(0), known).to_numpy().astype(np.int16) for batch in walk(table, ["language"])]
    return np.concatenate([np.empty(0, np.int16), *found])


def _compact(numbers: Ints32) -> Ints32:
    """Number values from 0, in their own order, so that none is left out."""
    there = np.zeros(int(numbers.max()) + 1, bool)
    there[numbers] = True
    return (np.cumsum(there, dtype=np.int32) - np.int32(1))[numbers]


def _occurrence(keys: Ints) -> Ints32:
    """Return for each key how many equal ones stand before it."""
    counts = np.zeros(len(keys), np.int32)
    ranked = np.sort(keys)
    if not (ranked[1:] == ranked[:-1]).any():
        return counts
    order = np.argsort(keys, kind="stable")
    starts = np.r_[True, np.diff(keys[order]) != 0]
    begin = np.maximum.accumulate(np.where(starts, np.arange(len(keys)), 0))
    counts[order] = np.arange(len(keys)) - begin
    return counts
