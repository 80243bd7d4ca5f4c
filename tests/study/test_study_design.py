"""The file of a study, and the mistakes that are reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from panglot import _environment
from panglot._errors import PanglotError
from panglot.study import design
from panglot.study.design import Cell

TEXT = """
output = "out"
on = ["starter:train"]
sizes = ["all", 1, 4]
seeds = [0, 1]
focus = "hybrid"
rival = "mean"
[train]
pairs = 64
[strategies.mono]
batches = "mono"
[strategies.hybrid]
batches = "hybrid"
smallest = 4
[strategies.mean]
mixing = "mean"
smallest = 4
[[tests]]
on = "starter:test"
share = 0.5
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text, "utf-8")
    return path


def test_cells_are_the_grid_seed_by_seed(tmp_path: Path) -> None:
    study = design.read(written(tmp_path, TEXT))
    names = [cell.name for cell in study.cells()]
    one = ["mono-1-0", "mono-4-0", "hybrid-4-0", "mean-4-0", "mono-all-0", "hybrid-all-0", "mean-all-0"]
    assert names == ["start", *one, *(name[:-1] + "1" for name in one)]
    assert study.trials() == ()


def test_trials_try_every_rate_with_every_strategy(tmp_path: Path) -> None:
    study = design.read(written(tmp_path, TEXT + "[rates]\ngrid = [2e-5, 5e-5]\nsize = 1\n"))
    assert study.trials()[:3] == (
        Cell("mono", 1, 0, 2e-5),
        Cell("mono", 1, 0, 5e-5),
        Cell("hybrid", 4, 0, 2e-5),  # no fewer languages than it can be trained on
    )
    assert len({cell.name for cell in (*study.cells(), *study.trials())}) == len(study.cells()) + 6


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('output = "out"', "", "output.*is missing"),
        ("seeds = [0, 1]", "seeds = [0.5]", "whole number of 0 or more is expected, got 0.5"),
        ('sizes = ["all", 1, 4]', "sizes = [0]", "whole number of 1 or more is expected, got 0"),
        ('batches = "mono"', 'batches = "duo"', "unknown value 'duo'"),
        ('batches = "mono"', "seed = 3", "the study decides seed"),
        ('batches = "mono"', "paris = 3", '"paris": unknown setting'),
        ("pairs = 64", 'pairs = 64\nbatches = "mono"', "batches.*got 'mono', but mixing mean"),
        ('rival = "mean"', 'rival = "avarage"', "there is no strategy 'avarage'"),
        ("share = 0.5", "share = 0.0", "share above 0 and at most 1 is expected, got 0.0"),
        ("share = 0.5", "part = 2", "'part' is unknown"),
        ('on = ["starter:train"]', 'on = "starter:train"', "a list of strings is expected"),
        ("[strategies.mono]", "[strategies.start]", "cannot be the name of a strategy"),
        ("seeds", "sedes", "'sedes' is unknown"),
        ("[train]", "[train", "not TOML"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = written(tmp_path, TEXT.replace(old, new))
    with pytest.raises(PanglotError, match=told) as caught:
        design.read(path)
    assert caught.value.file == path


def test_what_is_not_installed_is_told_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, TEXT.replace('mixing = "mean"', 'mixing = "cagrad"'))
    monkeypatch.setattr(_environment, "find_spec", lambda name: None if name == "clarabel" else object())
    with pytest.raises(PanglotError, match=r"cagrad needs clarabel.*\[mixing\]") as caught:
        design.read(path)
    assert caught.value.file == path


def test_a_study_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match="no such study"):
        design.read(tmp_path / "none.toml")
    with pytest.raises(PanglotError, match="cannot read the study: Is a directory"):
        design.read(tmp_path)


def test_trials_at_each_size_with_seeds_of_their_own(tmp_path: Path) -> None:
    rates = '[rates]\ngrid = [2e-5, 5e-5]\nsize = "each"\nseeds = [7, 8]\nlanguages = ["en", "de"]\n'
    text = TEXT.replace('[strategies.mean]', '[strategies.pcgrad]\nmixing = "pcgrad"\nsmallest = 5\nseeds = [1]\n'
                        'rates_of = "mean"\n[strategies.mean]')  # fmt: skip
    study = design.read(written(tmp_path, text + rates))
    trials = study.trials()
    assert {cell.seed for cell in trials} == {7, 8}
    assert {(cell.strategy, cell.size) for cell in trials} == {
        ("mono", 0), ("mono", 1), ("mono", 4), ("hybrid", 4), ("hybrid", 0), ("mean", 4), ("mean", 0),
    }  # fmt: skip
    assert len(trials) == 7 * 2 * 2
    assert [(cell.size, cell.seed) for cell in study.cells() if cell.strategy == "pcgrad"] == [(0, 1)]
    with pytest.raises(PanglotError, match="nobody"):
        design.read(written(tmp_path, text.replace('rates_of = "mean"', 'rates_of = "nobody"')))
