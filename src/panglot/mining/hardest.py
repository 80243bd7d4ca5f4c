"""Exact search for the hardest negatives, in blocks of questions and tiles of passages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from panglot._progress import progress
from panglot.evaluation.exact_scores import Doubles, exponent, on_lattice

if TYPE_CHECKING:
    from panglot.data.collection import Collection, Ints
    from panglot.encoders.protocol import Vectors
    from panglot.mining.exclusions import Exclusions

Bools = npt.NDArray[np.bool_]
REASONS = ("version of a relevant passage", "text shared with one", "too similar to one", "above the margin")
_BLOCK, _TILE = 256, 1 << 15


@dataclass(frozen=True)
class Margin:
    """How far below the relevant passage a negative stands.

    Attributes:
        relative: A negative's score is at most (1 - relative) times the relevant passage's (2407.15831, TopK-PercPos).
        absolute: And at most its score less this.
        similarity: The cosine with the relevant passage is below this.
    """

    relative: float = 0.05
    absolute: float = 0.0
    similarity: float = 1.0

    def bound(self, score: Doubles) -> Doubles:
        """Return the highest score that a negative may have beside relevant passages with ``score``.

        >>> Margin(0.05).bound(np.array([0.8, -0.2])).round(3).tolist()
        [0.76, -0.21]
        """
        return np.minimum(score - self.relative * np.abs(score), score - self.absolute)


class Found(NamedTuple):
    """The negatives.

    Attributes:
        passage: Rows of the passages, the hardest first, -1 where there are no more, shape ``[questions, negatives]``.
        left_out: How many pairs of a question and a passage in its languages were left out, by the first of
            :data:`REASONS` that holds.
    """

    passage: Ints
    left_out: dict[str, int]


def hardest(
    questions: Vectors,
    passages: Vectors,
    collection: Collection,
    barred: Exclusions,
    allowed: Bools,
    negatives: int,
    margin: Margin,
    *,
    block: int = _BLOCK,
    tile: int = _TILE,
) -> Found:
    """Return the best-ranked passages that are no answer, for each question.

    The relevant passage that a candidate is held against is the question's best in the candidate's language, for
    scores across languages are lower; where it has none there, its best in any. Passages judged irrelevant already
    need not keep the margin. Equal scores go by row. The result is the same for every ``block`` and ``tile``
    (:mod:`panglot.evaluation.exact_scores`).

    Args:
        questions: Unit vectors, shape ``[questions, dimension]``.
        passages: Unit vectors, shape ``[passages, dimension]``.
        collection: Languages and relevance.
        barred: What texts, groups and judgements say.
        allowed: Languages in which each question's negatives may be, shape ``[questions, languages]``.
        negatives: How many for each question, at most.
        margin: How far below the relevant passage.
        block: Questions at a time.
        tile: Passages at a time.
    """
    powers = exponent(questions), exponent(passages)
    left, right = on_lattice(questions, powers[0]), on_lattice(passages, powers[1])
    unit = 2.0 ** (sum(powers) - 52), 2.0 ** (2 * powers[1] - 52)
    reference, score = _references(left, right, collection)
    limit = margin.bound(score * unit[0])
    passage = np.full((len(questions), negatives), -1, np.int64)
    best = np.full((len(questions), negatives), -np.inf)
    left_out: dict[str, int] = dict.fromkeys(REASONS, 0)
    work = allowed & (reference >= 0)
    with progress("searching negatives", int(work.sum())) as advance:
        for language in range(len(collection.languages)):
            columns = barred.candidate[collection.passage_language[barred.candidate] == language]
            for rows in _parts(np.flatnonzero(work[:, language]), block):
                marks = _Marks.of(barred, rows)
                asks, answers = left[rows].astype(np.float64), right[reference[rows, language]].astype(np.float64)
                for part in _parts(columns, tile):
                    texts = right[part].astype(np.float64).T
                    scores = asks @ texts * unit[0]
                    version, shared, judged = marks.within(part)
                    alike = answers @ texts * unit[1] >= margin.similarity if margin.similarity < 1 else False
                    high = scores > limit[rows, language, None]
                    out = version.copy()
                    left_out[REASONS[0]] += int(out.sum())
                    for reason, mark in zip(REASONS[1:], (shared, alike, high), strict=True):
                        more = mark & ~out & ~judged
                        left_out[reason] += int(more.sum())
                        out |= more
                    scores[out] = -np.inf
                    best[rows], passage[rows] = _merged(best[rows], passage[rows], scores, part)
                advance(len(rows))
    return Found(passage, left_out)


def _references(left: Vectors, right: Vectors, collection: Collection) -> tuple[Ints, Doubles]:
    """Return the relevant passage that candidates in each language are held against, and its product.

    Both have the shape ``[questions, languages]``; the passage is -1 where a question has no relevant one.
    """
    question, passage = collection.pairs
    shape = len(left), len(collection.languages)
    found, score = np.full(shape, -1, np.int64), np.zeros(shape)
    product = np.empty(len(question))
    for at in _parts(np.arange(len(question)), 1 << 12):
        sides = left[question[at]].astype(np.float64), right[passage[at]].astype(np.float64)
        product[at] = np.einsum("rd,rd->r", *sides)
    # The best comes last, and of equal ones the first row.
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
    """The barred and the judged passages of some questions, as (place of the question, row of the passage)."""

    size: int
    kinds: tuple[tuple[Ints, Ints], ...]

    @classmethod
    def of(cls, barred: Exclusions, rows: Ints) -> _Marks:
        versions = barred.versions[rows]
        kinds = (versions, versions @ barred.copies, barred.judged[rows])
        return cls(len(rows), tuple(kind.tocoo().coords for kind in kinds))

    def within(self, columns: Ints) -> tuple[Bools, ...]:
        """Return each kind of mark for the passages in ``columns``, which rise, shape ``[questions, columns]``."""
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
    """Return the first of two rankings together: scores falling, equal ones by row."""
    number = best.shape[1]
    if scores.shape[1] > number:
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
    kept = place < number
    best, passage = np.full_like(best, -np.inf), np.full_like(passage, -1)
    best[rows[kept], place[kept]] = values[order][kept]
    passage[rows[kept], place[kept]] = names[order][kept]
    return best, passage


def _parts(rows: Ints, size: int) -> Iterator[Ints]:
    return (rows[at : at + size] for at in range(0, len(rows), size))
