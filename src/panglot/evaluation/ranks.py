"""Where every relevant passage stands, in its language's pool and in the pool of all languages."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError
from panglot.evaluation.lattice import Doubles, exponent, on_lattice, to_scores

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from panglot.corpus.collection import Collection, Ints
    from panglot.encoders.protocol import Vectors

_TILE = 1 << 15  # passages
_CELLS = 1 << 23  # scores
_CHUNKS = 128


@dataclass(frozen=True)
class Ranks:
    """Ranks of all relevant passages, and the head of each pooled ranking.

    Ranks count from 1; the order is total: score (as float32) falling, then passage id rising. The arrays
    ``question``, ``passage``, ``grade``, ``within`` and ``pooled`` run over the relevant pairs, sorted by
    question, then passage.

    Attributes:
        languages: The names of the language numbers.
        question_language: Language of each question, shape ``[questions]``.
        question_group: Group number of each question; a question without a group is its own.
        passage_language: Language of each passage, shape ``[passages]``.
        passage_group: Group number of each passage; a passage without a group is its own.
        pool: Number of passages in each language, shape ``[languages]``.
        question: Row of the question of each relevant pair.
        passage: Row of its passage.
        grade: Its grade, above 0.
        within: Its rank among the passages in the passage's own language.
        pooled: Its rank among all passages.
        top: Rows of the first passages of each question's pooled ranking, shape ``[questions, depth]``.
        top_scores: Their scores.
    """

    languages: tuple[str, ...]
    question_language: Ints
    question_group: Ints
    passage_language: Ints
    passage_group: Ints
    pool: Ints
    question: Ints
    passage: Ints
    grade: Ints
    within: Ints
    pooled: Ints
    top: npt.NDArray[np.int32]
    top_scores: Vectors


def rank(
    questions: Vectors,
    passages: Vectors,
    collection: Collection,
    *,
    depth: int = 100,
    tile: int = _TILE,
    cells: int = _CELLS,
) -> Ranks:
    """Rank every relevant passage by the dot product of its vector with the question's.

    Scores are held for a block of questions and a tile of passages at a time, never for all. The result is
    the same bits for every ``tile``, ``cells`` and number of threads (:mod:`panglot.evaluation.lattice`),
    and equal vectors tie.

    Args:
        questions: One row per question of the collection, shape ``[questions, dimension]``.
        passages: One row per passage, shape ``[passages, dimension]``.
        collection: Languages, groups, ids and relevance.
        depth: How many passages of the head of each pooled ranking to keep.
        tile: Passages per tile.
        cells: Scores per block and tile, at most; two blocks are in memory at once.

    Raises:
        PanglotError: The shapes do not fit the collection, or a number is not finite.
    """
    _check(questions, passages, collection)
    powers = exponent(questions), exponent(passages)
    left, right = on_lattice(questions, powers[0]), on_lattice(passages, powers[1])
    question, passage, grade = _relevant(collection)
    language = collection.passage_language
    names: list[str] = collection.passages["id"].to_pylist()
    by_id = np.empty(len(names), np.int64)
    by_id[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    by_language = np.argsort(language, kind="stable")
    depth = min(depth, len(passages))
    counter = _Counter(
        starts=np.searchsorted(question, np.arange(len(questions) + 1)),
        passage=passage,
        score=to_scores(_pair_products(left, right, question, passage), sum(powers)),
        language=language,
        by_id=by_id,
        within=np.ones(len(question), np.int64),
        pooled=np.ones(len(question), np.int64),
        top=np.full((len(questions), depth), -1, np.int32),
        top_scores=np.full((len(questions), depth), -np.inf, np.float32),
    )
    # One thread counts while the other multiplies.
    with ThreadPoolExecutor(1) as thread:
        busy: Future[None] | None = None
        for low, high in _blocks(len(passages), tile):
            part = _Tile.of(by_language[low:high], language, len(collection.languages))
            columns = right[part.passages].astype(np.float64).T
            for first, last in _blocks(len(questions), max(1, cells // (high - low))):
                products = left[first:last].astype(np.float64) @ columns
                if busy is not None:
                    busy.result()
                busy = thread.submit(counter.add, products, sum(powers), first, part)
        if busy is not None:
            busy.result()
    return Ranks(
        languages=collection.languages,
        question_language=collection.question_language,
        question_group=_groups(collection.questions),
        passage_language=language,
        passage_group=_groups(collection.passages),
        pool=np.bincount(language, minlength=len(collection.languages)),
        question=question,
        passage=passage,
        grade=grade,
        within=counter.within,
        pooled=counter.pooled,
        top=counter.top,
        top_scores=counter.top_scores,
    )


@dataclass(frozen=True)
class _Tile:
    """Some passages, in the order of their languages.

    Attributes:
        passages: Their rows.
        bounds: Language i lies between ``bounds[i]`` and ``bounds[i + 1]``.
        holds: Of all passages, whether each is here.
    """

    passages: Ints
    bounds: list[int]
    holds: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, passages: Ints, language: Ints, languages: int) -> _Tile:
        holds = np.zeros(len(language), bool)
        holds[passages] = True
        return cls(passages, np.searchsorted(language[passages], np.arange(languages + 1)).tolist(), holds)


@dataclass(frozen=True)
class _Counter:
    """The relevant pairs, sorted by question, and what the tiles have added so far."""

    starts: Ints
    passage: Ints
    score: Vectors
    language: Ints
    by_id: Ints
    within: Ints
    pooled: Ints
    top: npt.NDArray[np.int32]
    top_scores: Vectors

    def add(self, products: Doubles, power: int, first: int, tile: _Tile) -> None:
        """Add what a tile says of the questions from ``first`` on."""
        for question, row in enumerate(products, first):
            scores = to_scores(row, power)
            for pair in range(self.starts[question], self.starts[question + 1]):
                self._count(scores, pair, tile)
            if depth := self.top.shape[1]:
                floor = max(_bound(scores, depth), self.top_scores[question, -1])
                near = np.flatnonzero(scores >= floor)
                self._keep_head(-scores[near], tile.passages[near], question)

    def _count(self, scores: Vectors, pair: int, tile: _Tile) -> None:
        score, passage = self.score[pair], self.passage[pair]
        own = slice(*tile.bounds[self.language[passage] :][:2])
        above, reached = scores > score, scores >= score
        ahead, level = np.count_nonzero(above), np.count_nonzero(reached)
        self.pooled[pair] += ahead
        self.within[pair] += np.count_nonzero(above[own])
        if level - ahead > tile.holds[passage]:  # others than itself
            tied = np.flatnonzero(reached & ~above)
            tied = tied[self.by_id[tile.passages[tied]] < self.by_id[passage]]
            self.pooled[pair] += len(tied)
            self.within[pair] += np.count_nonzero((tied >= own.start) & (tied < own.stop))

    def _keep_head(self, falling: Vectors, near: Ints, question: int) -> None:
        depth = self.top.shape[1]
        old = np.count_nonzero(self.top[question] >= 0)
        if old:
            falling = np.concatenate([falling, -self.top_scores[question, :old]])
            near = np.concatenate([near, self.top[question, :old].astype(np.int64)])
        order = np.lexsort((self.by_id[near], falling))
        falling, near = falling[order], near[order]
        size = min(depth, len(near))
        self.top[question, :size] = near[:size]
        self.top_scores[question, :size] = -falling[:size]


def _bound(row: Vectors, depth: int) -> np.float32:
    """Return a score that at least ``depth`` passages reach: the weakest of the best of interleaved chunks.

    Far cheaper than selecting among the whole row, and only some 2 ``depth`` passages are left to sort.
    """
    chunks = max(_CHUNKS, depth + depth // 4)
    if len(row) < 4 * chunks:
        return np.float32(-np.inf)
    best = row[: len(row) // chunks * chunks].reshape(-1, chunks).max(axis=0)
    return np.partition(best, chunks - depth)[chunks - depth]


def _pair_products(left: Vectors, right: Vectors, question: Ints, passage: Ints) -> Doubles:
    products = np.empty(len(question))
    for a, b in _blocks(len(question), 1 << 12):
        sides = left[question[a:b]].astype(np.float64), right[passage[a:b]].astype(np.float64)
        products[a:b] = np.einsum("rd,rd->r", *sides)
    return products


def _relevant(collection: Collection) -> tuple[Ints, Ints, Ints]:
    q, p, grade = (collection.relevance[name].to_numpy().astype(np.int64) for name in ("question", "passage", "grade"))
    order = np.lexsort((-grade, p, q))
    q, p, grade = q[order], p[order], grade[order]
    first = np.ones(len(q), bool)
    first[1:] = (np.diff(q) != 0) | (np.diff(p) != 0)
    keep = first & (grade > 0)
    return q[keep], p[keep], grade[keep]


def _groups(table: pa.Table) -> Ints:
    names: list[str | None] = table["group"].to_pylist()
    numbers: dict[object, int] = {}
    # A text without a group must not meet the others that have none.
    return np.array([numbers.setdefault(name or row, len(numbers)) for row, name in enumerate(names)], np.int64)


def _blocks(total: int, size: int) -> Iterator[tuple[int, int]]:
    return ((at, min(at + size, total)) for at in range(0, total, size))


def _check(questions: Vectors, passages: Vectors, collection: Collection) -> None:
    for side, vectors, table in (
        ("question", questions, collection.questions),
        ("passage", passages, collection.passages),
    ):
        if vectors.ndim != 2 or len(vectors) != table.num_rows:
            raise PanglotError(
                f"{table.num_rows} {side}s, but {side} vectors of shape {vectors.shape}",
                cure=f"give one row for each {side}",
            )
    if questions.shape[1] != passages.shape[1]:
        raise PanglotError(
            f"question vectors have {questions.shape[1]} dimensions, passage vectors {passages.shape[1]}",
            cure="encode both with the same model",
        )
