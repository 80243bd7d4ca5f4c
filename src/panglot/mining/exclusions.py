"""Find the passages that are never negatives of a question, whatever a model says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from panglot.data.columns import connect, text_numbers
from panglot.data.overlap import THRESHOLD, Texts
from panglot.evaluation.ranks import group_numbers

if TYPE_CHECKING:
    from panglot.data.collection import Collection, Ints

Sparse = Any  # scipy's csr_array, of which no stubs exist
_PASSAGES = 1 << 15


@dataclass(frozen=True)
class Exclusions:
    """Passages that texts, groups and judgements rule out as negatives.

    Rows are those of the collection. Of passages in one language that differ only in case and blanks, the first
    represents all: the others are in no matrix and are never candidates.

    Attributes:
        candidate: Rows of the passages that may be negatives of some question, rising.
        versions: Sparse bools, shape ``[questions, passages]``: the relevant passages of a question, of its
            translations and of equal questions with all passages of their groups, and the passages of the question's
            own group.
        copies: Sparse bools, shape ``[passages, passages]``: column passages that equal, contain or share half of the
            text of the row passage (:class:`panglot.data.overlap.Texts`). Only rows of :attr:`versions` are filled.
        judged: Sparse bools, shape ``[questions, passages]``: passages that are judged irrelevant already.
    """

    candidate: Ints
    versions: Sparse
    copies: Sparse
    judged: Sparse

    @classmethod
    def of(cls, collection: Collection) -> Self:
        """Find the exclusions of a collection."""
        texts = text_numbers(collection.passages["text"]), collection.passage_language
        _, first, same = np.unique(np.stack(texts), axis=1, return_index=True, return_inverse=True)
        representative = first[same.reshape(-1)].astype(np.int64)
        versions = _versions(collection, representative)
        grade = collection.relevance["grade"].to_numpy()
        irrelevant = collection.relevance.filter(pa.array(grade <= 0))
        asked, found = (irrelevant[side].to_numpy().astype(np.int64) for side in ("question", "passage"))
        judged = _matrix(asked, representative[found], versions.shape)
        return cls(np.unique(representative), versions, _copies(collection, representative, versions), judged)


def _versions(collection: Collection, representative: Ints) -> Sparse:
    """Return :attr:`Exclusions.versions`; ``representative`` is the row that represents each passage."""
    questions, passages = collection.questions.num_rows, collection.passages.num_rows
    row = np.arange(questions)
    # Translations share a group and equal questions share a text: chains of either are one question.
    asks = connect(
        questions, [(row, group_numbers(collection.questions)), (row, text_numbers(collection.questions["text"]))]
    ).astype(np.int64)
    group = group_numbers(collection.passages)
    question_of, passage_of = collection.pairs
    # A passage in the question's own group may answer it even if nobody judged the pair.
    names = dict(zip(collection.passages["group"].to_pylist(), group.tolist(), strict=True))
    own = np.array(
        [names.get(name, -1) if name else -1 for name in collection.questions["group"].to_pylist()], np.int64
    )
    asking = np.r_[asks[question_of], asks[own >= 0]]
    answering = np.r_[group[passage_of], own[own >= 0]]
    number = int(group.max(initial=-1)) + 1
    same_question = _matrix(row, asks, (questions, int(asks.max(initial=-1)) + 1))
    answers = _matrix(asking, answering, (same_question.shape[1], number))
    return same_question @ answers @ _matrix(group, representative, (number, passages))


def _copies(collection: Collection, representative: Ints, versions: Sparse) -> Sparse:
    """Return :attr:`Exclusions.copies`."""
    known = np.unique(versions.indices).astype(np.int64)
    others = np.unique(representative)
    column = collection.passages["text"]
    relevant = Texts(column.take(known).to_pylist())
    left: list[Ints] = [np.empty(0, np.int64)]
    right: list[Ints] = [np.empty(0, np.int64)]
    # In pieces, because the n-grams of all passages at once would need too much memory.
    for start in range(0, len(others), _PASSAGES):
        part = others[start : start + _PASSAGES]
        found = Texts(column.take(part).to_pylist()).matches(relevant)
        near = found.share >= THRESHOLD
        left.append(known[found.second[near]])
        right.append(part[found.first[near]])
    size = collection.passages.num_rows
    return _matrix(np.concatenate(left), np.concatenate(right), (size, size))


def _matrix(row: Ints, column: Ints, shape: tuple[int, int]) -> Sparse:
    from scipy.sparse import coo_array

    return coo_array((np.ones(len(row), bool), (row, column)), shape=shape).tocsr()
