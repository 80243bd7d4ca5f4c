"""Where every relevant passage stands, in its language's pool and in the pool of all languages."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from panglot._errors import PanglotError
from panglot.evaluation.exact_scores import Counter, Doubles, Tile, exponent, on_lattice, to_scores

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from panglot.data.collection import Collection, Ints
    from panglot.encoders.protocol import Vectors

_TILE = 1 << 15  # passages
_CELLS = 1 << 23  # scores


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
    threads: int | None = None,
) -> Ranks:
    """Rank every relevant passage by the dot product of its vector with the question's.

    Scores are held for a block of questions and a tile of passages at a time, never for all. The result is
    the same bits for every ``tile``, ``cells`` and number of threads (:mod:`panglot.evaluation.exact_scores`),
    and equal vectors tie.

    Args:
        questions: One row per question of the collection, shape ``[questions, dimension]``.
        passages: One row per passage, shape ``[passages, dimension]``.
        collection: Languages, groups, ids and relevance.
        depth: How many passages of the head of each pooled ranking to keep.
        tile: Passages per tile.
        cells: Scores in memory at once, over all threads.
        threads: How many; by default one for each core that this process may use.

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
    depth, one_tile = min(depth, len(passages)), len(passages) <= tile
    counter = Counter(
        starts=np.searchsorted(question, np.arange(len(questions) + 1)),
        passage=passage,
        score=np.empty(len(question), np.float32) if one_tile else _pair_products(left, right, question, passage),
        language=language,
        by_id=by_id,
        within=np.ones(len(question), np.int64),
        pooled=np.ones(len(question), np.int64),
        top=np.full((len(questions), depth), -1, np.int32),
        top_scores=np.full((len(questions), depth), -np.inf, np.float32),
    )
    workers = threads or _cores()
    # Every thread multiplies and counts for questions of its own.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        for low, high in _blocks(len(passages), tile):
            part = Tile.of(by_language[low:high], language, len(collection.languages))
            columns = right[part.passages].astype(np.float64).T
            size = min(max(1, cells // workers // (high - low)), -(-len(questions) // workers))

            def work(block: tuple[int, int], part: Tile = part, columns: Doubles = columns) -> None:
                products = left[slice(*block)].astype(np.float64) @ columns
                if one_tile:
                    counter.read_scores(products, block[0], part)
                counter.add(products, block[0], part)

            list(pool.map(work, _blocks(len(questions), max(1, size))))
    return Ranks(
        languages=collection.languages,
        question_language=collection.question_language,
        question_group=group_numbers(collection.questions),
        passage_language=language,
        passage_group=group_numbers(collection.passages),
        pool=np.bincount(language, minlength=len(collection.languages)),
        question=question,
        passage=passage,
        grade=grade,
        within=counter.within,
        pooled=counter.pooled,
        top=counter.top,
        top_scores=to_scores(counter.top_scores, sum(powers)),
    )


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pair_products(left: Vectors, right: Vectors, question: Ints, passage: Ints) -> Vectors:
    products = np.empty(len(question), np.float32)
    for a, b in _blocks(len(question), 1 << 12):
        sides = left[question[a:b]].astype(np.float64), right[passage[a:b]].astype(np.float64)
        products[a:b] = np.einsum("rd,rd->r", *sides)
    return products


def _relevant(collection: Collection) -> tuple[Ints, Ints, Ints]:
    """Return question, passage and grade of the relevant pairs, sorted; of two judgements the higher."""
    table = collection.relevance
    q, p, grade = (table[name].to_numpy().astype(np.int64) for name in ("question", "passage", "grade"))
    q, p, grade = q[grade > 0], p[grade > 0], grade[grade > 0]
    key = q * max(1, collection.passages.num_rows) + p
    order = np.argsort(key, kind="stable")
    key, first = np.unique(key[order], return_index=True)
    grade = np.maximum.reduceat(grade[order], first) if len(first) else grade
    return q[order][first], p[order][first], grade


def group_numbers(table: pa.Table) -> Ints:
    """Return a number for the group of each text, shape ``[texts]``; a text without a group is its own."""
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
                hint=f"give one row for each {side}",
            )
    if questions.shape[1] != passages.shape[1]:
        raise PanglotError(
            f"question vectors have {questions.shape[1]} dimensions, passage vectors {passages.shape[1]}",
            hint="encode both with the same model",
        )
