"""The laws of the methods, of their strength and of whitening."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import scipy.linalg
from debiasing_made import LANGUAGES, biased, unit
from hypothesis import given, settings
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.debiasing.correction import METHODS, SIDES, Method
from panglot.debiasing.fit import Sample, Samples, differing_subspace, fit

EVERY = [("center", None), ("shift", None), ("lir", 2), ("lsar", None), ("leace", None)]


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


@settings(max_examples=30)
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


def pooled(samples: Samples, languages: tuple[str, ...] = LANGUAGES) -> tuple[np.ndarray, np.ndarray]:
    """All vectors of both sides, and the number of the language of each."""
    parts = [(samples[side][code].vectors, number) for number, code in enumerate(languages) for side in SIDES]
    codes = np.concatenate([np.full(len(part), number) for part, number in parts])
    return np.concatenate([part for part, _ in parts]).astype(np.float64), codes


def test_no_linear_classifier_finds_the_language_after_leace() -> None:
    vectors, codes = pooled(biased())
    debiasing = fit(biased(), "leace")
    target = np.eye(4)[codes]

    def guessed(rows: np.ndarray) -> np.ndarray:
        inputs = np.column_stack([rows, np.ones(len(rows))])
        return inputs @ np.linalg.lstsq(inputs, target, rcond=1e-5)[0]

    assert (guessed(vectors).argmax(axis=1) == codes).mean() > 0.95
    erased = debiasing.corrected(vectors, [None] * len(vectors), "passage")
    # The best linear guess is the share of each language, whatever the vector.
    np.testing.assert_allclose(guessed(erased), 0.25, atol=1e-4)
    np.testing.assert_allclose(erased.mean(axis=0), vectors.mean(axis=0), atol=1e-6)


def test_leace_is_the_least_squares_map_with_languages_counting_equally() -> None:
    samples = biased()
    for side in SIDES:
        found = samples[side]
        found["ru"] = Sample(found["ru"].vectors[: 15 if side == "question" else 30], found["ru"].groups[:15])
        found["ru"] = Sample(found["ru"].vectors, tuple(f"g{row}" for row in range(len(found["ru"].vectors))))
    # The same in terms of D, the differences of means, without square roots: P = I − D (Dᵀ Σ⁻¹ D)⁺ Dᵀ Σ⁻¹.
    parts = [samples[side][code].vectors.astype(np.float64) for code in LANGUAGES for side in SIDES]
    mean = np.mean([part.mean(axis=0) for part in parts], axis=0)
    sigma = np.mean([(part - mean).T @ (part - mean) / len(part) for part in parts], axis=0)
    differences = (((means(samples, "question") + means(samples, "passage")) / 2) - mean).T
    inverse = np.linalg.inv(sigma)
    removed = differences @ np.linalg.pinv(differences.T @ inverse @ differences, rcond=1e-9) @ differences.T @ inverse
    for strength in (1.0, 0.4):
        debiasing = fit(samples, "leace", strength=strength)
        assert debiasing.matrix is not None
        assert debiasing.bias is not None
        np.testing.assert_allclose(debiasing.matrix, np.eye(12) - strength * removed, atol=1e-5)
        np.testing.assert_allclose(debiasing.bias, strength * removed @ mean, atol=1e-5)
    # It changes the vectors less than the orthogonal projection that erases as much.
    basis = np.linalg.svd(differences.T, full_matrices=False)[2][:3]
    vectors = np.concatenate(parts)

    def change(moved: np.ndarray) -> float:
        squares = np.square(moved).sum(axis=1)
        ends = np.cumsum([len(part) for part in parts])[:-1]
        return float(np.mean([each.mean() for each in np.split(squares, ends)]))

    assert change((vectors - mean) @ removed.T) < change((vectors - mean) @ basis.T @ basis) * 0.999


def test_leace_wants_room_beside_the_means() -> None:
    generator = np.random.default_rng(0)
    few = {code: Sample(unit(generator.standard_normal((9, 2))), ("a",) * 9) for code in LANGUAGES}
    with pytest.raises(PanglotError, match="the means of 4 languages span all 2 directions of their vectors"):
        fit({"passage": few}, "leace")


@pytest.mark.parametrize(("method", "rank"), EVERY)
def test_strength_is_the_share_of_the_correction(method: Method, rank: int | None) -> None:
    samples = biased()
    none, some, all_ = (fit(samples, method, rank=rank, strength=strength) for strength in (0.0, 0.3, 1.0))
    assert (some.strength, all_.strength) == (0.3, 1.0)
    for side in SIDES:
        for code in LANGUAGES:
            vectors, codes = samples[side][code].vectors, [code] * 40
            np.testing.assert_array_equal(none.corrected(vectors, codes, side), vectors.astype(np.float64))
            moved = vectors - all_.corrected(vectors, codes, side)
            np.testing.assert_allclose(vectors - some.corrected(vectors, codes, side), 0.3 * moved, atol=1e-6)
    assert not none.needs_language


def test_strength_one_is_what_it_was() -> None:
    samples = biased()
    debiasing = fit(samples, "center", strength=1.0)
    own = np.stack([[samples[side][code].vectors.astype(np.float64).mean(axis=0) for code in LANGUAGES]
                    for side in SIDES])  # fmt: skip
    np.testing.assert_array_equal(debiasing.offset, own.astype(np.float32))
    assert list(debiasing.arrays) == ["offset", "directions", "subspace"]


def within(vectors: dict[tuple[str, str, str], list[np.ndarray]]) -> np.ndarray:
    """The covariance of translations around the mean of their group, from vectors by side, group and language."""
    left = []
    for side, group in sorted({key[:2] for key in vectors}):
        versions = [np.mean(found, axis=0) for key, found in vectors.items() if key[:2] == (side, group)]
        left += [version - sum(versions) / len(versions) for version in versions]
    degrees = len(left) - len({key[:2] for key in vectors})
    return np.sum([np.outer(each, each) for each in left], axis=0) / degrees


def moved(samples: Samples, debiasing: Any) -> dict[tuple[str, str, str], list[np.ndarray]]:
    found: dict[tuple[str, str, str], list[np.ndarray]] = {}
    for side, by_language in samples.items():
        for code, each in by_language.items():
            corrected = debiasing.corrected(each.vectors, [code] * len(each.groups), side)
            for group, vector in zip(each.groups, corrected, strict=True):
                found.setdefault((side, group, code), []).append(vector)
    return found


@pytest.mark.parametrize(("method", "strength"), [("center", 1.0), ("center", 0.75), ("center", 0.0), ("lir", 0.5),
                                                  ("shift", 1.0), ("lsar", 0.5), ("leace", 0.5)])  # fmt: skip
def test_whitening_without_shrinkage_makes_translations_differ_equally_in_all_directions(
    method: Method, strength: float
) -> None:
    samples = biased()
    # Missing translations, and a group with two texts in one language.
    thai = samples["passage"]["th"]
    samples["passage"]["th"] = Sample(thai.vectors[:30], (*thai.groups[:29], thai.groups[3]))
    debiasing = fit(samples, method, strength=strength, whiten=0.0)
    assert debiasing.needs_language == (method not in {"lsar", "leace"} and strength > 0)
    fitted_on: Samples = {"passage": samples["passage"]} if method == "shift" else samples
    scatter = within(moved(fitted_on, debiasing))
    np.testing.assert_allclose(scatter, np.eye(12), atol=2e-3)


def test_whitening_is_the_inverse_root_of_the_shrunk_scatter() -> None:
    samples = biased()
    plain = fit(samples, "center", strength=0.75)
    scatter = within(moved(samples, plain))
    debiasing = fit(samples, "center", strength=0.75, whiten=0.8)
    assert debiasing.matrix is not None
    shrunk = 0.2 * scatter + 0.8 * np.trace(scatter) / 12 * np.eye(12)
    np.testing.assert_allclose(debiasing.matrix, np.linalg.inv(scipy.linalg.sqrtm(shrunk)), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(debiasing.offset, plain.offset)
    assert (debiasing.strength, debiasing.whiten) == (0.75, 0.8)
    # At full shrinkage, nothing is left of the scatter but its scale.
    round_ = fit(samples, "center", strength=0.75, whiten=1.0)
    vectors = samples["question"]["ru"].vectors
    given = vectors, ["ru"] * len(vectors), "question"
    np.testing.assert_allclose(round_.apply(*given), plain.apply(*given), atol=1e-6)
    # A language that was not fitted is whitened too, or it would no longer be comparable.
    unknown = debiasing.apply(vectors, [None] * len(vectors), "question")
    np.testing.assert_allclose(unknown, unit(vectors @ debiasing.matrix.T), atol=1e-6)


def test_whitening_of_leace_includes_its_bias() -> None:
    samples = biased()
    erased, whitened = fit(samples, "leace"), fit(samples, "leace", whiten=0.5)
    scatter = within(moved(samples, erased))
    root = np.linalg.inv(scipy.linalg.sqrtm((scatter + np.trace(scatter) / 12 * np.eye(12)) / 2))
    vectors = samples["passage"]["de"].vectors
    found = whitened.corrected(vectors, [None] * 40, "passage")
    np.testing.assert_allclose(found, erased.corrected(vectors, [None] * 40, "passage") @ root.T, rtol=1e-3, atol=1e-3)
    weight, bias = whitened.affine()
    assert bias is not None
    np.testing.assert_allclose(found, vectors @ weight.T + bias, atol=1e-4)


def test_whitening_wants_translations_and_room() -> None:
    samples = biased()
    alone: Samples = {side: {code: Sample(each.vectors, tuple(f"{code} {group}" for group in each.groups))
                    for code, each in found.items()} for side, found in samples.items()}  # fmt: skip
    with pytest.raises(PanglotError, match="at least 2 texts with translations, got 0"):
        fit(alone, "center", whiten=0.8)
    # The removed subspace has no scatter, so that its inverse does not exist.
    with pytest.raises(PanglotError, match=r"do not differ in all 12 directions.*larger shrinkage"):
        fit(samples, "lsar", whiten=0.0)
    assert np.isfinite(fit(samples, "lsar", whiten=0.1).matrix).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["strength", "whiten"])
@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_shares_are_between_none_and_all(name: str, value: float) -> None:
    with pytest.raises(PanglotError, match=f"`{name}` must be between 0 and 1"):
        fit(biased(), "center", **{name: value})  # type: ignore[arg-type]


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
        ("leace", 1, "leace has no rank"),
        ("whiten", None, "unknown method 'whiten'"),
    ],
)
def test_a_rank_that_does_not_fit_is_refused(method: Any, rank: int | None, says: str) -> None:
    with pytest.raises(PanglotError, match=says):
        fit(biased(), method, rank=rank)


@pytest.mark.parametrize("method", ["lsar", "leace"])
def test_one_map_for_all_wants_one_kind_of_text_in_all_languages(method: Method) -> None:
    samples = biased()
    del samples["question"]["ru"], samples["passage"]["en"]
    with pytest.raises(PanglotError, match="questions only and others passages only"):
        fit(samples, method)
    samples = biased()
    del samples["question"]["ru"]
    only = fit({"passage": samples["passage"]}, method)
    np.testing.assert_allclose(fit(samples, method).affine()[0], only.affine()[0], atol=1e-6)
