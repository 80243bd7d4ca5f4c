"""What a study can detect, beside simulated studies, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from panglot.study import design
from panglot.study.endpoints import detectable, plan, smallest_difference
from panglot.study.estimates import SIGNIFICANCE, Results, SeedFigures, comparisons, gap, t_test

STUDIES = Path(__file__).parents[2] / "studies"


@pytest.mark.parametrize(("seeds", "groups"), [(3, 100), (10, 400)])
def test_the_smallest_difference_is_found_in_four_studies_of_five(seeds: int, groups: int) -> None:
    rng = np.random.default_rng(0)
    over_seeds, over_groups = 0.004, 0.06
    wide = 4000  # seeds of a pilot that knows the spread exactly
    pilot = SeedFigures(
        rng.normal(0, over_seeds, wide), rng.normal(0, over_groups / 200**0.5, 1000) + np.zeros((wide, 1)), 200
    )
    difference = smallest_difference(pilot, seeds, groups, 0.05)
    assert difference is not None
    found = 0
    for _ in range(1000):
        error = rng.normal(0, over_groups / groups**0.5)  # of this study's questions
        values = difference + error + rng.normal(0, over_seeds, seeds)
        draws = values[:, None] + rng.normal(0, over_groups / groups**0.5, 200)
        p = t_test(SeedFigures(values, draws, groups))[1]
        found += p is not None and p < 0.05
    assert found / 1000 == pytest.approx(0.8, abs=0.05)


def test_a_figure_of_one_question_group_has_neither_an_interval_nor_p() -> None:
    of_one_group = SeedFigures(np.array([0.01, 0.02]), np.full((2, 1000), np.nan), 1)
    found, p = t_test(of_one_group)
    assert (found.value, found.interval, p) == (pytest.approx(0.015), None, None)
    assert smallest_difference(of_one_group, 10, 400, 0.05) is None


@pytest.fixture
def committed(monkeypatch: pytest.MonkeyPatch) -> design.Study:
    monkeypatch.chdir(STUDIES.parent)
    study = design.read(STUDIES / "languages.toml")
    object.__setattr__(study, "output", STUDIES / "languages")
    return study


def test_the_design_of_the_next_study_detects_what_its_page_says(committed: design.Study) -> None:
    study = design.read(STUDIES / "settled.toml")
    found = plan(study, Results(committed))
    assert (found["cells"], found["trials"]) == (83, 48)
    assert "libreoffice-help:test" in found["not_in_pilot"]
    points = {
        each["contrast"]: 100 * each["alone"]
        for each in found["detectable"]
        if (each["test"], each["part"], each["figure"]) == ("xquad-r", "all", "crosslingual.mAP")
    }
    assert points["mean"] == pytest.approx(0.55, abs=0.05)
    assert points["slope"] == pytest.approx(1.25, abs=0.05)
    assert all(each["alone"] is None or each["alone"] < each["corrected"] for each in found["detectable"])
    # All figures are 1 there, so that nothing is known of how much they differ.
    ceiling = [each for each in found["detectable"] if each["test"] == "tydiqa-goldp-large"]
    assert {each["alone"] is None for each in ceiling if each["figure"] == "monolingual.mAP"} == {True}


def test_the_correction_counts_only_sizes_of_both_strategies(committed: design.Study) -> None:
    results = Results(committed)
    every = comparisons(results)
    assert {each.of for each in every} == {len(every)} == {48}
    each = next(each for each in detectable(committed, results) if each.contrast == "4")
    key = f"{each.test}|{each.part}|{each.figure}"
    one = gap(results, committed.focus, committed.rival, 4, key, committed.seeds)
    assert one is not None
    expected = smallest_difference(one, len(committed.seeds), one.groups, SIGNIFICANCE / len(every))
    assert each.corrected == pytest.approx(expected)


def test_without_a_pilot_cells_and_trials_are_counted(tmp_path: Path, succeeds: Callable[..., str]) -> None:
    study = design.read(STUDIES / "settled.toml")
    object.__setattr__(study, "output", tmp_path)
    found = plan(study, Results(study))
    assert (found["cells"], found["trials"]) == (83, 48)
    assert (found["hours"], found["spread_factor"], found["detectable"]) == (None, None, [])
    file = tmp_path / "new.toml"
    output = f'output = "{tmp_path / "new"}"'
    file.write_text((STUDIES / "settled.toml").read_text("utf-8").replace('output = "runs/studies/settled"', output))
    said = succeeds("study", "plan", file)
    assert "83 cells and 48 trials of training and measuring" in said
    assert "has no two finished seeds of focus and rival" in said
