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
_LEAST = 32  # questions of a thread at once: products of fewer are slow
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
        threads: Largest number of threads. The default is one per core that this process may use. There are fewer if
            ``cells`` leaves each less than 32 questions at once.

    Raises:
        PanglotError: The shapes do not fit the collection, or a number is not finite.
    """
    _check(questions, passages, collection)
    scores = ExactScores.of(questions, passages)
    question, passage, relevance = relevant_pairs(collection)
    language = collection.passage_language
    names: list[str] = collection.passages["id"].to_pylist()
    # Passages are sorted by id, so that of equal scores the earlier place ranks first.
    by_id = np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)
    place = np.empty_like(by_id)
    place[by_id] = np.arange(len(by_id))
    depth, one_tile = min(depth, len(passages)), len(passages) <= tile
    counter = _RankCounter(
        starts=np.searchsorted(question, np.arange(len(questions) + 1)),
        place=place[passage],
        # A single tile holds every pair's score, so that nothing is multiplied twice.
        score=np.empty(len(question), np.float32) if one_tile else scores.pairs(question, passage).astype(np.float32),
        language=language[by_id],
        # Ranks count from 1, and each passage ahead adds 1.
        rank_in_language=np.ones(len(question), np.int64),
        rank_in_pool=np.ones(len(question), np.int64),
        best=np.full((len(questions), depth), _NONE),
    )
    workers = max(1, min(threads or cores(), cells // max(1, _LEAST * min(tile, len(passages)))))
    # BLAS gets one thread because each of ours multiplies and counts for questions of its own.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        for number, part in enumerate(scores.tiles(by_id, tile)):
            size = min(cells // workers // len(part.documents), -(-len(questions) // workers))

            def work(block: Ints, part: Tile = part, begin: int = number * tile) -> None:
                products = part.products(block)
                if one_tile:
                    counter.read_scores(products, block[0])
                counter.add(products, block[0], begin)

            list(pool.map(work, parts(np.arange(len(questions)), max(1, size))))
    kept = counter.best != _NONE
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
        top=np.where(kept, by_id[np.where(kept, counter.best & _PLACE, 0)], -1).astype(np.int32),
        top_scores=np.where(kept, _key_scores(counter.best) * np.float32(scores.unit), np.float32(-np.inf)),
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
    columns = (collection.qrels[name].to_pylist() for name in ("question", "passage", "relevance"))
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
    table = collection.qrels
    q, p, relevance = (table[name].to_numpy().astype(np.int64) for name in ("question", "passage", "relevance"))
    q, p, relevance = q[relevance > 0], p[relevance > 0], relevance[relevance > 0]
    key = q * max(1, collection.passages.num_rows) + p
    order = np.argsort(key, kind="stable")
    key, first = np.unique(key[order], return_index=True)
    relevance = np.maximum.reduceat(relevance[order], first) if len(first) else relevance
    return q[order][first], p[order][first], relevance


# A score and a passage as one whole number, smaller for what ranks first: the score in the upper 32 bits, then the
# place of the passage's id. One sort then orders by falling score and rising id.
_PLACE = (1 << 32) - 1
_NONE = np.iinfo(np.int64).max
_INFINITY = np.float32(np.inf)


def _keys(scores: Vectors, places: Ints) -> Ints:
    # Read as whole numbers, floats are in order once the lower bits of negative ones are inverted. Adding 0 makes −0
    # equal to 0.
    bits = (scores + np.float32(0)).view(np.int32)
    return (~(bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64) << 32) | places


def _key_scores(keys: Ints) -> Vectors:
    bits = (~(keys >> 32)).astype(np.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).view(np.float32)


@dataclass(frozen=True)
class _RankCounter:
    """The relevant pairs, sorted by question, and what the tiles have added so far.

    Scores are the whole numbers of :class:`ExactScores`, rounded to float32. Places are those in the order of ids.
    """

    starts: Ints  # the pairs of question i are between starts[i] and starts[i + 1]
    place: Ints  # of the passage of each pair
    score: Vectors  # of each pair
    language: Ints  # of the passage at each place
    rank_in_language: Ints  # of each pair, so far
    rank_in_pool: Ints
    best: Ints  # keys of the best passages of each question so far, _NONE after the last one

    def read_scores(self, products: Doubles, first: int) -> None:
        """Take the scores of the pairs of the questions from ``first`` on out of a tile of all passages."""
        begin, end = self.starts[first], self.starts[first + len(products)]
        row = np.repeat(np.arange(len(products)), np.diff(self.starts[first : first + len(products) + 1]))
        self.score[begin:end] = products[row, self.place[begin:end]]

    def add(self, products: Doubles, first: int, begin: int) -> None:
        """Count a tile's passages, from place ``begin`` on, for the questions from ``first`` on."""
        depth, starts = self.best.shape[1], self.starts[first : first + len(products) + 1].tolist()
        block = slice(starts[0], starts[-1])
        wanted, spoken = _keys(self.score[block], self.place[block]), self.language[self.place[block]]
        for question, row in enumerate(products, first):
            pairs = slice(*starts[question - first : question - first + 2])
            own = slice(pairs.start - block.start, pairs.stop - block.start)
            # Scores below both the last one kept and the weakest relevant one change nothing.
            near = _from(row, self.score[pairs].min(initial=_INFINITY))
            if len(near) < depth:
                near = _from(row, self.score[pairs].min(initial=self._least(row, question)))
            keys = np.sort(_keys(row[near].astype(np.float32), near + begin))
            ahead = keys.searchsorted(wanted[own])
            self.rank_in_pool[pairs] += ahead
            # Sorted by language, then rank, those of a language that are ahead follow each other.
            size = len(keys) + 1
            by_language = np.sort(self.language[keys & _PLACE] * size + np.arange(len(keys)))
            ends = by_language.searchsorted([spoken[own] * size, spoken[own] * size + ahead])
            self.rank_in_language[pairs] += ends[1] - ends[0]
            if depth:
                self._keep_best(keys[:depth], question)

    def _least(self, scores: Doubles, question: int) -> np.float32:
        """Return a score below which no passage is among the best."""
        last = self.best[question, -1:]
        known = _key_scores(last)[0] if last[0] < _NONE else -_INFINITY
        return max(np.float32(_lower_bound(scores, self.best.shape[1])), known)

    def _keep_best(self, keys: Ints, question: int) -> None:
        # Passages of earlier tiles compete with those of this one.
        if self.best[question, 0] < _NONE:
            keys = np.sort(np.concatenate([keys, self.best[question]]))[: self.best.shape[1]]
        self.best[question, : len(keys)] = keys


def _from(scores: Doubles, least: np.float32) -> Ints:
    """Return where scores are at least ``least`` as float32, and perhaps where they are less by one rounding."""
    return np.flatnonzero(scores > np.nextafter(least, -_INFINITY))


def _lower_bound(row: Doubles, depth: int) -> float:
    """Return a score that at least ``depth`` passages reach: the weakest of the best of interleaved chunks.

    This is far cheaper than selecting among the whole row, and leaves only about 2 ``depth`` passages to sort.
    """
    chunks = max(_CHUNKS, depth + depth // 4)
    if len(row) < 4 * chunks:
        return -np.inf
    best = row[: len(row) // chunks * chunks].reshape(-1, chunks).max(axis=0)
    return float(np.partition(best, chunks - depth)[chunks - depth])
