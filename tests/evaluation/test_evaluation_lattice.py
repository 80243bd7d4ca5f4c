"""Sums on the lattice are exact, so no order of summation can change them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panglot.evaluation.exact_scores import exponent, on_lattice, to_scores

from .made import unit


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1.0, 0.37, 250.0, 1e-5]), st.sampled_from([3, 384, 1024]))
def test_products_are_exact_in_every_order(seed: int, scale: float, dimension: int) -> None:
    generator = np.random.default_rng(seed)
    vectors = unit(generator.standard_normal((4, dimension))) * np.float32(scale)
    vectors[1] = vectors[0]  # the largest sums: a vector with itself
    power = exponent(vectors)
    rows = on_lattice(vectors, power)
    whole = [[int(value) for value in row] for row in rows.tolist()]
    assert all(float(value).is_integer() for row in rows.tolist() for value in row)
    exact = [[sum(x * y for x, y in zip(a, b, strict=True)) for b in whole] for a in whole]
    for order in (np.arange(dimension), generator.permutation(dimension)):
        doubles = rows[:, order].astype(np.float64)
        assert (doubles @ doubles.T).tolist() == exact
        assert np.abs(np.cumsum(doubles[0] * doubles[1])).max() < 2**53
    scores = to_scores(np.array(exact, np.float32), 2 * power)
    expected = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    np.testing.assert_allclose(scores, expected, atol=2e-7 * scale**2)


def test_no_vectors_and_zero_vectors() -> None:
    assert exponent(np.zeros((0, 3), np.float32)) == 0
    zero = np.zeros((2, 3), np.float32)
    assert on_lattice(zero, exponent(zero)).tolist() == zero.tolist()


@pytest.mark.parametrize("norm", [1.0, 0.99999994, 2.0, 0.5])
def test_norms_stay_below_the_bound(norm: float) -> None:
    vectors = np.zeros((1, 4), np.float32)
    vectors[0, 2] = norm
    assert abs(on_lattice(vectors, exponent(vectors))[0, 2]) < 2**26
