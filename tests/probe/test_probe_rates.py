"""Intervals of shares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from panglot.evaluation.bootstrap import mean_interval, share_interval
from panglot.probe.probe import against_rest


@given(hits=st.integers(0, 60), more=st.integers(0, 200))
def test_independent_questions_have_wilsons_interval(hits: int, more: int) -> None:
    number = hits + more
    if not number:
        return
    found = share_interval(np.arange(number) < hits, np.arange(number))
    theirs = stats.binomtest(hits, number).proportion_ci(0.95, method="wilson")
    assert found[0] == hits / number
    assert found[1:] == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@given(hits=st.integers(0, 30), more=st.integers(1, 60), times=st.integers(2, 6))
def test_copies_of_a_question_are_one_question(hits: int, more: int, times: int) -> None:
    hit, group = np.arange(hits + more) < hits, np.arange(hits + more)
    assert share_interval(np.repeat(hit, times), np.repeat(group, times)) == pytest.approx(
        share_interval(hit, group), abs=1e-9
    )


def clustered(seed: int, groups: int = 300, times: int = 6) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    hard = generator.beta(0.3, 2.0, groups)
    group = np.repeat(np.arange(groups), times)
    return generator.random(len(group)) < hard[group], group


def test_the_interval_is_about_that_of_the_bootstrap_over_groups() -> None:
    hit, group = clustered(1)
    sums = np.bincount(group, hit)
    generator = np.random.default_rng(2)
    drawn = sums[generator.integers(0, len(sums), (4000, len(sums)))].mean(axis=1) / 6
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert share_interval(hit, group)[1:] == pytest.approx((low, high), abs=0.004)
    naive = share_interval(hit, np.arange(len(hit)))
    assert naive[2] - naive[1] < 0.7 * (high - low)


def test_the_rest_and_the_difference() -> None:
    hit, group = clustered(3)
    inside = np.arange(len(hit)) % 6 < 2
    found = against_rest(hit, group, inside)
    assert found["rest"] == pytest.approx(hit[~inside].mean())
    assert found["difference"] == pytest.approx(found["rate"] - found["rest"])
    sides = [np.bincount(group[part], hit[part]) for part in (inside, ~inside)]
    generator = np.random.default_rng(4)
    rows = generator.integers(0, 300, (4000, 300))
    drawn = sides[0][rows].mean(axis=1) / 2 - sides[1][rows].mean(axis=1) / 4
    assert found["difference_interval"] == pytest.approx(np.quantile(drawn, [0.025, 0.975]).tolist(), abs=0.004)


def test_without_a_rest_or_with_a_few_groups_there_is_no_difference() -> None:
    hit, group = np.arange(30) < 5, np.arange(30)
    assert against_rest(hit, group, np.ones(30, np.bool_))["rest"] is None
    few = against_rest(hit, group, np.arange(30) < 9)
    assert few["rest"] == 0
    assert few["difference"] is None
    # Ten versions of one question say as little about others, on either side.
    hit, group = clustered(0, groups=30, times=10)
    for inside in (group == 0, group > 0, group < 9):
        found = against_rest(hit, group, inside)
        assert (found["difference"], found["difference_interval"]) == (None, None)
    assert against_rest(hit, group, group < 10)["difference_interval"] is not None


def test_versions_of_one_question_are_one_question() -> None:
    one = np.zeros(8, np.int64)
    for hit in (np.arange(8) % 2 == 0, np.ones(8, np.bool_)):
        rate, low, high = share_interval(hit, one)
        theirs = stats.binomtest(1, 1).proportion_ci(0.95, method="wilson")
        assert high - low >= theirs.high - theirs.low
        assert low <= rate <= high
    # A question with many versions counts as one among others.
    lopsided = np.repeat(np.arange(10), [91, *[1] * 9])
    assert np.subtract(*share_interval(np.ones(100, np.bool_), lopsided)[:2]) > 0.5


@pytest.mark.parametrize("inside", [10, 15, 30, "language"])
@pytest.mark.parametrize("weak", [(0.3, 2.0), (2.0, 10.0), (0.5, 0.5)])
def test_one_interval_in_twenty_misses_when_nothing_differs(inside: int | str, weak: tuple[float, float]) -> None:
    """Versions of a question fail together, and the slice is a few questions, or one version of each."""
    runs, versions, missed, shares_missed = 300, 8, 0, 0
    group = np.repeat(np.arange(150), versions)
    chosen = np.arange(len(group)) % versions == 0 if isinstance(inside, str) else group < inside
    generator = np.random.default_rng(0)
    for _ in range(runs):
        hit = generator.random(len(group)) < generator.beta(*weak, 150)[group]
        found = against_rest(hit, group, chosen)
        low, high = found["difference_interval"]
        missed += not low <= 0 <= high
        low, high = found["interval"]
        shares_missed += not low <= weak[0] / sum(weak) <= high
    assert 0.005 <= missed / runs <= 0.09
    assert 0.005 <= shares_missed / runs <= 0.1


@pytest.mark.parametrize("groups", [1, 2, 3, 5, 8])
def test_the_interval_of_few_questions_is_not_too_narrow(groups: int) -> None:
    generator, group = np.random.default_rng(1), np.repeat(np.arange(groups), 8)
    missed = 0
    for _ in range(300):
        _, low, high = share_interval(generator.random(len(group)) < generator.beta(0.3, 2.0, groups)[group], group)
        missed += not low <= 0.3 / 2.3 <= high
    assert missed / 300 <= 0.08


def test_a_mean_over_groups_is_students() -> None:
    value = np.array([0.1, 0.4, 0.2, 0.5])
    centre, ends = mean_interval(value, np.arange(4))
    theirs = stats.t.interval(0.95, 3, value.mean(), stats.sem(value))
    assert centre == pytest.approx(value.mean())
    assert ends == pytest.approx(list(theirs))
    assert mean_interval(np.repeat(value, 3), np.repeat(np.arange(4), 3))[1] == pytest.approx(ends)
    assert mean_interval(value, np.zeros(4, np.int64))[1] is None
