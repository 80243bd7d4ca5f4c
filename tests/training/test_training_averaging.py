"""The average of models: its weights, how its share is chosen, and when none is good enough."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_runs import same, weights

import panglot
from panglot._errors import PanglotError
from panglot.batching import TrainingTable
from panglot.data.collection import Collection, Text
from panglot.evaluation.bootstrap import PerQuestion
from panglot.training.loop import fit
from panglot.training.selection import average, choose_share, mix
from panglot.training.settings import Settings


@pytest.fixture
def loose_facts(facts: Collection, tmp_path: Path) -> Path:
    """The facts without wrong neighbours, which would tie all of them together."""
    questions, passages = (
        [Text(*(row[name] for name in ("id", "language", "group", "text"))) for row in table.to_pylist()]
        for table in (facts.questions, facts.passages)
    )
    judged = [(f"q-{x.language}-{x.group}", y.id, 1) for x in questions for y in passages if x.group == y.group]
    Collection.build("facts", questions, passages, judged).save(tmp_path / "facts")
    return tmp_path / "facts"


@pytest.fixture
def suite_file(loose_facts: Path, tmp_path: Path) -> Path:
    """A third of the facts."""
    file = tmp_path / "suite.toml"
    file.write_text(f'[forms.facts]\non = "{loose_facts}"\nshare = 0.34\n', "utf-8")
    return file


def _form(mono: float, multi: float) -> PerQuestion:
    number = np.arange(4)
    values = {"monolingual.mAP": np.full(4, mono), "multilingual.mAP": np.full(4, multi)}
    return PerQuestion(number, np.zeros(4, np.int64), ("en",), values)


def _measured(found: dict[float, tuple[float, float, float]]) -> Callable[[float], dict[str, PerQuestion]]:
    """Two forms by share: mAP within a language of the first, of the second, and in the pool of both."""
    return lambda share: {"a": _form(found[share][0], found[share][2]), "b": _form(found[share][1], found[share][2])}


def test_the_best_share_is_chosen_that_no_form_pays_for() -> None:
    shares = {0.0: (0.8, 0.6, 0.3), 0.5: (0.8, 0.5951, 0.5), 0.7: (0.9, 0.5949, 0.6), 1.0: (0.9, 0.5, 0.7)}
    found = choose_share(_measured(shares), (0.5, 0.7, 1.0), draws=0)
    # .7 has a better score, but its second form falls by .0051 within a language.
    assert found.share == 0.5
    assert found.board["differences"]["0.7"]["lowest"] == {
        "form": "b", "setting": "monolingual", "difference": pytest.approx(-0.0051), "interval": None,
    }  # fmt: skip


def test_no_share_is_chosen_if_none_is_better() -> None:
    lines: list[str] = []
    worse = {0.0: (0.8, 0.6, 0.3), 0.5: (0.8, 0.6, 0.3), 1.0: (0.7, 0.9, 0.9)}
    assert choose_share(_measured(worse), (0.5, 1.0), draws=0, progress=lines.append).share == 0
    assert (
        lines[-1] == "share 1 of the trained weights: score 0.8500 (+0.3500), within a language lowest in a (-0.1000)"
    )


def test_whole_numbers_are_not_mixed() -> None:
    one, other = ({"w": torch.tensor([value]), "n": torch.tensor([int(value)])} for value in (2.0, 4.0))
    mixed = mix([one, other], [0.25, 0.75])
    assert mixed["w"].item() == 3.5
    assert mixed["n"].item() == 2


def test_an_average_of_models_has_their_mean_weights(recipe: Settings, small_model: Path, tmp_path: Path) -> None:
    runs = [fit(replace(recipe, output=tmp_path / f"run{seed}", seed=seed), progress=False) for seed in (0, 1)]
    folder = average(runs, tmp_path / "soup")
    first, second, soup = map(weights, (*runs, folder))
    for name, tensor in soup.items():
        torch.testing.assert_close(tensor, (first[name] + second[name]) / 2)
    assert panglot.load(folder).encode(["a fact"], "question").shape == (
        1,
        panglot.load(small_model).encode(["a"], "question").shape[1],
    )
    uneven = weights(average([small_model, runs[0]], tmp_path / "uneven", weights=[0.75, 0.25]))
    start = weights(small_model)
    for name, tensor in uneven.items():
        torch.testing.assert_close(tensor, 0.75 * start[name] + 0.25 * first[name])
    assert json.loads((folder / "average.json").read_text())["weights"] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"weights": [0.5, 0.6]}, "sum to 1, got 0.5, 0.6"),
        ({"weights": [float("nan"), 0.6]}, "sum to 1, got nan, 0.6"),
        ({"weights": [1.0]}, "expected 2 weights"),
        ({"suite": "suite.toml", "weights": [0.5, 0.5]}, "leave one out"),
        ({"suite": "suite.toml", "shares": [0.0]}, "above 0 and at most 1, got 0"),
        ({"shares": [0.5]}, "tried on a suite, and none was given"),
    ],
)
def test_wrong_weights_are_refused(small_model: Path, tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    with pytest.raises(PanglotError, match=problem):
        average([small_model, small_model], tmp_path / "out", **change)
    assert not (tmp_path / "out").exists()


def test_an_output_that_appears_while_shares_are_tried_is_left_alone(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"

    def versions_later() -> dict[str, str]:
        output.mkdir()
        (output / "kept").write_text("kept")
        return {}

    monkeypatch.setattr("panglot.training.selection.versions", versions_later)
    with pytest.raises(PanglotError, match="exists already"):
        average([small_model, small_model], output)
    assert (output / "kept").read_text() == "kept"


def test_models_of_other_shapes_are_refused(small_model: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match="differ from those of"):
        average([small_model, tiny_model], tmp_path / "out")


def test_the_command_chooses_the_share_on_a_suite(
    recipe: Settings, suite_file: Path, tmp_path: Path, succeeds: Callable[..., str], fails: Callable[..., str]
) -> None:
    run = fit(replace(recipe, exclude=(str(suite_file),), steps=40), progress=False)
    succeeds("average", recipe.model, run, "--suite", suite_file, "--shares", "0.5,1", "--output", tmp_path / "best")
    metadata = json.loads((tmp_path / "best" / "average.json").read_text())
    scores = {name: each["score"] for name, each in metadata["scoreboard"]["scores"].items()}
    assert metadata["share"] == float(max(scores, key=lambda name: scores[name]))
    start, trained, best = map(weights, (Path(recipe.model), run, tmp_path / "best"))
    for name, tensor in best.items():
        torch.testing.assert_close(tensor, (1 - metadata["share"]) * start[name] + metadata["share"] * trained[name])
    # The start beside itself is no better than itself.
    problem = fails("average", recipe.model, recipe.model, "--suite", suite_file, "--output", tmp_path / "none")
    assert "no share of the trained weights has a better score" in problem
    assert not (tmp_path / "none").exists()


def test_no_weights_are_chosen_by_a_test_set(recipe: Settings, tmp_path: Path, fails: Callable[..., str]) -> None:
    file = tmp_path / "suite.toml"
    file.write_text('[forms.tested]\non = ["starter:test"]\n', "utf-8")
    with pytest.raises(PanglotError, match="starter:test is a test set, and choosing weights by it") as caught:
        fit(replace(recipe, suite=str(file)), progress=False)
    assert (caught.value.file, caught.value.field) == (file, "forms.tested.on")
    assert not recipe.output.exists()
    problem = fails("average", recipe.model, recipe.model, "--suite", file, "--output", tmp_path / "none")
    assert "starter:test is a test set" in problem


def test_a_run_chooses_its_share_and_leaves_the_suite_out(
    recipe: Settings, suite_file: Path, loose_facts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    on, suite = (str(loose_facts),), str(suite_file)
    settings = replace(recipe, on=on, exclude=(), suite=suite, dev_share=0.2, steps=40, eval_every=1000)
    folder = fit(settings, progress=False)
    board = json.loads((folder / "average.json").read_text())["scoreboard"]
    assert list(board["forms"]) == ["facts", "held out"]
    (left_out,) = json.loads((folder / "run.json").read_text())["left_out"]
    assert left_out["test"] == "facts"
    assert left_out["groups"] > 0
    assert "share 1 of the trained weights: score" in capsys.readouterr().err
    share = json.loads((folder / "average.json").read_text())["share"]
    plain = fit(replace(settings, output=tmp_path / "plain", suite=None, exclude=(str(suite_file),)), progress=False)
    start, trained, found = map(weights, (Path(recipe.model), plain, folder))
    assert share > 0
    card = (folder / "README.md").read_text("utf-8")
    assert (
        f"weights are {share:g} of the trained ones and {1 - share:g} of the start, which did best on the suite" in card
    )
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, (1 - share) * start[name] + share * trained[name])


@pytest.mark.parametrize(("share", "suite"), [(0.3, "own"), (1.0, "own"), (0.3, None), (1.0, None)])
def test_the_card_gives_figures_of_the_saved_weights_alone(
    recipe: Settings, facts: Collection, small_model: Path, share: float, suite: str | None
) -> None:
    from panglot.training.data import TrainingData
    from panglot.training.record import model_card
    from panglot.training.run import Progress

    settings = replace(recipe, suite=suite, dev_share=0.1, average=1.0 if suite else share)
    settings.output.mkdir()
    (settings.output / "log.jsonl").write_text('{"step": 5, "dev": {"monolingual": 0.7, "crosslingual": 0.6}}\n')
    data = TrainingData((facts,), (TrainingTable.from_collection(facts),), facts)
    card = model_card(small_model, settings, data, Progress(10, 100, 1.0, 0.65, 5), share)
    assert ("value: 0.7" in card) == (share == 1)
    assert ("measured before they were averaged" in card) == (share < 1)
    assert ("0.3 of the trained ones and 0.7 of the start" in card) == (share < 1)
    assert ("did best on the suite `own`" in card) == (suite is not None)


def test_a_run_that_is_no_better_than_its_start_saves_no_model(recipe: Settings, suite_file: Path) -> None:
    useless = replace(recipe, exclude=(), suite=str(suite_file), learning_rate=0.0, steps=1)
    for _ in range(2):  # The same command measures again, and trains no more.
        with pytest.raises(PanglotError, match="no share of the trained weights"):
            fit(useless, progress=False)
        assert not (useless.output / "modules.json").exists()


def test_a_suite_and_a_share_contradict_each_other(recipe: Settings, suite_file: Path) -> None:
    with pytest.raises(PanglotError, match="the suite chooses the share"):
        replace(recipe, suite=str(suite_file), average=0.5)


def test_a_share_of_one_gives_the_trained_weights_bit_for_bit(recipe: Settings, tmp_path: Path) -> None:
    run = fit(recipe, progress=False)
    assert same(weights(average([recipe.model, run], tmp_path / "all", weights=[0, 1])), weights(run))
