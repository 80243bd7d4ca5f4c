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
        ("share = 0.5", "share = 0.0", "number above 0 and at most 1 is expected, got 0.0"),
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


ENDPOINT = '[endpoints.e]\non = "starter:test"\n'
RATES = "[rates]\ngrid = [2e-5, 5e-5]\n"


@pytest.mark.parametrize(
    ("old", "new", "field", "told"),
    [
        ('sizes = ["all", 1, 4]', "sizes = 4", "sizes", "a list is expected, got 4"),
        ('sizes = ["all", 1, 4]', "sizes = [4, 4]", "sizes", "4 is listed twice"),
        ("seeds = [0, 1]", "seeds = 4", "seeds", "a list is expected, got 4"),
        ("seeds = [0, 1]", "seeds = [0, 0]", "seeds", "0 is listed twice"),
        ('output = "out"', "output = 3", "output", "a string is expected, got 3"),
        ('on = ["starter:train"]', 'on = ["starter:train", "starter:train"]', "on", "'starter:train' is listed twice"),
        ('focus = "hybrid"', "focus = 3", "focus", "a string is expected, got 3"),
        ('focus = "hybrid"', 'focus = "mean"', "rival", "'mean' is focus and rival"),
        ('focus = "hybrid"', 'beside = "mono"', "beside", "a list is expected, got 'mono'"),
        ('focus = "hybrid"', 'beside = [["mono", "mono"]]', "beside", "'mono' is listed twice"),
        ('focus = "hybrid"', "margin = -1", "margin", "a number above 0 and at most 1 is expected, got -1"),
        ('focus = "hybrid"', "margin = nan", "margin", "got nan"),
        ('focus = "hybrid"', "margin = inf", "margin", "got inf"),
        ('batches = "mono"', "smallest = 4.5", "strategies.mono.smallest", "whole number of 0 or more"),
        ('batches = "mono"', "seeds = [0, 7]", "strategies.mono.seeds", "7 is no seed of the study"),
        ('batches = "mono"', "rates_of = 3", "strategies.mono.rates_of", "a string is expected, got 3"),
        ('batches = "mono"', 'rates_of = "mono"', "strategies.mono.rates_of", "no strategy 'mono' with trials"),
        ("share = 0.5", 'asked_in = ["de"]', "tests.asked_in", "a table of .* is expected, got .'de'"),
        ("share = 0.5", 'asked_in = {all = ["de"]}', "tests.asked_in", "'all' cannot be the name of a set"),
        ("share = 0.5", f"{ENDPOINT}contrast = 3", "endpoints.e.contrast", "there is no 3 here"),
        ("share = 0.5", f"{ENDPOINT}".replace("on = ", "on = 3 #"), "endpoints.e.on", "a list of strings is expected"),
        ("share = 0.5", "[endpoints]\ne = 3", "endpoints.e", "a table of .* is expected, got 3"),
        ("share = 0.5", RATES.replace("2e-5", "-2e-5"), "rates.grid", "a number above 0 and at most 1 is expected"),
        ("share = 0.5", RATES.replace("2e-5", "5e-5"), "rates.grid", "5e-05 is listed twice"),
        ("share = 0.5", f"{RATES}dev_share = 2", "rates.dev_share", "above 0 and at most 0.9 is expected, got 2"),
        ("share = 0.5", f"{RATES}seeds = [1, 1]", "rates.seeds", "1 is listed twice"),
        ("share = 0.5", f"{RATES}size = 0", "rates.size", "whole number of 1 or more is expected, got 0"),
    ],
)
def test_a_wrong_type_or_value_is_told_with_its_field(
    tmp_path: Path, old: str, new: str, field: str, told: str
) -> None:
    assert old in TEXT
    with pytest.raises(PanglotError, match=told) as caught:
        design.read(written(tmp_path, TEXT.replace(old, new)))
    assert (caught.value.file, caught.value.field) == (tmp_path / "study.toml", field)
    assert caught.value.hint


@pytest.mark.parametrize("value", ["3", '"xor"', '["h"]', "{h = 3}", "{on = 3}"])
@pytest.mark.parametrize(
    "name", ["output", "on", "train", "strategies", "sizes", "seeds", "tests", "rates", "focus", "rival", "endpoints",
             "margin", "beside"]
)  # fmt: skip
def test_no_value_ends_in_a_traceback(tmp_path: Path, name: str, value: str) -> None:
    """Every name of a study, with a value of every type of TOML."""
    given = {"output": '"out"', "on": '["starter:train"]', "sizes": "[1, 4]", "seeds": "[0]",
             "strategies": '{a = {batches = "mono"}, b = {}}', "tests": '["starter:test"]'}  # fmt: skip
    text = "".join(f"{key} = {each}\n" for key, each in {**given, name: value}.items())
    if (name, value) in {("output", '"xor"'), ("on", '["h"]'), ("tests", '["h"]')}:  # what is right
        assert design.read(written(tmp_path, text))
        return
    with pytest.raises(PanglotError) as caught:
        design.read(written(tmp_path, text))
    assert (caught.value.field or "").startswith(name) or name == "train"
    assert caught.value.file
    assert caught.value.hint


def test_strategies_have_trials_and_sizes(tmp_path: Path) -> None:
    chain = '[strategies.k]\nrates_of = "l"\n[strategies.l]\nrates_of = "mono"\n[[tests]]'
    with pytest.raises(PanglotError, match="no strategy 'l' with trials of its own") as caught:
        design.read(written(tmp_path, TEXT.replace("[[tests]]", chain)))
    assert caught.value.field == "strategies.k.rates_of"
    # At each size, the trials of a strategy begin at its smallest.
    shared = TEXT.replace('batches = "mono"', 'batches = "mono"\nrates_of = "hybrid"') + RATES
    assert design.read(written(tmp_path, shared))
    with pytest.raises(PanglotError, match=r"hybrid has no trials at 1 languages.*raise smallest to 4"):
        design.read(written(tmp_path, shared + 'size = "each"\n'))
    few = TEXT.replace('sizes = ["all", 1, 4]', "sizes = [1, 2]")
    with pytest.raises(PanglotError, match="the study has no size of 4 languages or more") as caught:
        design.read(written(tmp_path, few))
    assert caught.value.field == "strategies.hybrid.smallest"


def test_a_slope_needs_two_sizes_of_both_strategies(tmp_path: Path) -> None:
    text = TEXT + ENDPOINT + 'contrast = "slope"\n'
    assert design.read(written(tmp_path, text))
    with pytest.raises(PanglotError, match="a slope needs two sizes") as caught:
        design.read(written(tmp_path, text.replace('"all", 1, 4', "1, 4")))
    assert caught.value.field == "endpoints.e.contrast"


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
