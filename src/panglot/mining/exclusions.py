"""Which passages are never negatives of a question, whatever a model says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from panglot.batching.table import text_numbers
from panglot.data.keys import connect
from panglot.data.overlap import THRESHOLD, Texts
from panglot.evaluation.ranks import group_numbers

if TYPE_CHECKING:
    from panglot.data.collection import Collection, Ints

Sparse = Any  # scipy's csr_array, of which no stubs exist
_PASSAGES = 1 << 15


@dataclass(frozen=True)
class Exclusions:
    """What the texts, groups and judgements alone say.

    Rows are those of the collection. Passages of one language that are equal but for case and blanks count as one,
    the first: the others stand in no matrix and are no candidates.

    Attributes:
        candidate: Rows of the passages that may be negatives of some question, rising.
        versions: The relevant passages of a question, of its translations and of equal questions, with all passages of
            their groups, and the passages of the question's own group; bools, shape ``[questions, passages]``, sparse.
        copies: Passages that equal, contain or half share the text of another (:class:`panglot.data.overlap.Texts`),
            shape ``[passages, passages]``: row one that is some question's version, column any other.
        judged: Passages that are judged irrelevant already, shape ``[questions, passages]``.
    """

    candidate: Ints
    versions: Sparse
    copies: Sparse
    judged: Sparse


def barred(collection: Collection) -> Exclusions:
    """Return which passages of a collection are never negatives of which questions."""
    texts = text_numbers(collection.passages["text"]), collection.passage_language
    _, first, same = np.unique(np.stack(texts), axis=1, return_index=True, return_inverse=True)
    one = first[same.reshape(-1)].astype(np.int64)
    versions = _versions(collection, one)
    grade = collection.relevance["grade"].to_numpy()
    irrelevant = collection.relevance.filter(pa.array(grade <= 0))
    asked, found = (irrelevant[side].to_numpy().astype(np.int64) for side in ("question", "passage"))
    judged = _matrix(asked, one[found], versions.shape)
    return Exclusions(np.unique(one), versions, _copies(collection, one, versions), judged)


def _versions(collection: Collection, one: Ints) -> Sparse:
    """Return question x passage; ``one`` is the row that stands for each passage."""
    questions, passages = collection.questions.num_rows, collection.passages.num_rows
    row = np.arange(questions)
    asks = connect(
        questions, [(row, group_numbers(collection.questions)), (row, text_numbers(collection.questions["text"]))]
    ).astype(np.int64)
    group = group_numbers(collection.passages)
    question_of, passage_of = collection.pairs
    names = dict(zip(collection.passages["group"].to_pylist(), group.tolist(), strict=True))
    own = np.array(
        [names.get(name, -1) if name else -1 for name in collection.questions["group"].to_pylist()], np.int64
    )
    asking = np.r_[asks[question_of], asks[own >= 0]]
    answering = np.r_[group[passage_of], own[own >= 0]]
    number = int(group.max(initial=-1)) + 1
    same_question = _matrix(row, asks, (questions, int(asks.max(initial=-1)) + 1))
    answers = _matrix(asking, answering, (same_question.shape[1], number))
    return same_question @ answers @ _matrix(group, one, (number, passages))


def _copies(collection: Collection, one: Ints, versions: Sparse) -> Sparse:
    """Return passage x passage: those that half share the text of a passage which is some question's version."""
    known = np.unique(versions.indices).astype(np.int64)
    others = np.unique(one)
    column = collection.passages["text"]
    answers = Texts(column.take(known).to_pylist())
    left: list[Ints] = [np.empty(0, np.int64)]
    right: list[Ints] = [np.empty(0, np.int64)]
    for start in range(0, len(others), _PASSAGES):
        part = others[start : start + _PASSAGES]
        found = Texts(column.take(part).to_pylist()).matches(answers)
        near = found.share >= THRESHOLD
        left.append(known[found.second[near]])
        right.append(part[found.first[near]])
    size = collection.passages.num_rows
    return _matrix(np.concatenate(left), np.concatenate(right), (size, size))


def _matrix(row: Ints, column: Ints, shape: tuple[int, int]) -> Sparse:
    from scipy.sparse import coo_array

    return coo_array((np.ones(len(row), bool), (row, column)), shape=shape).tocsr()
