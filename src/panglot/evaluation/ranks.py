"""Rank every relevant passage in its language's pool and in the pool of all languages."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from panglot._environment import cores
from panglot._errors import PanglotError
from panglot.evaluation.exact_scores import Doubles, ExactScores, parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from panglot.data.collection import Collection, Ints
    from panglot.encoders.protocol import Vectors
    from panglot.evaluation.exact_scores import Tile

_TILE = 1 << 15  # passages: 256 MB in doubles at 1,024 dimensions
_CELLS = 1 << 23  # scores: 64 MB in doubles
_CHUNKS = 128
#: The rank of a relevant passage that a run does not list. No measure of one ranking counts it as found.
UNLISTED = 1 << 40


@dataclass(frozen=True)
class Ranks:
    """Ranks of all relevant passages, and the first passages of each pooled ranking.

    Ranks count from 1. Passages are ordered by falling score (as float32), then by rising id, so no two share a
    rank. The arrays ``question``, ``passage``, ``relevance``, ``rank_in_language`` and ``rank_in_pool`` have the
    shape ``[pairs]``: one entry per relevant pair, sorted by question, then passage.

    Attributes:
        languages: Name of each language number.
        question_language: Language of each question, shape ``[questions]``.
        question_group: Group of each question, shape ``[questions]``. A question without a group is its own.
        passage_language: Language of each passage, shape ``[passages]``.
        passage_group: Group of each passage, shape ``[passages]``. A passage without a group is its own.
        pool: Number of passages in each language, shape ``[languages]``.
        question: Row of the question of each pair.
        passage: Row of the passage of each pair.
        relevance: Graded relevance of each pair, above 0.
        rank_in_language: Rank of the passage among the passages in its language.
        rank_in_pool: Rank of the passage among all passages.
        top: Rows of the first passages of each pooled ranking, shape ``[questions, depth]``.
        top_scores: Scores of these passages, shape ``[questions, depth]``.
    """

    languages: tuple[str, ...]
    question_language: Ints
    question_group: Ints
    passage_language: Ints
    passage_group: Ints
    pool: Ints
    question: Ints
    passage: Ints
    relevance: Ints
    rank_in_language: Ints
    rank_in_pool: Ints
    top: npt.NDArray[np.int32]
    top_scores: Vectors


def rank(
    questions: Vectors, passages: Vectors, collection: Collection, *, depth: int = 100, tile: int = _TILE,
    cells: int = _CELLS, threads: int | None = None,
) -> Ranks:  # fmt: skip
    """Rank every relevant passage by the dot product of its vector with the question's.

    Memory holds the scores of a block of questions and a tile of passages at a time. The result is the same bits for
    every ``tile``, ``cells`` and number of threads (:mod:`panglot.evaluation.exact_scores`), and passages with equal
    vectors tie.

    Args:
        questions: One row per question of the collection, shape ``[questions, dimension]``.
        passages: One row per passage, shape ``[passages, dimension]``.
        collection: Languages, groups, ids and relevance.
        depth: Number of passages to keep of each pooled ranking.
        tile: Passages per tile.
        cells: Scores in memory at once, over all threads.
        threads: Number of threads. The default is one per core that this process may use.

    Raises:
        PanglotError: The shapes do not fit the collection, or a number is not finite.
    """
    _check(questions, passages, collection)
    scores = ExactScores.of(questions, passages)
    question, passage, relevance = relevant_pairs(collection)
    language = collection.passage_language
    names: list[str] = collection.passages["id"].to_pylist()
    # Ties are broken by id, so every comparison of ids becomes one of positions.
    by_id = np.empty(len(names), np.int64)
    by_id[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    # Sorted by language, so that the passages of one language are a slice of every tile.
    by_language = np.argsort(language, kind="stable")
    depth, one_tile = min(depth, len(passages)), len(passages) <= tile
    counter = _RankCounter(
        starts=np.searchsorted(question, np.arange(len(questions) + 1)),
        passage=passage,
        # A single tile holds every pair's score, so that nothing is multiplied twice.
        score=np.empty(len(question), np.float32) if one_tile else scores.pairs(question, passage).astype(np.float32),
        language=language,
        by_id=by_id,
        # Ranks count from 1, and each passage ahead adds 1.
        rank_in_language=np.ones(len(question), np.int64),
        rank_in_pool=np.ones(len(question), np.int64),
        top=np.full((len(questions), depth), -1, np.int32),
        top_scores=np.full((len(questions), depth), -np.inf, np.float32),
    )
    workers = threads or cores()
    # BLAS gets one thread because each of ours multiplies and counts for questions of its own.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        for part in scores.tiles(by_language, tile):
            place = _Place.of(part.documents, language, len(collection.languages))
            size = min(cells // workers // len(part.documents), -(-len(questions) // workers))

            def work(block: Ints, part: Tile = part, place: _Place = place) -> None:
                products = part.products(block)
                if one_tile:
                    counter.read_scores(products, block[0], place)
                counter.add(products, block[0], place)

            list(pool.map(work, parts(np.arange(len(questions)), max(1, size))))
    return Ranks(
        languages=collection.languages,
        question_language=collection.question_language,
        question_group=group_numbers(collection.questions),
        passage_language=language,
        passage_group=group_numbers(collection.passages),
        pool=np.bincount(language, minlength=len(collection.languages)),
        question=question,
        passage=passage,
        relevance=relevance,
        rank_in_language=counter.rank_in_language,
        rank_in_pool=counter.rank_in_pool,
        top=counter.top,
        top_scores=counter.top_scores * np.float32(scores.unit),
    )


def trec_run(
    ranks: Ranks, collection: Collection, depth: int | None = None, *, question_ids: Sequence[str] | None = None
) -> dict[str, dict[str, float]]:
    """Return the first passages of each pooled ranking: ``{question id: {passage id: score}}``, the best first.

    :func:`panglot.data.formats.trec.write_run` writes it. Scores are float32, as in trec_eval. Equal scores become
    unequal by the least steps, because other tools order equal scores in other ways. ``question_ids`` replace those of
    the collection.
    """
    questions: list[str] = list(question_ids or collection.questions["id"].to_pylist())
    passages: list[str] = collection.passages["id"].to_pylist()
    top, scores = ranks.top[:, :depth].tolist(), _falling(ranks.top_scores[:, :depth]).tolist()
    return {
        question: {passages[row]: score for row, score in zip(rows, values, strict=True) if row >= 0}
        for question, rows, values in zip(questions, top, scores, strict=True)
    }


def trec_qrels(collection: Collection, *, question_ids: Sequence[str] | None = None) -> dict[str, dict[str, int]]:
    """Return the judgements of the pool of all languages: ``{question id: {passage id: relevance}}``."""
    questions: list[str] = list(question_ids or collection.questions["id"].to_pylist())
    passages: list[str] = collection.passages["id"].to_pylist()
    judged: dict[str, dict[str, int]] = {}
    columns = (collection.relevance[name].to_pylist() for name in ("question", "passage", "grade"))
    for question, passage, relevance in zip(*columns, strict=True):
        judged.setdefault(questions[question], {})[passages[passage]] = relevance
    return judged


def _falling(scores: Vectors) -> Vectors:
    """Return scores of which each is less than the one before, shape ``[questions, depth]``, float32."""
    found = scores.astype(np.float32, copy=True)
    for place in range(1, found.shape[1]):
        below = np.nextafter(found[:, place - 1], np.float32(-np.inf), dtype=np.float32)
        found[:, place] = np.minimum(found[:, place], below)
    return found


def group_numbers(table: pa.Table) -> Ints:
    """Return a number for the group of each text, shape ``[texts]``. A text without a group gets its own."""
    names: list[str | None] = table["group"].to_pylist()
    numbers: dict[object, int] = {}
    # The row stands in for a missing group, so that texts without one never share a number.
    return np.array([numbers.setdefault(name or row, len(numbers)) for row, name in enumerate(names)], np.int64)


def _check(questions: Vectors, passages: Vectors, collection: Collection) -> None:
    sides = ("question", questions, collection.questions), ("passage", passages, collection.passages)
    for side, vectors, table in sides:
        if vectors.ndim != 2 or len(vectors) != table.num_rows:
            problem = f"expected one vector for each of {table.num_rows} {side}s, got an array of shape {vectors.shape}"
            raise PanglotError(problem, hint=f"give one row per {side}")
    if questions.shape[1] != passages.shape[1]:
        problem = f"question vectors have {questions.shape[1]} dimensions, passage vectors have {passages.shape[1]}"
        raise PanglotError(problem, hint="encode both with the same model")


def relevant_pairs(collection: Collection) -> tuple[Ints, Ints, Ints]:
    """Return question, passage and relevance of the relevant pairs, sorted. The highest of two judgements counts."""
    table = collection.relevance
    q, p, relevance = (table[name].to_numpy().astype(np.int64) for name in ("question", "passage", "grade"))
    q, p, relevance = q[relevance > 0], p[relevance > 0], relevance[relevance > 0]
    key = q * max(1, collection.passages.num_rows) + p
    order = np.argsort(key, kind="stable")
    key, first = np.unique(key[order], return_index=True)
    relevance = np.maximum.reduceat(relevance[order], first) if len(first) else relevance
    return q[order][first], p[order][first], relevance


@dataclass(frozen=True)
class _Place:
    """Where passages are in a tile, in which they are sorted by language."""

    passages: Ints  # rows in the collection
    bounds: Ints  # language i is between bounds[i] and bounds[i + 1]
    column: Ints  # of each passage of the collection in the tile, or −1

    @classmethod
    def of(cls, passages: Ints, language: Ints, languages: int) -> _Place:
        column = np.full(len(language), -1, np.int64)
        column[passages] = np.arange(len(passages))
        return cls(passages, np.searchsorted(language[passages], np.arange(languages + 1)), column)


@dataclass(frozen=True)
class _RankCounter:
    """The relevant pairs, sorted by question, and what the tiles have added so far.

    Scores are the whole numbers of :class:`ExactScores`, rounded to float32. Equal scores are ordered by id.
    """

    starts: Ints  # the pairs of question i are between starts[i] and starts[i + 1]
    passage: Ints  # of each pair
    score: Vectors  # of each pair
    language: Ints  # of each passage
    by_id: Ints  # position of each passage among the sorted ids
    rank_in_language: Ints  # of each pair, so far
    rank_in_pool: Ints
    top: npt.NDArray[np.int32]  # the best passages of each question so far, −1 after the last one
    top_scores: Vectors

    def read_scores(self, products: Doubles, first: int, place: _Place) -> None:
        """Take the scores of the pairs of the questions from ``first`` on out of a tile of all passages."""
        begin, end = self.starts[first], self.starts[first + len(products)]
        row = np.repeat(np.arange(len(products)), np.diff(self.starts[first : first + len(products) + 1]))
        self.score[begin:end] = products[row, place.column[self.passage[begin:end]]]

    def add(self, products: Doubles, first: int, place: _Place) -> None:
        """Count a tile's passages for the questions from ``first`` on."""
        depth = self.top.shape[1]
        for question, row in enumerate(products, first):
            scores = row.astype(np.float32)
            pairs = range(self.starts[question], self.starts[question + 1])
            least = max(_lower_bound(scores, depth), self.top_scores[question, -1]) if depth else np.float32(np.inf)
            # Passages below both the last one kept and the weakest relevant one change nothing.
            floor = self.score[pairs.start : pairs.stop].min(initial=least)
            near = np.flatnonzero(scores >= floor)
            scores = scores[near]
            passages, bounds = place.passages[near], np.searchsorted(near, place.bounds).tolist()
            for pair in pairs:
                self._count(pair, scores, passages, bounds, holds=bool(place.column[self.passage[pair]] >= 0))
            if depth:
                best = scores >= least
                self._keep_top(-scores[best], passages[best], question)

    def _count(self, pair: int, scores: Vectors, passages: Ints, bounds: list[int], *, holds: bool) -> None:
        score, passage = self.score[pair], self.passage[pair]
        language = self.language[passage]
        begin, end = bounds[language], bounds[language + 1]
        # Languages are slices of the tile, so one comparison serves both ranks.
        above = scores > score
        ahead = np.count_nonzero(above)
        self.rank_in_pool[pair] += ahead
        self.rank_in_language[pair] += np.count_nonzero(above[begin:end])
        if np.count_nonzero(scores >= score) - ahead > holds:  # something else ties with it
            tied = np.flatnonzero(scores == score)
            tied = tied[self.by_id[passages[tied]] < self.by_id[passage]]
            self.rank_in_pool[pair] += len(tied)
            self.rank_in_language[pair] += np.count_nonzero((tied >= begin) & (tied < end))

    def _keep_top(self, falling: Vectors, near: Ints, question: int) -> None:
        depth = self.top.shape[1]
        # Passages of earlier tiles compete with those of this one.
        old = np.count_nonzero(self.top[question] >= 0)
        if old:
            falling = np.concatenate([falling, -self.top_scores[question, :old]])
            near = np.concatenate([near, self.top[question, :old].astype(np.int64)])
        order = np.lexsort((self.by_id[near], falling))[:depth]
        self.top[question, : len(order)] = near[order]
        self.top_scores[question, : len(order)] = -falling[order]


def _lower_bound(row: Vectors, depth: int) -> np.float32:
    """Return a score that at least ``depth`` passages reach: the weakest of the best of interleaved chunks.

    This is far cheaper than selecting among the whole row, and leaves only about 2 ``depth`` passages to sort.
    """
    chunks = max(_CHUNKS, depth + depth // 4)
    if len(row) < 4 * chunks:
        return np.float32(-np.inf)
    best = row[: len(row) // chunks * chunks].reshape(-1, chunks).max(axis=0)
    return np.partition(best, chunks - depth)[chunks - depth]
