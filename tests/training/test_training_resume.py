"""Runs that are stopped, killed, damaged or changed, then resumed."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from training_runs import arguments, environment, same, stop_at, weights

from panglot import _environment
from panglot._errors import PanglotError
from panglot.training import loop
from panglot.training.loop import fit
from panglot.training.run import Run
from panglot.training.selection import DevEvaluator
from panglot.training.settings import Settings


def test_stopped_anywhere_and_resumed_is_as_never_stopped(
    recipe: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = replace(recipe, output=tmp_path / "whole")
    fit(whole, progress=False)
    for step in (2, 7):
        stop_at(monkeypatch, recipe, step)
    fit(recipe, progress=False)
    assert same(weights(recipe.output), weights(whole.output))
    lines = [
        [json.loads(line) for line in (o / "log.jsonl").read_text().splitlines()] for o in (recipe.output, whole.output)
    ]
    assert [line["step"] for line in lines[0]] == list(range(1, 13))
    assert [line["loss"] for line in lines[0]] == [line["loss"] for line in lines[1]]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_killed_and_started_again_is_as_never_killed(recipe: Settings, tmp_path: Path, number: int) -> None:
    settings = replace(recipe, steps=400, checkpoint_every=20)
    whole = replace(settings, output=tmp_path / "whole")
    subprocess.run(arguments(whole), check=True, env=environment(), capture_output=True)
    child = subprocess.Popen(arguments(settings), env=environment(), stderr=subprocess.PIPE)
    log = settings.output / "log.jsonl"
    begin = time.monotonic()
    while not log.exists() or len(log.read_text().splitlines()) < 70:
        assert time.monotonic() - begin < 120
        time.sleep(0.01)
    child.send_signal(number)
    _, told = child.communicate(timeout=60)
    assert child.returncode == (-9 if number == signal.SIGKILL else 130)
    assert number == signal.SIGKILL or b"run the same command again" in told
    assert not (settings.output / "modules.json").exists()
    subprocess.run(arguments(settings), check=True, env=environment(), capture_output=True)
    assert same(weights(settings.output), weights(whole.output))


def test_a_finished_run_is_left_alone(recipe: Settings) -> None:
    fit(recipe, progress=False)
    before = (recipe.output / "model.safetensors").stat().st_mtime_ns
    fit(recipe, progress=False)
    assert (recipe.output / "model.safetensors").stat().st_mtime_ns == before


def test_another_recipe_in_the_folder_is_refused(recipe: Settings) -> None:
    fit(recipe, progress=False)
    with pytest.raises(PanglotError, match=r"another recipe \(learning_rate was 0.001 and is now 0.1\)"):
        fit(replace(recipe, learning_rate=0.1), progress=False)


def test_other_data_in_a_resumed_run_are_refused(recipe: Settings, facts: Any, tmp_path: Path) -> None:
    facts.save(tmp_path / "mine")
    settings = replace(recipe, on=(str(tmp_path / "mine"),))
    fit(settings, progress=False)
    (settings.output / "modules.json").unlink()
    facts.select(["de", "en"]).save(tmp_path / "mine")
    with pytest.raises(PanglotError, match="changed since the run started"):
        fit(settings, progress=False)


def test_a_folder_with_other_things_is_not_touched(recipe: Settings) -> None:
    recipe.output.mkdir()
    (recipe.output / "thesis.tex").write_text("years of work")
    with pytest.raises(PanglotError, match="not a run folder"):
        fit(recipe, progress=False)
    assert (recipe.output / "thesis.tex").read_text() == "years of work"


def test_a_damaged_checkpoint_is_passed_over(recipe: Settings, tmp_path: Path) -> None:
    whole = replace(recipe, output=tmp_path / "whole")
    fit(whole, progress=False)
    fit(recipe, progress=False)
    (recipe.output / "modules.json").unlink()
    newest = Run(recipe).checkpoint(12)
    data = bytearray((newest / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (newest / "weights.safetensors").write_bytes(bytes(data))
    with pytest.warns(UserWarning, match="checkpoint is damaged"):
        fit(recipe, progress=False)
    assert same(weights(recipe.output), weights(whole.output))
    (recipe.output / "modules.json").unlink()
    for path in (recipe.output / "checkpoints").glob("step-*"):
        (path / "checkpoint.json").write_text("{")
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(PanglotError, match="every checkpoint is damaged"):
        fit(recipe, progress=False)


def test_a_disk_that_is_full_is_said_and_what_was_kept_stays(recipe: Settings) -> None:
    settings = replace(recipe, steps=6)
    small = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)); "
    run = "sys.argv = ['panglot', *sys.argv[1:]]; runpy.run_module('panglot.cli.main', run_name='__main__')"
    command = [sys.executable, "-c", small + run, *arguments(settings)[3:]]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr[-2000:]
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (settings.output / "modules.json").exists()
    fit(settings, progress=False)
    assert (settings.output / "modules.json").exists()


def test_a_run_that_an_older_version_trained_otherwise_is_refused(recipe: Settings) -> None:
    settings = replace(recipe, hard_negatives=1, embeddings="trimmed", steps=2)
    fit(settings, progress=False)
    (recipe.output / "modules.json").unlink()
    path = recipe.output / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"plan": 2}), "utf-8")
    with pytest.raises(PanglotError, match="an older version started this run, and did not train the words of hard"):
        fit(settings, progress=False)


@pytest.mark.parametrize("checkpoint_every", [1, 1000])
def test_a_run_that_ran_out_of_patience_trains_no_more(
    recipe: Settings, checkpoint_every: int, monkeypatch: pytest.MonkeyPatch, dev_folder: Path
) -> None:
    scores = iter([0.5, 0.4, 0.3])
    monkeypatch.setattr(DevEvaluator, "measure", lambda _: (next(scores), {}))
    settings = replace(
        recipe, dev=str(dev_folder), eval_every=1, patience=2, steps=30, checkpoint_every=checkpoint_every
    )
    fit(settings, progress=False)
    before = weights(settings.output)
    (settings.output / "modules.json").unlink()  # as if it had been killed while the model was written
    monkeypatch.setattr(loop, "_step", lambda *_: pytest.fail("one more step"))
    fit(settings, progress=False)
    assert same(weights(settings.output), before)
    saved = Run(settings).newest()
    assert saved is not None
    assert (saved.progress.step, saved.progress.best_step, saved.progress.waited) == (3, 1, 2)


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True)])
def test_a_continued_run_keeps_its_precision(
    recipe: Settings, tmp_path: Path, first: bool, second: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it goes on where ``auto`` means another one."""
    settings = replace(recipe, precision="auto", steps=6)
    monkeypatch.setattr(_environment, "fast_bf16", lambda _: first)
    fit(replace(settings, output=tmp_path / "whole"), progress=False)
    stop_at(monkeypatch, settings, 5)
    monkeypatch.setattr(_environment, "fast_bf16", lambda _: second)
    fit(settings, progress=False)
    assert same(weights(settings.output), weights(tmp_path / "whole"))
    recorded = json.loads((settings.output / "run.json").read_text("utf-8"))
    assert (recorded["precision"], recorded["settings"]["precision"]) == ("bf16" if first else "fp32", "auto")


def test_another_start_or_suite_of_the_same_name_is_refused(
    recipe: Settings, small_model: Path, tmp_path: Path
) -> None:
    other = tmp_path / "elsewhere" / small_model.name
    shutil.copytree(small_model, other)
    changed = load_file(other / "model.safetensors")
    changed[next(iter(changed))] += 1
    save_file(changed, other / "model.safetensors", {"format": "pt"})
    for name, on in (("first", "starter:dev"), ("second", "starter:train")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "suite.toml").write_text(f'[forms.facts]\non = "{on}"\n', "utf-8")
    settings = replace(recipe, steps=2)
    fit(settings, progress=False)
    with pytest.raises(PanglotError, match="the model changed since the run started"):
        fit(replace(settings, model=str(other)), progress=False)  # of a finished run
    (settings.output / "modules.json").unlink()
    with pytest.raises(PanglotError, match="the model changed since the run started"):
        fit(replace(settings, model=str(other)), progress=False)
    with_suite = replace(settings, suite=str(tmp_path / "first" / "suite.toml"), output=tmp_path / "with suite")
    with contextlib.suppress(PanglotError):  # No share may be better than the start, but the run has been trained.
        fit(with_suite, progress=False)
    with pytest.raises(PanglotError, match="the suite changed since the run started"):
        fit(replace(with_suite, suite=str(tmp_path / "second" / "suite.toml")), progress=False)
    # A run of an earlier version goes on.
    path = recipe.output / "run.json"
    head = json.loads(path.read_text("utf-8"))
    assert head.pop("start").keys() == {"model"}
    path.write_text(json.dumps(head), "utf-8")
    fit(settings, progress=False)
