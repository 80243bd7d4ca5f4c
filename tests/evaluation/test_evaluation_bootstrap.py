"""Intervals and tests against their definitions."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panglot.evaluation import bootstrap
from panglot.evaluation.bootstrap import Sums, draw, holm, interval, randomisation

if TYPE_CHECKING:
    from panglot.evaluation.exact_scores import Doubles


def values(seed: int = 0, questions: int = 60) -> tuple[Doubles, Doubles, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    language, group = generator.integers(0, 3, questions), generator.integers(0, 20, questions)
    one, matrix = generator.random(questions), generator.random((questions, 3))
    one[generator.random(questions) < 0.2] = np.nan
    matrix[generator.random((questions, 3)) < 0.5] = np.nan
    group[0] = 19
    return one, matrix, language, group


def mean_of_means(value: Doubles, language: np.ndarray, weight: np.ndarray) -> float:
    """The definition: questions weighted, then cells alike."""
    value = value.reshape(len(value), -1)
    cells: list[float] = []
    for x in range(3):
        for column in range(value.shape[1]):
            rows = (language == x) & np.isfinite(value[:, column])
            if weight[rows].sum():
                cells.append(float(np.average(value[rows, column], weights=weight[rows])))
    return float(np.mean(cells))


def test_figures_of_draws_are_those_of_repeated_questions() -> None:
    one, matrix, language, group = values()
    sums = {"one": Sums.of(one, language, group), "matrix": Sums.of(matrix, language, group)}
    drawn = draw(sums, 40, seed=3)
    generator = np.random.default_rng(3)
    for at in range(40):
        weight = np.bincount(generator.integers(0, 20, 20), minlength=20)[group]
        assert drawn["one"][at] == pytest.approx(mean_of_means(one, language, weight))
        assert drawn["matrix"][at] == pytest.approx(mean_of_means(matrix, language, weight))
    assert sums["matrix"].mean() == pytest.approx(mean_of_means(matrix, language, np.ones(60)))
    assert sums["matrix"].shares().sum() == pytest.approx(sums["matrix"].mean())


def test_a_figure_of_one_group_has_no_interval_whatever_other_figures_have() -> None:
    group, language = np.arange(4), np.zeros(4, np.int64)
    one, both = np.array([5.0, np.nan, np.nan, np.nan]), np.array([5.0, 7.0, np.nan, np.nan])
    drawn = draw({"one": Sums.of(one, language, group), "both": Sums.of(both, language, group)}, 100, seed=0)
    assert interval(drawn["one"]) is None
    assert interval(drawn["both"]) == (5, 7)
    assert interval(draw({"versions": Sums.of(both, np.arange(4), np.zeros(4, np.int64))}, 100, 0)["versions"]) is None


def test_draws_do_not_depend_on_their_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    one, _, language, group = values()
    sums = {"one": Sums.of(one, language, group)}
    whole = draw(sums, 101, seed=1)["one"]
    monkeypatch.setattr(bootstrap, "_CELLS", 130)
    np.testing.assert_array_equal(draw(sums, 101, seed=1)["one"], whole)
    assert not np.array_equal(draw(sums, 101, seed=2)["one"], whole)


def test_clustering_widens_the_interval_of_repeated_questions() -> None:
    generator = np.random.default_rng(0)
    value = np.repeat(generator.random(50), 10)
    language = np.zeros(500, np.int64)
    apart = draw({"m": Sums.of(value, language, np.arange(500))}, 1000, 0)["m"]
    together = draw({"m": Sums.of(value, language, np.repeat(np.arange(50), 10))}, 1000, 0)["m"]
    assert np.std(together) / np.std(apart) == pytest.approx(np.sqrt(10), rel=0.15)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        sample = generator.random(80)
        ends = interval(draw({"m": Sums.of(sample, np.zeros(80, np.int64), np.arange(80))}, 400, trial)["m"])
        assert ends is not None
        covered += ends[0] <= 0.5 <= ends[1]
    assert 180 <= covered <= 199


def test_few_groups_are_tested_exactly() -> None:
    differences = np.array([[0.3, 0.0], [0.1, -0.2], [-0.05, 0.1], [0.2, 0.1]])
    for column, p in zip(differences.T, randomisation(differences, 10, 0), strict=True):
        flipped = [abs(np.dot(signs, column)) >= abs(column.sum()) - 1e-12 for signs in product([-1, 1], repeat=4)]
        assert p == pytest.approx(np.mean(flipped))


def test_random_patterns_come_near_the_exact_test() -> None:
    differences = np.random.default_rng(2).normal(0.2, 1, (13, 1))
    exact = randomisation(differences, 0, 0)[0]
    padded = np.concatenate([differences, np.zeros((5, 1))])  # 18 groups: drawn, and zeros change nothing
    assert randomisation(padded, 20_000, 0)[0] == pytest.approx(exact, abs=0.02)


def test_equal_models_are_not_told_apart_and_different_ones_are() -> None:
    assert randomisation(np.zeros((30, 1)), 500, 0)[0] == 1
    assert randomisation(np.full((30, 1), 0.1), 500, 0)[0] == pytest.approx(1 / 501)


def test_p_values_of_equal_models_are_uniform() -> None:
    differences = np.random.default_rng(5).normal(size=(40, 400))
    p = randomisation(differences, 400, 0)
    assert np.mean(p < 0.05) < 0.09
    assert 0.4 < np.mean(p) < 0.6


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_its_steps_reject(p: list[float]) -> None:
    corrected = holm(p)
    order = sorted(range(len(p)), key=lambda i: p[i])
    for level in (0.01, 0.05, 0.3):
        expected = [False] * len(p)
        for step, index in enumerate(order):
            if p[index] * (len(p) - step) >= level:
                break
            expected[index] = True
        assert [value < level for value in corrected] == expected
