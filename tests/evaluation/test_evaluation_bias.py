"""Language bias against scipy and against rankings worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from panglot.data.collection import Collection, Text
from panglot.evaluation import bias
from panglot.evaluation.bias import BIAS_MEASURES, kendall, rank_correlation
from panglot.evaluation.measures import (
    Measure,
    language_classifier,
    mean_distances,
    separation,
    translation_cosines,
)
from panglot.evaluation.ranks import Ranks, rank
from panglot.report.labels import bias_measures

from .made import parallel, unit


def tau_b(a: list[int], b: list[int]) -> float:
    found = stats.kendalltau(a, b)
    return found.statistic  # pyright: ignore[reportAttributeAccessIssue]


def by_hand() -> Ranks:
    """Two questions; the pooled order of both is p0 … p5, in en de en de en de."""
    passages = [Text(f"p{i}", ["en", "de"][i % 2], f"g{i}", "!") for i in range(6)]
    collection = Collection.build(
        "hand",
        [Text("a", "en", "q", "?"), Text("b", "de", "q", "?"), Text("c", "de", "alone", "?")],
        passages,
        [("a", "p0", 1), ("a", "p3", 1), ("b", "p2", 1), ("b", "p5", 2), ("c", "p1", 1)],
    )
    vectors = np.array([[6.0], [5], [4], [3], [2], [1]], np.float32)
    return rank(np.ones((3, 1), np.float32), vectors, collection)


def test_spans_by_hand() -> None:
    ranks = by_hand()
    span = bias.spans(ranks)
    np.testing.assert_array_equal(bias.rank_distance(span), [3, 3, np.nan])
    np.testing.assert_array_equal(bias.max_rank(span), [4, 6, np.nan])
    np.testing.assert_array_equal(bias.complete(span, 4), [1, 0, np.nan])
    np.testing.assert_array_equal(bias.language_preference(span, ranks), [1, 0, np.nan])


def test_a_question_without_an_answer_in_its_language_prefers_none() -> None:
    """Of two questions with answers in English, then German, only the German one could have preferred its own."""
    texts = [Text("e", "en", "g", "!"), Text("d", "de", "g", "!")]
    questions = [Text("hindi", "hi", "q", "?"), Text("german", "de", "q", "?")]
    judged = [(question.id, text.id, 1) for question in questions for text in texts]
    collection = Collection.build("hand", questions, texts, judged)
    ranks = rank(np.ones((2, 1), np.float32), np.array([[2.0], [1.0]], np.float32), collection)
    np.testing.assert_array_equal(bias.language_preference(bias.spans(ranks), ranks), [np.nan, 0])


def test_an_answer_in_the_own_language_gains_twice_in_lang_ndcg() -> None:
    """a has p0 (en, its own) at rank 1 and p3 (de) at 4; b has p5 (de, its own, grade 2) at 6 and p2 (en) at 3."""
    ranks = by_hand()
    gain = 1 / np.log2(np.arange(2, 8))
    expected = [(2 * gain[0] + gain[3]) / (2 * gain[0] + gain[1]), (4 * gain[5] + gain[2]) / (4 * gain[0] + gain[1])]
    found = bias.language_ndcg(bias.spans(ranks), ranks, 10)
    np.testing.assert_allclose(found, [*expected, np.nan])
    cut = bias.language_ndcg(bias.spans(ranks), ranks, 3)
    np.testing.assert_allclose(cut[:2], [2 * gain[0] / (2 * gain[0] + gain[1]), gain[2] / (4 * gain[0] + gain[1])])


def test_the_first_passage_is_one_of_four_cases() -> None:
    """p0 is English and comes first: it answers a, and neither b nor c, which are German."""
    ranks = by_hand()
    measures = {each.name: each for each in BIAS_MEASURES}
    cases = ("right_own", "right_other", "wrong_own", "wrong_other")
    found = np.stack([measures[f"first_{case}"].values(ranks, bias.spans(ranks)) for case in cases])
    np.testing.assert_array_equal(found, [[1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 1, 1]])
    questions, passages, collection = parallel(groups=40, noise=2.0)
    ranks = rank(questions, passages, collection)
    found = np.stack([measures[f"first_{case}"].values(ranks, bias.spans(ranks)) for case in cases])
    np.testing.assert_array_equal(found.sum(axis=0), 1)
    assert (found.mean(axis=1) > 0).all()
    np.testing.assert_array_equal(found[0] + found[1], Measure("Success", 1).values(
        ranks.question, ranks.rank_in_pool, ranks.relevance, len(questions)
    ))  # fmt: skip


def test_separation_is_the_share_of_random_passages_that_are_farther() -> None:
    """Beside all pairs of a question, a relevant passage and another one, weighted alike."""
    questions, passages, collection = parallel(groups=40, passages=30, noise=1.5)
    ranks = rank(questions, passages, collection)
    scores = questions.astype(np.float64) @ passages.T.astype(np.float64)
    cells: tuple[dict[tuple[int, int], list[float]], ...] = ({}, {})
    for q, p in zip(ranks.question.tolist(), ranks.passage.tolist(), strict=True):
        x, y = int(ranks.question_language[q]), int(ranks.passage_language[p])
        wrong = ranks.passage_group != ranks.passage_group[p]
        for found, language in zip(cells, (y, x), strict=True):
            others = scores[q, wrong & (ranks.passage_language == language)]
            if found is cells[0] or x != y:
                found.setdefault((x, y), []).append(float((scores[q, p] > others).mean()))
    expected = [np.mean([np.mean(values) for values in found.values()]) for found in cells]
    drawn = np.array([separation(questions, passages, ranks, seed=seed) for seed in range(40)], float)
    np.testing.assert_allclose(drawn.mean(axis=0), expected, atol=0.01)
    assert expected[1] < expected[0] - 0.05
    assert tuple(drawn[1]) == separation(questions, passages, ranks, seed=1)


def test_separation_needs_relevant_passages_in_another_language() -> None:
    texts = [Text("a", "en", "a", "!"), Text("b", "en", "b", "!"), Text("c", "de", "c", "!"), Text("d", "en", "d", "!")]
    collection = Collection.build("own", [Text("q", "en", "q", "?")], texts, [("q", "a", 1), ("q", "d", 1)])
    vectors = np.array([[1, 0], [0, 1], [0, 1], [1, 0]], np.float32)
    ranks = rank(vectors[:1], vectors, collection)
    found = {separation(vectors[:1], vectors, ranks, seed=seed) for seed in range(9)}
    # Of the three English passages, two are relevant, and as near as each other.
    assert found == {(1.0, None), (None, None)}


def test_shares_by_hand() -> None:
    ranks = by_hand()  # languages: de, en
    np.testing.assert_allclose(bias.head_shares(ranks, 3), [[1 / 3, 2 / 3]] * 3)
    np.testing.assert_allclose(bias.self_preference(ranks, 3), [4 / 3, 2 / 3, 2 / 3])
    np.testing.assert_allclose(bias.head_shares(ranks, 100), [[1 / 2, 1 / 2]] * 3)  # a cut beyond the pool


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 30))
def test_peer_is_the_mean_p_value_of_kruskal_wallis(seed: int, cut: int) -> None:
    generator = np.random.default_rng(seed)
    asked, held = 5, 30
    collection = Collection.build(
        "random",
        [Text(f"q{i}", "en", f"q{i}", "?") for i in range(asked)],
        [Text(f"p{i:02d}", str(generator.choice(["de", "en", "hi"])), f"p{i}", "!") for i in range(held)],
        [(f"q{q}", f"p{p:02d}", int(generator.integers(0, 3))) for q in range(asked)
         for p in generator.choice(held, 12, replace=False)],
    )  # fmt: skip
    questions, passages = (unit(generator.standard_normal((n, 4))) for n in (asked, held))
    ranks = rank(questions, passages, collection)
    found = bias.peer(ranks, cut)
    language = collection.passage_language
    for q in range(asked):
        of = ranks.question == q
        p_values = []
        for level in np.unique(ranks.relevance[of]):
            rows = np.flatnonzero(of & (ranks.relevance == level))
            clipped = np.minimum(ranks.rank_in_pool[rows], cut + 1)
            spoken = language[ranks.passage[rows]]
            samples = [clipped[spoken == each] for each in np.unique(spoken)]
            if len(samples) < 2 or (clipped == cut + 1).all():
                p_values.append(1.0)
            else:
                p_values.append(stats.kruskal(*samples).pvalue)
        expected = np.mean(p_values) if p_values else np.nan
        assert found[q] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_peer_is_the_authors_formula_where_the_relevant_lead() -> None:
    """H = (N − 1) Σ n_l (r̄_l − r̄)² / Σ (r − r̄)², on the ranks themselves (2405.00978)."""
    names = ["en", "en", "de", "en", "de", "hi", "de", "hi", "hi"]
    passages = [Text(f"p{i}", names[i] if i < 9 else "en", f"p{i}", "!") for i in range(20)]
    collection = Collection.build("lead", [Text("q", "en", "q", "?")], passages, [("q", f"p{i}", 1) for i in range(9)])
    vectors = np.arange(20, 0, -1, dtype=np.float32)[:, None]
    found = bias.peer(rank(np.ones((1, 1), np.float32), vectors, collection), 20)
    ranks, spoken = np.arange(1, 10), np.array(names)
    means = np.array([ranks[spoken == each].mean() for each in spoken])
    statistic = 8 * np.square(means - 5).sum() / np.square(ranks - 5).sum()
    assert found[0] == pytest.approx(stats.chi2.sf(statistic, 2))


@settings(max_examples=200)
@given(st.integers(0, 10**6), st.integers(1, 8))
def test_kendall_is_scipys_with_the_missing_behind(seed: int, depth: int) -> None:
    generator = np.random.default_rng(seed)
    lists = np.full((2, depth), -1)
    for row in lists:
        size = generator.integers(0, depth + 1)
        row[:size] = generator.choice(12, size, replace=False)
    a, b = ([item for item in row if item >= 0] for row in lists.tolist())
    items = sorted({*a, *b})
    places = [[row.index(item) if item in row else len(row) for item in items] for row in (a, b)]
    expected = tau_b(*places) if len(items) > 1 else np.nan
    assert kendall(lists[:1], lists[1:])[0] == pytest.approx(expected, nan_ok=True)


def test_rank_correlation_is_one_where_languages_share_vectors() -> None:
    questions, passages, collection = parallel(groups=9)
    same = rank(np.tile(questions[:9], (3, 1)), passages, collection)
    np.testing.assert_allclose(rank_correlation(same), 1.0)
    other = rank_correlation(rank(questions, passages, collection))
    assert np.all(other < 1)


def test_rank_correlation_is_the_mean_over_pairs() -> None:
    questions, passages, collection = parallel(groups=4, passages=40)
    ranks = rank(questions, passages, collection)
    found = rank_correlation(ranks, depth=20)
    lists = [list(dict.fromkeys(ranks.passage_group[row].tolist()))[:20] for row in ranks.top]
    for q in range(len(questions)):
        taus: list[float] = []
        for other in np.flatnonzero(ranks.question_group == ranks.question_group[q]):
            if other != q:
                items = sorted({*lists[q], *lists[other]})
                places = [[row.index(i) if i in row else len(row) for i in items] for row in (lists[q], lists[other])]
                taus.append(tau_b(*places))
        assert found[q] == pytest.approx(np.mean(taus))


def test_a_question_without_translation_has_no_correlation() -> None:
    assert np.isnan(rank_correlation(by_hand())[2])


def test_geometry_sees_a_shift_of_languages_and_not_its_absence() -> None:
    _, shifted, collection = parallel(passages=300, dimension=16, noise=0.1)
    generator = np.random.default_rng(0)
    alike = unit(np.tile(generator.standard_normal((300, 16)), (3, 1)) + 0.1 * generator.standard_normal((900, 16)))
    language = collection.passage_language
    group = np.tile(np.arange(300), 3)
    told = language_classifier(shifted, language, group, seed=0)
    blind = language_classifier(alike, language, group, seed=0)
    assert told is not None
    assert blind is not None
    assert told[0] > 0.95
    assert told[1] == pytest.approx(1 / 3)
    assert blind[0] < 0.45
    cosines = translation_cosines(alike, language, group, seed=0)
    assert cosines is not None
    assert cosines[0] > 0.95
    assert abs(cosines[1]) < 0.1
    distances = mean_distances(shifted, language, 4)
    assert np.isnan(distances[3]).all()
    expected = shifted[:300].mean(axis=0) - shifted[300:600].mean(axis=0)
    assert distances[0, 1] == pytest.approx(np.linalg.norm(expected), rel=1e-5)
    assert translation_cosines(alike, language, np.arange(900), seed=0) is None


def test_a_vector_of_zeros_has_a_cosine_of_zero() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0, 0]], np.float32)
    assert translation_cosines(vectors, np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), seed=0) == (0.5, 0.0)


def test_reports_know_every_measure_of_bias_and_which_values_are_better() -> None:
    labels = {each.key: each for each in bias_measures([each.name for each in BIAS_MEASURES])}
    assert {each.name: each.better == "lower" for each in BIAS_MEASURES} == {
        name: label.lower for name, label in labels.items()
    }
    assert all(label.label != name and label.meaning for name, label in labels.items() if "@" not in name)
