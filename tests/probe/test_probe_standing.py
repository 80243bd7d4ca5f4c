"""Ranks and margins of questions in one pool."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panglot.evaluation.ranks import rank
from panglot.probe.pairs import Outcome
from panglot.probe.pools import ParallelPools, ParallelQuestions, RankMargins

from .made import shifted


def drawn(
    seed: int, questions: int = 7, pool: int = 12
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Vectors of few values, so that many scores tie, and one to three relevant passages a question."""
    generator = np.random.default_rng(seed)
    left, right = (generator.integers(-1, 2, (n, 3)).astype(np.float32) for n in (questions, pool))
    pairs = [(q, p) for q in range(questions)
             for p in sorted(generator.choice(pool, generator.integers(1, 4), replace=False).tolist())]  # fmt: skip
    q, p = np.array(pairs).T
    return left, right, (q, p)


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 8))
def test_rank_margins_are_those_of_the_sorted_list(seed: int, k: int) -> None:
    left, right, relevant = drawn(seed)
    found = RankMargins.of(left, right, relevant, k)
    for row, question in enumerate(left):
        scores = right @ question
        own = set(relevant[1][relevant[0] == row].tolist())
        ranking = sorted(range(len(right)), key=lambda p: (-scores[p], p))
        best = next(p for p in ranking if p in own)
        rest = [p for p in ranking if p not in own]
        assert found.rank[row] == 1 + ranking.index(best)
        assert found.best[row] == best
        assert found.instead[row] == rest[0]
        assert found.margin[row] == pytest.approx(scores[best] - scores[rest[k - 1]], abs=1e-6)
        if found.margin[row]:
            assert (found.margin[row] > 0) == (found.rank[row] <= k)


def test_blocks_change_nothing() -> None:
    left, right, relevant = drawn(3, questions=40)
    whole, parts = RankMargins.of(left, right, relevant, 4), RankMargins.of(left, right, relevant, 4, cells=30)
    for name in ("rank", "margin", "best", "instead"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))


def test_ranks_are_those_of_the_evaluation() -> None:
    questions, passages, collection = shifted()
    ranks = rank(questions, passages, collection)
    pair = dict(zip(zip(ranks.question.tolist(), ranks.passage.tolist(), strict=True), ranks.rank_in_language.tolist(),
                    strict=True))  # fmt: skip
    found = ParallelQuestions.of(collection, "en", "zh")
    assert found
    outcome = Outcome.of(ParallelPools.of(found, passages, 3), questions)
    for half, side in enumerate((outcome.english, outcome.other)):
        answers = found.passages[half][side.best]
        theirs = [pair[q, p] for q, p in zip(found.questions[half].tolist(), answers.tolist(), strict=True)]
        assert side.rank.tolist() == theirs


def test_a_wording_stands_where_its_question_does() -> None:
    questions, passages, collection = shifted(groups=9)
    found = ParallelQuestions.of(collection, "en", "de")
    assert found
    pools = ParallelPools.of(found, passages, 2)
    vectors = questions[found.questions[1]]
    order = np.array([4, 1, 4, 8])
    some, every = pools.rank_margins(1, order, vectors[order]), pools.rank_margins(1, np.arange(9), vectors)
    assert some.rank.tolist() == every.rank[order].tolist()
    assert some.margin.tolist() == every.margin[order].tolist()
