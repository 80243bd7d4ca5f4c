"""Ranks against sorting everything, on inputs full of ties."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.evaluation import ranks
from panglot.evaluation.ranks import Ranks, rank

from .made import parallel

if TYPE_CHECKING:
    from panglot.encoders.protocol import Vectors


def random_case(seed: int, dimension: int = 2) -> tuple[Vectors, Vectors, Collection]:
    """Small whole vectors: nearly all scores tie with others."""
    generator = np.random.default_rng(seed)
    asked, held = int(generator.integers(1, 9)), int(generator.integers(1, 40))
    names = [f"p{i}" for i in generator.permutation(held)]  # "p10" < "p9"
    languages = ["en", "hi", "zh"]
    pairs = [(f"q{generator.integers(asked)}", str(generator.choice(names))) for _ in range(30)]
    grades = {pair: int(generator.integers(0, 3)) for pair in pairs}
    collection = Collection.build(
        "ties",
        [Text(f"q{i}", str(generator.choice(languages)), f"g{i % 3}", "?") for i in range(asked)],
        [Text(name, str(generator.choice(languages)), "", "!") for name in names],
        [(question, passage, grade) for (question, passage), grade in grades.items()],
    )
    questions = generator.integers(-1, 2, (asked, dimension)).astype(np.float32)
    passages = generator.integers(-1, 2, (held, dimension)).astype(np.float32)
    return questions, passages, collection


def sorted_everything(questions: Vectors, passages: Vectors, collection: Collection) -> list[list[int]]:
    ids = collection.passages["id"].to_pylist()
    scores = questions.astype(np.float64) @ passages.astype(np.float64).T
    return [sorted(range(len(ids)), key=lambda p: (-row[p], ids[p])) for row in scores]


@settings(max_examples=200)
@given(st.integers(0, 10**6), st.integers(1, 50), st.integers(1, 80), st.integers(0, 12))
def test_ranks_are_those_of_sorting_everything(seed: int, tile: int, cells: int, depth: int) -> None:
    questions, passages, collection = random_case(seed)
    found = rank(questions, passages, collection, tile=tile, cells=cells, depth=depth)
    order = sorted_everything(questions, passages, collection)
    language = collection.passage_language
    pairs = set(zip(*(column.tolist() for column in collection.pairs), strict=True))
    assert list(zip(found.question.tolist(), found.passage.tolist(), strict=True)) == sorted(pairs)
    for q, p, within, pooled in zip(
        found.question, found.passage, found.rank_in_language, found.rank_in_pool, strict=True
    ):
        assert pooled == order[q].index(p) + 1
        assert within == [each for each in order[q] if language[each] == language[p]].index(p) + 1
    assert found.top.tolist() == [row[:depth] for row in order]


@pytest.mark.parametrize(("tile", "cells"), [(1 << 15, 1 << 23), (64, 200), (17, 5_000), (300, 1)])
def test_bits_do_not_depend_on_blocks(tile: int, cells: int) -> None:
    questions, passages, collection = parallel(passages=150, groups=30, dimension=384, noise=3.0)
    same(rank(questions, passages, collection), rank(questions, passages, collection, tile=tile, cells=cells))


def test_bits_do_not_depend_on_how_many_scores_are_counted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    questions, passages, collection = parallel(passages=150, groups=30, dimension=384, noise=3.0)
    whole = rank(questions, passages, collection, tile=170)
    for counted in (1, 500, 2_000):
        monkeypatch.setattr(ranks, "_COUNTED", counted)
        same(whole, rank(questions, passages, collection, tile=170))


@pytest.mark.parametrize("threads", [1, 3])
def test_bits_do_not_depend_on_threads(threads: int) -> None:
    questions, passages, collection = parallel(passages=150, groups=30, dimension=384, noise=3.0)
    same(rank(questions, passages, collection), rank(questions, passages, collection, threads=threads))


def test_equal_vectors_tie_wherever_they_stand() -> None:
    """BLAS may give equal columns different last bits; the order must still be that of the ids."""
    questions, passages, collection = parallel(passages=200, groups=40, dimension=383)
    passages[:] = passages[np.arange(len(passages)) % 7]
    found = rank(questions, passages, collection, tile=101)
    ids = np.array(collection.passages["id"].to_pylist())
    for row, scores in zip(found.top, found.top_scores, strict=True):
        for score in np.unique(scores):
            assert sorted(ids[row[scores == score]]) == list(ids[row[scores == score]])
    assert all(len(np.unique(scores)) <= 7 for scores in found.top_scores)


def test_scores_are_dot_products_of_any_scale() -> None:
    questions, passages, collection = parallel(dimension=64)
    found = rank(questions, passages, collection)
    scaled = rank(questions * 300, passages * 1e-4, collection)
    exact = questions.astype(np.float64) @ passages.astype(np.float64).T
    expected = np.take_along_axis(exact, found.top.astype(np.int64), axis=1)
    np.testing.assert_allclose(found.top_scores, expected, atol=1e-6)
    np.testing.assert_allclose(scaled.top_scores, found.top_scores * 0.03, rtol=1e-4, atol=1e-8)


def test_texts_without_a_group_are_their_own() -> None:
    collection = Collection.build(
        "no groups", [Text("a", "en", "", "?"), Text("b", "en", "", "?")], [Text("p", "en", "", "!")], []
    )
    found = rank(np.ones((2, 2), np.float32), np.ones((1, 2), np.float32), collection)
    assert len(set(found.question_group.tolist())) == 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_broken_vectors_are_refused(value: float) -> None:
    questions, passages, collection = parallel()
    passages[3, 1] = value
    with pytest.raises(PanglotError, match="not a number"):
        rank(questions, passages, collection)


def test_wrong_shapes_are_refused() -> None:
    questions, passages, collection = parallel()
    with pytest.raises(PanglotError, match="60 passages"):
        rank(questions, passages[1:], collection)
    with pytest.raises(PanglotError, match="dimensions"):
        rank(questions[:, 1:], passages, collection)


def same(a: Ranks, b: Ranks) -> None:
    for field in fields(Ranks):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name), err_msg=field.name)
