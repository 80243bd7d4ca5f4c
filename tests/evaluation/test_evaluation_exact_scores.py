"""Products of whole numbers are exact, so the order of summation cannot change them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.evaluation.exact_scores import ExactScores

from .made import unit


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.sampled_from([1.0, 0.37, 250.0, 1e-5]), st.sampled_from([3, 384, 1024]))
def test_products_are_exact_in_every_order(seed: int, scale: float, dimension: int) -> None:
    generator = np.random.default_rng(seed)
    vectors = unit(generator.standard_normal((4, dimension))) * np.float32(scale)
    vectors[1] = vectors[0]  # the largest sums: a vector with itself
    scores = ExactScores.of(vectors, vectors)
    assert all(float(value).is_integer() for row in scores.queries.tolist() for value in row)
    whole = [[int(value) for value in row] for row in scores.queries.tolist()]
    exact = [[sum(x * y for x, y in zip(a, b, strict=True)) for b in whole] for a in whole]
    for order in (np.arange(dimension), generator.permutation(dimension)):
        doubles = scores.queries[:, order].astype(np.float64)
        assert (doubles @ doubles.T).tolist() == exact
        assert np.abs(np.cumsum(doubles[0] * doubles[1])).max() < 2**53
    expected = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    np.testing.assert_allclose(np.array(exact, np.float64) * scores.unit, expected, atol=2e-7 * scale**2)


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 12))
def test_every_way_to_ask_gives_the_same_bits(seed: int, tile: int, block: int) -> None:
    generator = np.random.default_rng(seed)
    queries, documents = (generator.standard_normal((n, 7)).astype(np.float32) * s for n, s in ((9, 3.0), (11, 0.2)))
    scores = ExactScores.of(queries, documents)
    order = generator.permutation(11)
    whole = {(q, d): float(scores.pairs(np.array([q]), np.array([d]))[0]) for q in range(9) for d in range(11)}
    seen = 0
    for part in scores.tiles(order, tile):
        for a, b in pairwise([*range(0, 9, block), 9]):
            products = part.products(np.arange(a, b))
            assert products.tolist() == [[whole[q, d] for d in part.documents.tolist()] for q in range(a, b)]
            seen += products.size
        alike = part.products_of_documents(np.array([2])) * scores.document_unit
        np.testing.assert_allclose(alike, documents[[2]] @ documents[part.documents].T, atol=1e-6)
    assert seen == 99


def test_no_vectors_and_zero_vectors() -> None:
    none, zero = np.zeros((0, 3), np.float32), np.zeros((2, 3), np.float32)
    assert ExactScores.of(none, zero).queries.shape == (0, 3)
    assert ExactScores.of(zero, zero).pairs(np.array([0, 1]), np.array([1, 1])).tolist() == [0, 0]


@pytest.mark.parametrize("norm", [1.0, 0.99999994, 2.0, 0.5])
def test_norms_stay_below_the_bound(norm: float) -> None:
    vectors = np.zeros((1, 4), np.float32)
    vectors[0, 2] = norm
    assert abs(ExactScores.of(vectors, vectors).queries[0, 2]) < 2**26


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    vectors = np.ones((2, 4), np.float32)
    broken = vectors.copy()
    broken[1, 3] = value
    for sides in ((vectors, broken), (broken, vectors)):
        with pytest.raises(PanglotError, match="not a number"):
            ExactScores.of(*sides)
