"""What a study was designed to find out, on cells whose differences are known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from study_made import put

from panglot._errors import PanglotError
from panglot.evaluation.bootstrap import holm
from panglot.study import design, report
from panglot.study.design import Study
from panglot.study.endpoints import caution, classifiers, contrast, primary, secondary, smallest_difference
from panglot.study.estimates import SIGNIFICANCE, Estimate, Results, SeedFigures, comparisons, t_test
from panglot.study.worker import status_of

TEXT = """
output = "{folder}/out"
on = ["{folder}/train.jsonl"]
sizes = [4, "all"]
seeds = [0, 1, 2, 3, 4]
focus = "hybrid"
rival = "mean"
beside = [["cross", "mean"]]
[strategies.hybrid]
[strategies.mean]
mixing = "mean"
[strategies.cross]
smallest = 5
[[tests]]
on = "starter:test"
[tests.asked_in]
rare = ["is"]
[endpoints.whole]
on = "starter:test"
figure = "monolingual.mAP"
[endpoints.slope]
on = "starter:test"
figure = "monolingual.mAP"
contrast = "slope"
[endpoints.pool]
on = "starter:test"
figure = "multilingual.mAP"
primary = false
"""
KEYS = tuple(f"starter:test|all|{setting}.mAP" for setting in ("monolingual", "multilingual"))
GROUPS = 200


def made(folder: Path, change: tuple[str, str] = ("", "")) -> Study:
    (folder / "study.toml").write_text(TEXT.format(folder=folder).replace(*change, 1), "utf-8")
    return design.read(folder / "study.toml")


def cells(study: Study, more: dict[str, float], noise: float, seeds: int = 5) -> Results:
    """Write cells whose values are ``more`` than those of mean mixing, plus noise of seeds and groups."""
    rng = np.random.default_rng(0)
    base = rng.uniform(0.3, 0.7, GROUPS)
    values = {"start": base.tolist()}
    for seed in range(seeds):
        for name, size in (("hybrid", "4"), ("hybrid", "all"), ("mean", "4"), ("mean", "all"), ("cross", "all")):
            shift = more.get(f"{name}-{size}", 0.0) + noise * rng.normal()
            values[f"{name}-{size}-{seed}"] = (base + shift + 0.01 * rng.normal(size=GROUPS)).tolist()
    put(study, values, KEYS)
    return Results(study)


@pytest.mark.parametrize(
    ("more", "noise", "verdicts"),
    [
        ({"hybrid-4": 0.03, "hybrid-all": 0.03}, 0.001, {"whole": "better", "slope": "equivalent"}),
        ({"hybrid-4": 0.0, "hybrid-all": -0.04}, 0.001, {"whole": "worse", "slope": "worse"}),
        ({}, 0.001, {"whole": "equivalent", "slope": "equivalent"}),
        ({}, 0.03, {"whole": "undecided", "slope": "undecided"}),
    ],
)
def test_an_endpoint_is_better_worse_equivalent_or_undecided(
    tmp_path: Path, more: dict[str, float], noise: float, verdicts: dict[str, str]
) -> None:
    found = primary(cells(made(tmp_path), more, noise))
    assert {each.endpoint.name: each.verdict for each in found} == verdicts
    whole = found[0].difference
    assert whole.seeds == 5
    assert whole.value == pytest.approx((more.get("hybrid-4", 0) + more.get("hybrid-all", 0)) / 2, abs=2 * noise)
    assert found[0].detectable is not None
    assert found[0].detectable < 4 * noise + 0.002


def test_a_small_difference_may_be_significant_and_equivalent(tmp_path: Path) -> None:
    found = primary(cells(made(tmp_path), {"hybrid-4": 0.004, "hybrid-all": 0.004}, 0.0003))[0]
    assert (found.verdict, found.is_equivalent) == ("better", True)
    # It is not equivalent within a margin that is smaller than itself.
    (tmp_path / "other").mkdir()
    strict = made(tmp_path / "other", ("[strategies.hybrid]", "margin = 0.003\n[strategies.hybrid]"))
    again = primary(cells(strict, {"hybrid-4": 0.004, "hybrid-all": 0.004}, 0.0003))[0]
    assert (again.verdict, again.is_equivalent) == ("better", False)


def test_a_difference_that_never_varies_is_equivalent_only_within_the_margin(tmp_path: Path) -> None:
    for more, equivalent in ((0.5, False), (0.25 / 32, True)):
        (tmp_path / str(more)).mkdir()
        study = made(tmp_path / str(more))
        base = [0.25] * GROUPS
        values = {"start": base}
        for seed in study.seeds:
            for size in ("4", "all"):
                values |= {f"mean-{size}-{seed}": base, f"hybrid-{size}-{seed}": [0.25 + more] * GROUPS}
        put(study, values, KEYS)
        found = primary(Results(study))[0]
        assert (found.verdict, found.is_equivalent) == ("better", equivalent)


def test_p_values_are_corrected_for_every_primary_endpoint(tmp_path: Path) -> None:
    results = cells(made(tmp_path), {"hybrid-4": 0.01}, 0.004)
    found = primary(results)
    each = [t_test(gap)[1] for one in found if (gap := contrast(results, "hybrid", "mean", one.endpoint))]
    alone = [p for p in each if p is not None]
    assert [one.p for one in found] == pytest.approx(holm(alone))
    assert min(one.p or 0 for one in found) == pytest.approx(2 * min(alone))


def test_a_primary_difference_is_called_detectable_after_the_correction(tmp_path: Path) -> None:
    results = cells(made(tmp_path), {}, 0.004)
    found = {each.endpoint.name: each for each in primary(results)}
    for name, gap in ((name, contrast(results, "hybrid", "mean", one.endpoint)) for name, one in found.items()):
        assert gap is not None
        alone, corrected = (smallest_difference(gap, 5, GROUPS, level) for level in (0.05, 0.05 / len(found)))
        assert found[name].detectable == pytest.approx(corrected)
        assert found[name].detectable > 1.1 * alone  # type: ignore[operator]
    other = secondary(results)[0]
    gap = contrast(results, other.one, other.other, other.endpoint)
    assert gap is not None
    assert other.detectable == pytest.approx(smallest_difference(gap, 5, GROUPS, 0.05))


def test_other_endpoints_and_pairs_are_secondary_and_uncorrected(tmp_path: Path) -> None:
    found = secondary(cells(made(tmp_path), {"cross-all": 0.02}, 0.001))
    named = [(each.one, each.other, each.endpoint.name) for each in found]
    # cross is trained at one size only, so it has no slope.
    assert named == [("hybrid", "mean", "pool"), ("cross", "mean", "whole"), ("cross", "mean", "pool")]
    assert found[1].verdict == "better"


def test_an_endpoint_without_its_cells_is_left_out_and_one_seed_decides_nothing(tmp_path: Path) -> None:
    study = made(tmp_path, ("seeds = [0, 1, 2, 3, 4]", "seeds = [0]"))
    assert primary(Results(study)) == []
    one, _ = primary(cells(study, {"hybrid-all": 0.5}, 0.0, seeds=1))
    assert (one.p, one.verdict, one.detectable) == (None, "undecided", None)


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_nothing_is_tested_before_all_seeds_are_there(tmp_path: Path, seeds: int) -> None:
    study = made(tmp_path)
    results = cells(study, {"hybrid-4": 0.03, "hybrid-all": 0.03}, 0.001, seeds=seeds)
    for one in (*primary(results), *secondary(results)):
        assert (one.p, one.p_equivalence, one.detectable, one.difference.interval) == (None, None, None, None)
        assert (one.verdict, one.seeds, len(one.by_seed)) == ("unfinished", f"{seeds} of 5", seeds)
        assert one.difference.value == pytest.approx(np.mean(one.by_seed))
    assert {each.p for each in comparisons(results)} == {None}
    text = report.write(study, tmp_path / "report")
    assert f"not tested yet, with {seeds} of 5 seeds" in text
    assert "Nothing is tested before hybrid and mean have all of their 5 seeds." in text


def test_the_caution_is_what_a_simulation_finds() -> None:
    rng = np.random.default_rng(0)
    for count, most in ((2, 0.13), (3, 0.08), (5, 0.06), (10, 0.055)):
        # Seeds and question groups of the same kind in both, so that every difference that is found is not there.
        false = 0
        for _ in range(2000):
            values = rng.normal(size=count)
            draws = values[:, None] + rng.normal(scale=0.3 / count**0.5, size=1000)
            shifted = SeedFigures(values + (off := rng.normal(scale=0.3 / count**0.5)), draws + off, 400)
            false += (t_test(shifted)[1] or 0) < SIGNIFICANCE
        assert most - 0.03 < false / 2000 < most + 0.015
        said = caution([count, 12])
        assert (f"With {count} seeds" in said and f"{100 * most:g} %" in said) == (count < 10)


def test_comparisons_are_corrected_for_those_that_are_not_finished_too(tmp_path: Path) -> None:
    """Two settings at two sizes are four comparisons. With the cells of one size, each p counts fourfold at least."""
    study = made(tmp_path)
    results = cells(study, {"hybrid-4": 0.004}, 0.004)
    alone = [each.p or 0.0 for each in comparisons(results)]
    assert [each.corrected for each in comparisons(results)] == pytest.approx(holm(alone))
    for seed in study.seeds[1:]:
        (study.output / "cells" / f"hybrid-all-{seed}" / "cell.json").unlink()
    (study.output / "cells" / "mean-all-0" / "cell.json").unlink()
    found = comparisons(Results(study))
    assert [(each.size, each.of) for each in found] == [(4, 4), (4, 4)]
    assert [each.corrected for each in found] == pytest.approx(holm([*alone[::2], 1.0, 1.0])[:2])
    text = report.to_markdown(Results(study), status_of(study))
    assert "of 2 comparisons" in text
    assert "corrected after Holm for all 4 comparisons" in text


def test_strategies_that_share_no_size_have_no_finding(tmp_path: Path) -> None:
    study = made(tmp_path)
    hybrid, *others = study.strategies
    apart = replace(study, strategies=(replace(hybrid, smallest=5), *others), sizes=(4,))  # what reading refuses
    assert contrast(Results(apart), "hybrid", "mean", study.endpoints[0]) is None
    assert primary(Results(apart)) == []
    with pytest.raises(PanglotError) as caught:
        made(tmp_path, ('sizes = [4, "all"]', "sizes = [4]"))
    assert (caught.value.file, caught.value.field) == (study.file, "strategies.cross.smallest")


def test_the_report_says_the_answer_in_words_in_a_table_and_as_a_forest_plot(tmp_path: Path) -> None:
    study = made(tmp_path)
    cells(study, {"hybrid-4": 0.03, "hybrid-all": 0.03}, 0.001)
    text = report.write(study, tmp_path / "report")
    assert "whole: hybrid is better than mean (+" in text
    assert "slope: hybrid and mean are equivalent within 1 point" in text
    assert "corrected after Holm for the primary endpoints" in text
    assert text.index("## Answer") < text.index("## Secondary endpoints") < text.index("## All comparisons")
    assert 'class="whisker' in (tmp_path / "report" / "report.html").read_text("utf-8")
    kept = json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))["endpoints"]
    assert [each["verdict"] for each in kept][:2] == ["better", "equivalent"]
    assert status_of(study).done


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (('[endpoints.whole]\non = "starter:test"', '[endpoints.whole]\non = "mlqa"'), "endpoints.whole.on"),
        (('contrast = "slope"', 'contrast = "slop"'), "endpoints.slope.contrast"),
        (('contrast = "slope"', 'part = "common"'), "endpoints.slope.part"),
        (('"multilingual.mAP"', '"multilingual.rank_distance"'), "endpoints.pool.figure"),
        (("primary = false", "primary = 0"), "endpoints.pool.primary"),
        (('beside = [["cross", "mean"]]', 'beside = [["cross"]]'), "beside"),
        (('beside = [["cross", "mean"]]', 'beside = [["cross", "men"]]'), "beside"),
    ],
)
def test_an_endpoint_that_the_study_cannot_have_is_refused(tmp_path: Path, change: tuple[str, str], field: str) -> None:
    with pytest.raises(PanglotError) as caught:
        made(tmp_path, change)
    assert caught.value.field == field
    assert caught.value.hint


def test_the_language_classifier_is_compared_over_seeds_of_both(tmp_path: Path) -> None:
    study = made(tmp_path)
    found = {"start": 0.99, "hybrid-4-0": 0.75, "mean-4-0": 0.8, "mean-4-1": 0.82, "hybrid-all-3": 0.6}
    for seed, less in enumerate((0.10, 0.12, 0.14)):
        found |= {f"cross-all-{seed}": 0.9, f"mean-all-{seed}": 0.9 + less}
    put(study, {name: [0.5, 0.6] for name in found}, classifier=found)
    every = {(each.size, each.strategy, each.less): each for each in classifiers(Results(study))}
    assert every[4, "start", ""].found == Estimate(0.99, None, 1)
    assert every[4, "mean", ""].found.value == pytest.approx(0.81)
    # Seed 1 is of one strategy alone, and one seed gives no interval. Nothing is in common at all languages.
    alone = every[4, "hybrid", "mean"].found
    assert (alone.value, alone.interval, alone.seeds) == (pytest.approx(-0.05), None, 1)
    assert (0, "hybrid", "mean") not in every
    compared = every[0, "cross", "mean"]
    # A mean of -.12 with a standard deviation of .02: -.12 ± 4.303 · .02 / √3.
    assert compared.found.value == pytest.approx(-0.12)
    assert compared.found.interval == pytest.approx((-0.12 - 0.0497, -0.12 + 0.0497), abs=1e-4)
    assert compared.p == pytest.approx(0.0092, abs=1e-4)
    text = report.to_markdown(Results(study), status_of(study))
    assert "| all languages | cross − mean | -12.0 [-17.0, -7.0] |" in text
    assert "| 4 languages | start | 99.0 |" in text
