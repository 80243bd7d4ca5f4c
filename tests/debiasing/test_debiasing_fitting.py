"""The laws of the four methods."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from debiasing_made import LANGUAGES, biased, unit
from hypothesis import given, settings
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.debiasing.fit import Sample, Samples, differing_subspace, fit
from panglot.debiasing.transform import METHODS, SIDES, Method

EVERY = [("center", None), ("shift", None), ("lir", 2), ("lsar", None)]


def means(samples: Samples, side: Any) -> np.ndarray:
    return np.stack([samples[side][code].vectors.astype(np.float64).mean(axis=0) for code in LANGUAGES])


def test_the_methods_are_these() -> None:
    assert get_args(Method) == METHODS


def test_center_leaves_no_mean() -> None:
    samples = biased()
    debiasing = fit(samples, "center")
    for place, side in enumerate(SIDES):
        for number, code in enumerate(debiasing.languages):
            left = samples[side][code].vectors - debiasing.offset[place, number]
            np.testing.assert_allclose(left.mean(axis=0), 0, atol=1e-7)
            applied = debiasing.apply(samples[side][code].vectors, [code] * len(left), side)
            np.testing.assert_allclose(applied, unit(left), atol=1e-6)


def test_center_takes_one_side_for_both_where_one_is_missing() -> None:
    samples = biased()
    del samples["question"]["ru"]
    samples["question"]["th"] = Sample(samples["question"]["th"].vectors[:1], ("g0",))
    debiasing = fit(samples, "center")
    for code in ("ru", "th"):
        number = debiasing.languages.index(code)
        np.testing.assert_array_equal(debiasing.offset[0, number], debiasing.offset[1, number])
    assert not np.allclose(debiasing.offset[0, 0], debiasing.offset[1, 0])


def test_shift_touches_passages_only_and_not_the_pivots() -> None:
    samples = biased()
    debiasing = fit(samples, "shift")
    for code in LANGUAGES:
        asked, kept = samples["question"][code].vectors, samples["passage"]["en"].vectors
        np.testing.assert_allclose(debiasing.apply(asked, [code] * len(asked), "question"), asked, atol=1e-6)
        np.testing.assert_allclose(debiasing.apply(kept, ["en"] * len(kept), "passage"), kept, atol=1e-6)
        moved = samples["passage"][code].vectors - debiasing.offset[1, debiasing.languages.index(code)]
        np.testing.assert_allclose(moved.mean(axis=0), kept.mean(axis=0), atol=1e-6)


def test_shift_pairs_by_group_whatever_the_order() -> None:
    samples = biased()
    thai, order = samples["passage"]["th"], np.random.default_rng(1).permutation(40)[:30]
    shuffled = Sample(thai.vectors[order], tuple(thai.groups[row] for row in order))
    passages = {**samples["passage"], "th": shuffled}
    found = fit({"passage": passages}, "shift").offset[1, 3]
    english = samples["passage"]["en"].vectors[order]
    np.testing.assert_allclose(found, (thai.vectors[order] - english).mean(axis=0), atol=1e-6)


def test_shift_wants_translations() -> None:
    samples = biased()
    thai = samples["passage"]["th"]
    samples["passage"]["th"] = Sample(thai.vectors, tuple(f"other {group}" for group in thai.groups))
    with pytest.raises(PanglotError, match="in th must have a translation in en"):
        fit(samples, "shift")
    with pytest.raises(PanglotError, match="no passages in sw"):
        fit(biased(), "shift", pivot="sw")


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_lir_is_orthogonal_to_what_it_removes(rank: int) -> None:
    samples = biased()
    debiasing = fit(samples, "lir", rank=rank)
    for place, side in enumerate(SIDES):
        for number, code in enumerate(debiasing.languages):
            vectors = samples[side][code].vectors
            directions = debiasing.directions[place, number].astype(np.float64)
            np.testing.assert_allclose(directions @ directions.T, np.eye(rank), atol=1e-6)
            applied = debiasing.apply(vectors, [code] * len(vectors), side)
            np.testing.assert_allclose(applied @ directions.T, 0, atol=1e-5)
            # What is removed carries more of the vectors than any other subspace of that rank.
            assert np.square(vectors @ directions.T).sum() == pytest.approx(
                np.square(np.linalg.svd(vectors, compute_uv=False)[:rank]).sum(), rel=1e-4
            )


def test_lsar_at_full_rank_makes_the_means_equal() -> None:
    samples = biased()
    debiasing = fit(samples, "lsar")
    assert debiasing.rank == len(LANGUAGES) - 1
    basis = debiasing.subspace.astype(np.float64)
    found = (means(samples, "question") + means(samples, "passage")) / 2
    left = found - (found @ basis.T) @ basis
    np.testing.assert_allclose(left, np.broadcast_to(left[0], left.shape), atol=1e-6)
    differences = found[1:] - found[0]
    np.testing.assert_allclose(differences - (differences @ basis.T) @ basis, 0, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 7), st.integers(8, 20), st.integers(0, 1000), st.data())
def test_lsars_subspace_is_orthonormal_and_near_the_means(
    rows: int, width: int, seed: int, data: st.DataObject
) -> None:
    generator = np.random.default_rng(seed)
    given_means = generator.standard_normal((rows, width)) + 3 * generator.standard_normal(width)
    rank = data.draw(st.integers(1, rows - 1))
    basis = differing_subspace(given_means, rank)
    np.testing.assert_allclose(basis @ basis.T, np.eye(rank), atol=1e-9)
    centered = given_means - given_means.mean(axis=0)
    # It lies in the span of the differences, and takes as much of them as the best subspace of its rank.
    left = np.square(centered - (centered @ basis.T) @ basis).sum()
    best = np.square(np.linalg.svd(centered, compute_uv=False)[rank:]).sum()
    assert left == pytest.approx(best, abs=1e-8)


@pytest.mark.parametrize(("method", "rank"), EVERY)
def test_vectors_come_out_at_unit_length_in_their_order(method: Method, rank: int | None) -> None:
    samples = biased()
    debiasing = fit(samples, method, rank=rank)
    vectors = np.concatenate([samples["passage"][code].vectors for code in LANGUAGES])
    languages = [code for code in LANGUAGES for _ in range(40)]
    before = vectors.copy()
    found = debiasing.apply(vectors, languages, "passage")
    np.testing.assert_array_equal(vectors, before)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    order = np.random.default_rng(0).permutation(len(vectors))
    shuffled = debiasing.apply(vectors[order], [languages[row] for row in order], "passage")
    np.testing.assert_allclose(shuffled, found[order], atol=1e-6)
    assert debiasing.apply(vectors[:0], [], "question").shape == (0, 12)


@pytest.mark.parametrize(("method", "rank"), EVERY[:3])
def test_an_unknown_language_stays_as_it_is(method: Method, rank: int | None) -> None:
    samples = biased()
    vectors = samples["passage"]["de"].vectors[:2]
    found = fit(samples, method, rank=rank).apply(vectors, ["sw", None], "passage")
    np.testing.assert_allclose(found, vectors, atol=1e-6)


def test_regions_fall_back_and_scripts_do_not() -> None:
    debiasing = fit(biased(), "center")
    codes = ("de", "de-AT", "de-u-sd-atbe", "ru-Latn", "ru-Latn-RU", "sw", None, "")
    assert [debiasing.find(code) for code in codes] == [0, 0, 0, -1, -1, -1, -1, -1]


@pytest.mark.parametrize(("method", "rank"), EVERY)
def test_one_language_is_refused(method: Method, rank: int | None) -> None:
    samples: Samples = {side: {"en": found["en"]} for side, found in biased().items()}
    with pytest.raises(PanglotError, match="at least two languages"):
        fit(samples, method, rank=rank)
    with pytest.raises(PanglotError, match="got none"):
        fit({}, method, rank=rank)


@pytest.mark.parametrize(("method", "rank"), EVERY)
def test_a_language_of_one_text_is_refused(method: Method, rank: int | None) -> None:
    samples = biased()
    for found in samples.values():
        found["ru"] = Sample(found["ru"].vectors[:1], ("g0",))
    with pytest.raises(PanglotError, match="ru has fewer than 2"):
        fit(samples, method, rank=rank)


@pytest.mark.parametrize(
    ("method", "rank", "says"),
    [
        ("lsar", 4, "at most 3 for the means of 4 languages.*give 3 or less"),
        ("lsar", 0, "at least 1, got 0"),
        ("lir", 12, "vectors of 12 numbers.*give 11 or less"),
        ("lir", 40, "40 texts in de.*give 39 or less"),
        ("center", 1, "center has no rank"),
        ("shift", 1, "shift has no rank"),
        ("whiten", None, "unknown method 'whiten'"),
    ],
)
def test_a_rank_that_does_not_fit_is_refused(method: Any, rank: int | None, says: str) -> None:
    with pytest.raises(PanglotError, match=says):
        fit(biased(), method, rank=rank)


def test_lsar_wants_one_kind_of_text_in_all_languages() -> None:
    samples = biased()
    del samples["question"]["ru"], samples["passage"]["en"]
    with pytest.raises(PanglotError, match="questions only and others passages only"):
        fit(samples, "lsar")
    samples = biased()
    del samples["question"]["ru"]
    only = fit({"passage": samples["passage"]}, "lsar")
    np.testing.assert_allclose(fit(samples, "lsar").subspace, only.subspace, atol=1e-6)
