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
from panglot.data.columns import number_groups
from panglot.evaluation.exact_scores import Doubles, ExactScores, parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from panglot.data.collection import Collection, Ints
    from panglot.encoders.protocol import Vectors
    from panglot.evaluation.exact_scores import Tile

_PLACE_BITS, _SCORE_BITS, _ROWS = 15, 32, 1 << 16
_TILE = 1 << _PLACE_BITS  # passages: 256 MB in doubles at 1,024 dimensions
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
        tile: Passages per tile, at most 32,768.
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
    tile = min(tile, _TILE)
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
    return number_groups(table["group"]).astype(np.int64)


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


# A score and a passage as one whole number, smaller for what ranks first: the score in the upper 32 bits, with a sign,
# then the place of the passage's id. One sort then orders by falling score and rising id.
_PLACE = (1 << 32) - 1
_NONE = np.iinfo(np.int64).max
_INFINITY = np.float32(np.inf)
# Within a block, the same with the question above the score: 16 bits, 32 and 15. One sort then ranks a whole block.
_COUNTED = 1 << 20  # scores of a block: 8 MB in doubles, and as much again for each sort if all of them count


def _falling_bits(scores: Vectors) -> Ints:
    """Return whole numbers of 32 bits, without sign, that fall as scores rise."""
    # Read as whole numbers, floats are in order once the lower bits of negative ones are inverted. Adding 0 makes −0
    # equal to 0.
    bits = (scores + np.float32(0)).view(np.int32)
    return (1 << 31) + ~(bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64)


def _key_scores(keys: Ints) -> Vectors:
    bits = (~(keys >> 32)).astype(np.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).view(np.float32)


@dataclass(frozen=True)
class _RankCounter:
    """The relevant pairs, sorted by question, and what the tiles have added so far.

    Scores are the whole numbers of :class:`ExactScores`, rounded to float32. Places are those in the order of ids.
    Everything is computed for a block of questions at once: numpy holds no lock meanwhile, and threads run beside it.
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
        pairs, row = self._pairs(first, len(products))
        self.score[pairs] = products[row, self.place[pairs]]

    def add(self, products: Doubles, first: int, begin: int) -> None:
        """Count a tile's passages, from place ``begin`` on, for the questions from ``first`` on."""
        size = min(_ROWS, max(1, _COUNTED // products.shape[1]))
        for at in range(0, len(products), size):
            self._add(products[at : at + size], first + at, begin)

    def _pairs(self, first: int, questions: int) -> tuple[slice, Ints]:
        """Return which pairs belong to the questions from ``first`` on, and the row of each among these."""
        starts = self.starts[first : first + questions + 1]
        return slice(int(starts[0]), int(starts[-1])), np.repeat(np.arange(questions), np.diff(starts))

    def _add(self, products: Doubles, first: int, begin: int) -> None:
        pairs, asked = self._pairs(first, len(products))
        least = np.full(len(products), _INFINITY)
        np.minimum.at(least, asked, self.score[pairs])
        near = self._near(products, least, self.best[first : first + len(products)])
        width, rows = products.shape[1], np.arange(len(products))
        begins = near.searchsorted(rows * width)
        counts = np.diff(begins, append=len(near))
        falling = _falling_bits(products.take(near).astype(np.float32, copy=False))
        keys = np.repeat((rows << _SCORE_BITS + _PLACE_BITS) - rows * width, counts)
        keys += near
        keys += falling << _PLACE_BITS
        keys.sort()
        # A pair may be of another tile: then all equal scores are ahead of it, or none.
        place = np.clip(self.place[pairs] - begin, 0, 1 << _PLACE_BITS)
        end = keys.searchsorted(((asked << _SCORE_BITS | _falling_bits(self.score[pairs])) << _PLACE_BITS) + place)
        self.rank_in_pool[pairs] += end - begins[asked]
        # Sorted by question, language and rank, those of a language that are ahead of a pair follow each other.
        number, size = int(self.language.max(initial=0)) + 1, len(keys) + 1
        by_language = self.language[begin : begin + width].take(keys & (1 << _PLACE_BITS) - 1)
        by_language += np.repeat(rows * number, counts)
        by_language *= size
        by_language += np.arange(len(keys))
        by_language.sort()
        own = (asked * number + self.language[self.place[pairs]]) * size
        self.rank_in_language[pairs] += by_language.searchsorted(own + end) - by_language.searchsorted(own)
        self._keep_best(keys, begins, counts, slice(first, first + len(products)), begin)

    def _near(self, products: Doubles, least: Vectors, best: Ints) -> Ints:
        """Return where, in the flat products, scores may change a rank or the best passages of a question.

        These are those from the weakest relevant passage on, or more if they are too few for the best ones.
        """
        near = np.flatnonzero(products > _below(least)[:, None])
        depth = best.shape[1]
        ends = near.searchsorted(np.arange(len(products) + 1) * products.shape[1])
        few = np.flatnonzero(np.diff(ends) < depth)
        if not len(few):
            return near
        known = np.where(best[few, -1] < _NONE, _key_scores(best[few, -1]), -_INFINITY)
        bound = np.maximum(_lower_bounds(products[few], depth).astype(np.float32), known)
        least[few] = np.minimum(least[few], bound)
        return np.flatnonzero(products > _below(least)[:, None])

    def _keep_best(self, keys: Ints, begins: Ints, counts: Ints, questions: slice, begin: int) -> None:
        depth = np.arange(self.best.shape[1])
        if not len(keys) or not len(depth):
            return
        head = keys[np.minimum(begins[:, None] + depth, len(keys) - 1)]
        place = (head & (1 << _PLACE_BITS) - 1) + begin
        head = (head >> _PLACE_BITS & (1 << _SCORE_BITS) - 1) - (1 << 31) << 32 | place
        head = np.where(depth < counts[:, None], head, _NONE)
        # Passages of earlier tiles compete with those of this one.
        if begin:
            head = np.sort(np.concatenate([self.best[questions], head], axis=1), axis=1)[:, : len(depth)]
        self.best[questions] = head


def _below(least: Vectors) -> Vectors:
    """Return bounds that all scores exceed that are at least ``least`` as float32."""
    return np.nextafter(least, -_INFINITY)


def _lower_bounds(scores: Doubles, depth: int) -> Doubles:
    """Return for each row a score that at least ``depth`` passages reach: the weakest of the best of chunks.

    This is far cheaper than selecting among whole rows, and leaves only about 2 ``depth`` passages to sort.
    """
    chunks = max(_CHUNKS, depth + depth // 4)
    rows, passages = scores.shape
    if passages < 4 * chunks:
        return np.full(rows, -np.inf)
    best = scores[:, : passages // chunks * chunks].reshape(rows, -1, chunks).max(axis=1)
    return np.partition(best, chunks - depth, axis=1)[:, chunks - depth]
