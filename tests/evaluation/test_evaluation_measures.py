"""Measures against trec_eval, through ir_measures."""

from __future__ import annotations

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.evaluation.bootstrap import values
from panglot.evaluation.measures import _FORMULAS, Measure, parse
from panglot.evaluation.ranks import UNLISTED, rank

NAMES = {
    "mAP": "AP",
    "mAP@5": "AP@5",
    "MRR": "RR",
    "nDCG": "nDCG",
    **{name: name for name in ("R@1", "R@3", "R@10", "P@1", "P@5", "nDCG@1", "nDCG@10")},
    **{name: name for name in ("Success@1", "Success@5")},
}


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([2, 40]), st.sampled_from([3, 30]))
def test_every_measure_agrees_with_trec_eval(seed: int, dimension: int, held: int) -> None:
    generator = np.random.default_rng(seed)
    asked = 6
    if dimension == 2:  # whole numbers: nearly everything ties
        questions, passages = (generator.integers(-1, 2, (n, 2)).astype(np.float32) for n in (asked, held))
    else:
        questions, passages = (generator.standard_normal((n, dimension)).astype(np.float32) for n in (asked, held))
    # trec_eval puts the higher id first among equal scores, panglot the lower one: count the ids down.
    theirs = [f"d{held - i:04d}" for i in range(held)]
    judged = {
        (f"q{generator.integers(asked)}", int(generator.integers(held))): int(generator.integers(0, 4))
        for _ in range(25)
    }
    collection = Collection.build(
        "random",
        [Text(f"q{i}", "en", f"q{i}", "?") for i in range(asked)],
        [Text(f"p{i:04d}", "en", f"p{i}", "!") for i in range(held)],
        [(q, f"p{p:04d}", grade) for (q, p), grade in judged.items()],
    )
    ranks = rank(questions, passages, collection, depth=held)
    qrels = [ir_measures.Qrel(q, theirs[p], grade) for (q, p), grade in judged.items()]
    run = [
        ir_measures.ScoredDoc(f"q{q}", theirs[p], float(score))
        for q in range(asked)
        for p, score in zip(ranks.top[q], ranks.top_scores[q], strict=True)
    ]
    measures = {parse(name): ir_measures.parse_measure(theirs) for name, theirs in NAMES.items()}
    expected = {
        (metric.measure, metric.query_id): metric.value
        for metric in ir_measures.iter_calc(list(measures.values()), qrels, run)
    }
    for measure, (by_pool, pooled) in values(ranks, list(measures)).items():
        for found in (pooled, by_pool[:, 0]):
            for q in range(asked):
                if f"q{q}" in {q for (q, _), grade in judged.items() if grade > 0}:
                    assert found[q] == pytest.approx(expected[measures[measure], f"q{q}"], abs=1e-9), measure
                else:
                    assert np.isnan(found[q])


@pytest.mark.parametrize("name", ["mAP", "MRR", "MRR@10", "R@1", "P@5", "Success@10", "nDCG@10", "nDCG"])
def test_a_measure_prints_as_its_name_and_is_a_key(name: str) -> None:
    assert str(parse(name)) == name
    assert {parse(name): 1}[parse(name.upper())] == 1


def test_every_formula_has_its_oracle() -> None:
    assert {parse(name).kind for name in NAMES} == set(_FORMULAS)


def test_other_spellings() -> None:
    assert parse("AP") == Measure("mAP")
    assert parse("Recall@100") == Measure("R", 100)
    assert parse(Measure("P", 3)) == Measure("P", 3)


@pytest.mark.parametrize("name", ["", "R", "P", "Success", "nDCG@0", "nDCG@-1", "nDCG@x", "F1", "mAP@1.5"])
def test_what_is_no_measure_is_refused(name: str) -> None:
    with pytest.raises(PanglotError, match="Fix:"):
        parse(name)


def test_mrr_cut_by_hand() -> None:
    unit, ranks, grade = np.array([0, 0, 1, 2]), np.array([4, 9, 11, 10]), np.ones(4, np.int64)
    np.testing.assert_allclose(Measure("MRR", 10).values(unit, ranks, grade, 4), [1 / 4, 0, 1 / 10, np.nan])


def test_graded_relevance_and_precision_by_hand() -> None:
    """Of two relevant passages, that of grade 1 is first and that of grade 3 is third."""
    unit, ranks, grade = np.array([0, 0]), np.array([1, 3]), np.array([1, 3])
    found = {name: parse(name).values(unit, ranks, grade, 1)[0] for name in ("mAP", "mAP@2", "nDCG", "nDCG@2")}
    best = 3 / np.log2(2) + 1 / np.log2(3)
    assert found == pytest.approx({
        "mAP": (1 / 1 + 2 / 3) / 2, "mAP@2": (1 / 1) / 2,
        "nDCG": (1 / np.log2(2) + 3 / np.log2(4)) / best, "nDCG@2": 1 / np.log2(2) / best,
    })  # fmt: skip


def test_passages_that_a_run_does_not_list_are_counted_in_millions_of_rankings() -> None:
    last = 8_999_999
    unit, rank = np.array([last, 0, 0, last]), np.array([UNLISTED, 2, UNLISTED, 1])
    found = parse("mAP").values(unit, rank, np.ones(4, np.int64), last + 1)
    assert (found[0], found[last]) == (0.25, 0.5)
    assert np.isnan(found[1:last]).all()
