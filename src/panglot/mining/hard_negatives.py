"""Find hard negatives: what is never a negative, and an exact search for the hardest of the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import pyarrow as pa

from panglot._progress import progress
from panglot.data.columns import connect, text_numbers
from panglot.data.overlap import THRESHOLD, Texts
from panglot.evaluation.exact_scores import Bools, Doubles, ExactScores, parts
from panglot.evaluation.ranks import group_numbers

if TYPE_CHECKING:
    from panglot.data.collection import Collection, Ints
    from panglot.encoders.protocol import Vectors

REASONS = ("version of a relevant passage", "text shared with one", "too similar to one", "above the margin")
_BLOCK, _TILE = 256, 1 << 15
_PASSAGES = 1 << 15

Sparse = Any  # scipy's csr_array, of which no stubs exist


@dataclass(frozen=True)
class Margin:
    """How far below the relevant passage a negative must be, as :func:`panglot.mine` takes it."""

    relative: float = 0.05
    absolute: float = 0.0
    similarity: float = 1.0

    def bound(self, score: Doubles) -> Doubles:
        """Return the highest score that a negative may have beside relevant passages with ``score``.

        >>> Margin(0.05).bound(np.array([0.8, -0.2])).round(3).tolist()
        [0.76, -0.21]
        """
        return np.minimum(score - self.relative * np.abs(score), score - self.absolute)


@dataclass(frozen=True)
class Exclusions:
    """Passages that texts, groups and judgements rule out as negatives, whatever a model says.

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
        relevance = collection.qrels["relevance"].to_numpy()
        irrelevant = collection.qrels.filter(pa.array(relevance <= 0))
        asked, found = (irrelevant[side].to_numpy().astype(np.int64) for side in ("question", "passage"))
        judged = _matrix(asked, representative[found], versions.shape)
        return cls(np.unique(representative), versions, _copies(collection, representative, versions), judged)


def _versions(collection: Collection, representative: Ints) -> Sparse:
    # `representative` is the row that represents each passage.
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


class HardNegatives(NamedTuple):
    """The result of mining.

    ``passage`` has the rows of the negatives, the hardest first, −1 after the last, shape ``[questions, negatives]``.
    ``excluded`` counts the excluded pairs of a question and a passage in its languages, by the first of
    :data:`REASONS` that applies.
    """

    passage: Ints
    excluded: dict[str, int]


def mine_hard_negatives(
    questions: Vectors,
    passages: Vectors,
    collection: Collection,
    exclusions: Exclusions,
    allowed: Bools,
    negatives: int,
    margin: Margin,
    *,
    block: int = _BLOCK,
    tile: int = _TILE,
) -> HardNegatives:
    """Return the best-ranked passages that do not answer each question.

    A candidate is compared with the question's best relevant passage in the candidate's own language, because scores
    across languages are lower. A question without one there is compared with its best in any language. Passages that
    are judged irrelevant already need no margin. Equal scores are ordered by row. The result is the same for every
    ``block`` and ``tile`` (:mod:`panglot.evaluation.exact_scores`).

    ``questions`` and ``passages`` are unit vectors, shape ``[texts, dimension]``. ``allowed`` marks the languages that
    each question's negatives may have, shape ``[questions, languages]``.
    """
    scores = ExactScores.of(questions, passages)
    reference, product = _references(scores, collection)
    limit = margin.bound(product * scores.unit)
    passage = np.full((len(questions), negatives), -1, np.int64)
    best = np.full((len(questions), negatives), -np.inf)
    excluded: dict[str, int] = dict.fromkeys(REASONS, 0)
    work = allowed & (reference >= 0)
    with progress("searching negatives", int(work.sum())) as advance:
        # One language at a time, because the margin depends on the relevant passage in that language.
        for language in range(len(collection.languages)):
            candidates = exclusions.candidate[collection.passage_language[exclusions.candidate] == language]
            blocks = [(rows, _Marks.of(exclusions, rows)) for rows in parts(np.flatnonzero(work[:, language]), block)]
            for part in scores.tiles(candidates, tile):
                for rows, marks in blocks:
                    score = part.products(rows) * scores.unit
                    version, shared, judged = marks.within(part.documents)
                    alike = False
                    if margin.similarity < 1:
                        cosine = part.products_of_documents(reference[rows, language]) * scores.document_unit
                        alike = cosine >= margin.similarity
                    high = score > limit[rows, language, None]
                    # Versions of the answer are out even if judged irrelevant; the other reasons spare judged ones.
                    out = version.copy()
                    excluded[REASONS[0]] += int(out.sum())
                    for reason, mark in zip(REASONS[1:], (shared, alike, high), strict=True):
                        more = mark & ~out & ~judged
                        excluded[reason] += int(more.sum())
                        out |= more
                    score[out] = -np.inf
                    best[rows], passage[rows] = _merged(best[rows], passage[rows], score, part.documents)
            for rows, _ in blocks:
                advance(len(rows))
    return HardNegatives(passage, excluded)


def _references(scores: ExactScores, collection: Collection) -> tuple[Ints, Doubles]:
    """Return the relevant passage that candidates in each language are compared with, and its product.

    Both have the shape ``[questions, languages]``. The passage is −1 where a question has no relevant one.
    """
    question, passage = collection.pairs
    shape = len(scores.queries), len(collection.languages)
    found, score = np.full(shape, -1, np.int64), np.zeros(shape)
    product = scores.pairs(question, passage)
    # Later assignments win below, so the best comes last, and of equal ones the first row.
    order = np.lexsort((-passage, product))
    language = collection.passage_language[passage]
    best = np.full(shape[0], -1, np.int64)
    best[question[order]] = order
    found[question[order], language[order]] = passage[order]
    score[question[order], language[order]] = product[order]
    row, missing = np.nonzero((found < 0) & (best >= 0)[:, None])
    found[row, missing], score[row, missing] = passage[best[row]], product[best[row]]
    return found, score


@dataclass(frozen=True)
class _Marks:
    """Excluded and judged passages of a block, as (position of the question in the block, row of the passage)."""

    size: int
    kinds: tuple[tuple[Ints, Ints], ...]

    @classmethod
    def of(cls, exclusions: Exclusions, rows: Ints) -> _Marks:
        versions = exclusions.versions[rows]
        kinds = (versions, versions @ exclusions.copies, exclusions.judged[rows])
        return cls(len(rows), tuple(kind.tocoo().coords for kind in kinds))

    def within(self, columns: Ints) -> tuple[Bools, ...]:
        """Return each kind of mark for passages in rising order, shape ``[questions, columns]``."""
        found: list[Bools] = []
        for row, passage in self.kinds:
            at = np.searchsorted(columns, passage)
            inside = np.flatnonzero(at < len(columns))
            inside = inside[columns[at[inside]] == passage[inside]]
            mark = np.zeros((self.size, len(columns)), bool)
            mark[row[inside], at[inside]] = True
            found.append(mark)
        return tuple(found)


def _merged(best: Doubles, passage: Ints, scores: Doubles, columns: Ints) -> tuple[Doubles, Ints]:
    """Return the first entries of two rankings together: by falling score, then by row."""
    number = best.shape[1]
    if scores.shape[1] > number:
        # Only what reaches the last place can enter, ties included.
        cut = np.partition(scores, -number, axis=1)[:, -number, None]
        row, column = np.nonzero((scores >= cut) & (scores > -np.inf))
    else:
        row, column = np.nonzero(scores > -np.inf)
    old_row, old_column = np.nonzero(passage >= 0)
    rows = np.r_[old_row, row]
    values = np.r_[best[old_row, old_column], scores[row, column]]
    names = np.r_[passage[old_row, old_column], columns[column]]
    order = np.lexsort((names, -values, rows))
    rows = rows[order]
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    first = place < number
    best, passage = np.full_like(best, -np.inf), np.full_like(passage, -1)
    best[rows[first], place[first]] = values[order][first]
    passage[rows[first], place[first]] = names[order][first]
    return best, passage
