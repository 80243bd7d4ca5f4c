"""A collection as a table of training rows: one row a question group, one column a language."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.batching.blocks import connect, text_numbers
from panglot.corpus.collection import Collection, Ints

LARGE_BLOCK = 0.1


@dataclass(frozen=True)
class Source:
    """Training rows of one collection.

    Attributes:
        name: The collection's name; it seeds the source's permutations, so no two sources of a plan share it.
        languages: Canonical BCP 47 codes, sorted.
        question: Row numbers in ``collection.questions``, −1 where there is no version, shape ``[rows,
            languages]``.
        passage: Row numbers in ``collection.passages``, −1 where there is none, shape ``[rows, languages]``.
        block: Rows that must never be each other's negatives share it, shape ``[rows]``.
        mono: Whether a passage in the question's own language is relevant anywhere; False for translations,
            where it is the question itself. Such a source serves no one-language rows.
    """

    name: str
    languages: tuple[str, ...]
    question: Ints
    passage: Ints
    block: Ints
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
            f"Source({self.name!r}: {self.rows:,} rows, {len(self.languages)} languages,"
            f" largest block {self.largest_block:,})"
        )


def source(collection: Collection) -> Source:
    """Return the training rows of a collection.

    A row is a question group; ``question[row, x]`` is its version in language x and ``passage[row, y]`` the
    passage in language y that answers any version of it. Where a group has several relevant passages in a
    language, the first by row number is taken, and none of the others is ever a negative of the row. Where a
    group has several questions in one language, they become rows of their own, in one block. Questions
    without a relevant passage are left out.

    Two rows share a block if they share the question group, a relevant passage in any language, the group of
    one (so that a translation of a passage counts as the passage), or the text of a question or of a
    relevant passage but for case and blanks; also through a chain of such rows.

    Raises:
        PanglotError: No question has a relevant passage.
    """
    group = _numbers(collection.questions["group"])
    language = len(collection.languages)
    question_of, passage_of = collection.pairs
    if not len(question_of):
        raise PanglotError(
            f"{collection.name} has no question with a relevant passage",
            cure="add judgements with a grade above 0, or leave the collection out of the training",
        )
    answered = np.zeros(group.max() + 1, bool)
    answered[group[question_of]] = True
    asked = np.flatnonzero(answered[group])
    occurrence = _occurrence(group[asked] * language + collection.question_language[asked])
    order = np.lexsort((asked, occurrence, group[asked]))
    asked, occurrence = asked[order], occurrence[order]
    first = np.r_[True, (np.diff(group[asked]) != 0) | (np.diff(occurrence) != 0)]
    row = np.cumsum(first) - 1
    group_of_row = group[asked[first]]

    question = np.full((len(group_of_row), language), -1, np.int64)
    question[row, collection.question_language[asked]] = asked
    passage_of_group = np.full((len(answered), language), np.iinfo(np.int64).max, np.int64)
    np.minimum.at(passage_of_group, (group[question_of], collection.passage_language[passage_of]), passage_of)
    passage_of_group[passage_of_group == np.iinfo(np.int64).max] = -1

    links = np.unique(group[question_of] * collection.passages.num_rows + passage_of)
    linked_group, linked_passage = np.divmod(links, collection.passages.num_rows)
    relevant = np.unique(linked_passage)
    passage_group = _numbers(collection.passages["group"])[linked_passage]
    passage_text = np.zeros(collection.passages.num_rows, np.int64)
    passage_text[relevant] = text_numbers(collection.passages["text"].take(pa.array(relevant)))
    block_of_group = connect(
        len(answered),
        (linked_group, linked_passage),
        (linked_group, passage_group),
        (linked_group, passage_text[linked_passage]),
        (group[asked], text_numbers(collection.questions["text"].take(pa.array(asked)))),
    )
    block = np.unique(block_of_group[group_of_row], return_inverse=True)[1]
    return Source(
        collection.name,
        collection.languages,
        question,
        passage_of_group[group_of_row],
        block.astype(np.int64),
        bool((collection.question_language[question_of] == collection.passage_language[passage_of]).any()),
    )


def _numbers(column: pa.ChunkedArray) -> Ints:
    """Number the values of a column in the order of their first occurrence."""
    return column.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)


def _occurrence(keys: Ints) -> Ints:
    """Return for each key how many equal ones stand before it."""
    order = np.argsort(keys, kind="stable")
    starts = np.r_[True, np.diff(keys[order]) != 0]
    begin = np.maximum.accumulate(np.where(starts, np.arange(len(keys)), 0))
    counts = np.empty(len(keys), np.int64)
    counts[order] = np.arange(len(keys)) - begin
    return counts
