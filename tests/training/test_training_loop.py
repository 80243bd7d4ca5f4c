"""Runs: stopped and resumed, broken and refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from panglot._errors import PanglotError
from panglot.training import checkpoint
from panglot.training.loop import fit
from panglot.training.settings import Settings

COMMAND = [sys.executable, "-m", "panglot.cli.main", "train"]


@pytest.fixture
def recipe(facts_folder: Path, small_model: Path, tmp_path: Path) -> Settings:
    return Settings(
        model=str(small_model), on=(str(facts_folder),), output=tmp_path / "run", batch_size=8, steps=12, dropout=True,
        precision="fp32", learning_rate=1e-3, checkpoint_every=3,
    )  # fmt: skip


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def arguments(settings: Settings) -> list[str]:
    given = [
        settings.model, "--on", settings.on[0], "--output", str(settings.output), "--batch-size", "8",
        "--steps", str(settings.steps), "--dropout", "--precision", "fp32", "--learning-rate", "1e-3",
        "--checkpoint-every", str(settings.checkpoint_every),
    ]  # fmt: skip
    return [*COMMAND, *given]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2] / "src")}


def in_two_processes(script: Path, *arguments: Path) -> None:
    """Run a script under torchrun, on a port that is free."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    done = subprocess.run(
        [*launch, str(script), *map(str, arguments)],
        env=environment(), capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_run_learns_and_loads_in_plain_sentence_transformers(recipe: Settings, facts: Any) -> None:
    from sentence_transformers import SentenceTransformer

    import panglot

    settings = replace(recipe, steps=150, dropout=False, checkpoint_every=0, batches="hybrid-row")
    fit(settings, progress=False)
    losses = [json.loads(line)["loss"] for line in (settings.output / "log.jsonl").read_text().splitlines()]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    model = SentenceTransformer(str(settings.output))
    texts = facts.passages["text"].to_pylist()
    ours = panglot.load(settings.output).encode(texts, "passage")
    theirs = model.encode_document(texts, normalize_embeddings=True)
    assert np.min(np.sum(ours * theirs, axis=1)) > 0.9999
    questions = facts.questions["text"].to_pylist()
    ours = panglot.load(settings.output).encode(questions, "question")
    assert np.min(np.sum(ours * model.encode_query(questions, normalize_embeddings=True), axis=1)) > 0.9999
    assert "hybrid-row" in (settings.output / "README.md").read_text()


def test_stopped_anywhere_and_resumed_is_as_never_stopped(
    recipe: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = replace(recipe, output=tmp_path / "whole")
    fit(whole, progress=False)
    from panglot.training import loop

    real = loop._step
    for stop_at in (2, 7):
        calls = 0

        def stopping(state: Any, settings: Settings, stop_at: int = stop_at) -> float:
            nonlocal calls
            calls += 1
            if calls == stop_at:
                raise KeyboardInterrupt
            return real(state, settings)

        monkeypatch.setattr(loop, "_step", stopping)
        with pytest.raises(KeyboardInterrupt):
            fit(recipe, progress=False)
    monkeypatch.setattr(loop, "_step", real)
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
    newest = checkpoint.place(recipe.output / "checkpoints", 12)
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


def test_a_loss_that_is_no_number_stops_the_run(recipe: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from panglot.training import step

    real, calls = step.backward, 0

    def breaking(encoder: Any, *rest: Any, **named: Any) -> float:
        nonlocal calls
        calls += 1
        if calls == 5:
            with torch.no_grad():
                next(iter(encoder.trained.values())).fill_(float("nan"))
        return real(encoder, *rest, **named)

    monkeypatch.setattr(step, "backward", breaking)
    with pytest.raises(PanglotError, match="step 5 is not a number") as caught:
        fit(recipe, progress=False)
    assert str(recipe.output / "checkpoints") in str(caught.value)
    kept = checkpoint.newest(recipe.output / "checkpoints")
    assert kept is not None
    assert kept.progress.step == 3
    assert all(torch.isfinite(tensor).all() for tensor in kept.weights.values())


def test_early_stopping_keeps_the_best(recipe: Settings, facts_folder: Path) -> None:
    settings = replace(recipe, dev=str(facts_folder), eval_every=2, patience=2, steps=60, learning_rate=0.5)
    fit(settings, progress=False)
    lines = [json.loads(line) for line in (settings.output / "log.jsonl").read_text().splitlines()]
    scores = {line["step"]: np.mean([line["dev"][s] for s in ("monolingual", "crosslingual", "multilingual")])
              for line in lines if "dev" in line}  # fmt: skip
    assert max(scores) < 60
    best = max(scores, key=lambda step: scores[step])
    saved = weights(settings.output)
    kept = load_file(checkpoint.place(settings.output / "checkpoints", best) / "weights.safetensors")
    name = next(iter(kept))
    assert torch.equal(saved[name.removeprefix("0.auto_model.").removeprefix("0.model.")], kept[name])


def test_averaging_with_the_start(recipe: Settings, small_model: Path, tmp_path: Path) -> None:
    fit(recipe, progress=False)
    half = replace(recipe, output=tmp_path / "half", average=0.5)
    fit(half, progress=False)
    for name, tensor in weights(half.output).items():
        expected = (weights(recipe.output)[name] + load_file(small_model / "model.safetensors")[name]) / 2
        torch.testing.assert_close(tensor, expected)


def test_test_sets_are_refused(recipe: Settings, data_dir: Path) -> None:
    with pytest.raises(PanglotError, match="xquad-r is a test set"):
        fit(replace(recipe, on=("xquad-r",), data_dir=data_dir), progress=False)


def test_a_place_that_cannot_be_written(recipe: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PanglotError, match="cannot write"):
        fit(replace(recipe, output=tmp_path / "file" / "run"), progress=False)


@pytest.mark.slow
def test_two_processes_train_what_one_does(recipe: Settings, tmp_path: Path) -> None:
    settings = replace(recipe, dropout=False, steps=6, checkpoint_every=0)
    fit(settings, progress=False)
    script = tmp_path / "two.py"
    script.write_text(
        "import json, sys\nfrom pathlib import Path\nimport torch\n"
        "from panglot.batching import Plan\n"
        "from panglot.training import loop\nfrom panglot.training.settings import Settings\n"
        "settings = Settings.read(sys.argv[1], output=sys.argv[2])\n"
        "from panglot.training import step\nmet = []\nreal = step.backward\n"
        "def noting(encoder, example, settings, processes, seed):\n"
        "    assert processes.count == 2\n"
        "    met.append([list(map(list, example.questions)), list(map(list, example.passages))])\n"
        "    return real(encoder, example, settings, processes, seed)\n"
        "step.backward = noting\nloop.fit(settings, progress=False)\n"
        "rank = torch.distributed.get_rank()\n"
        "Path(sys.argv[2] + f'.rank{rank}.json').write_text(json.dumps(met))\n"
    )
    (tmp_path / "recipe.toml").write_text(settings.to_toml())
    two = tmp_path / "two"
    in_two_processes(script, tmp_path / "recipe.toml", two)
    for name, tensor in weights(two).items():
        torch.testing.assert_close(tensor, weights(settings.output)[name], atol=1e-5, rtol=0)
    losses = [
        [json.loads(line)["loss"] for line in (o / "log.jsonl").read_text().splitlines()]
        for o in (settings.output, two)
    ]
    np.testing.assert_allclose(losses[0], losses[1], atol=1e-5)
    ranks = [json.loads(Path(f"{two}.rank{rank}.json").read_text()) for rank in (0, 1)]
    assert ranks[0] == ranks[1]


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
    again = subprocess.run(arguments(settings), env=environment(), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr[-2000:]
    assert (settings.output / "modules.json").exists()


def test_rows_that_a_test_set_shares_are_left_out(recipe: Settings, tmp_path: Path) -> None:
    from panglot.training import data

    test = tmp_path / "test.jsonl"
    test.write_text('{"language": "en", "question": "where is lake?", "passage": "Somewhere."}\n', "utf-8")
    found = data.load(replace(recipe, exclude=(str(test),)))
    before = data.load(replace(recipe, exclude=()))
    assert found.sources[0].rows == before.sources[0].rows - 1
    assert not any("lake" in text for text in found.used_texts()["question"])
    assert any("left out" in warning for warning in found.warnings)


def test_what_was_left_out_is_in_run_folder_log_card_and_report(
    recipe: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from panglot.report import from_log
    from panglot.report.curves import training_section

    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "cache"))
    known = tmp_path / "data" / "mkqa"
    known.mkdir(parents=True)
    for code, question in (("en", "Where is lake?"), ("fi", "Missä on lampi?")):
        line = {"question": question, "id": f"1_{code}", "lang": code, "answers": ["north"]}
        (known / f"mkqa-{code}.jsonl").write_text(json.dumps(line) + "\n", "utf-8")
    settings = replace(recipe, steps=2, data_dir=tmp_path / "data")
    fit(settings, progress=False)
    begun = json.loads((settings.output / "run.json").read_text("utf-8"))
    found = {each["test"]: (each["equal"], each["near"], each["groups"]) for each in begun["left_out"]}
    assert found == {"starter": (0, 0, 0), "mkqa": (1, 0, 1)}
    lines = [json.loads(line) for line in (settings.output / "log.jsonl").read_text("utf-8").splitlines()]
    assert [(line["step"], "left_out" in line) for line in lines] == [(0, True), (1, False), (2, False)]
    # A test set that came to hand in between does not change a run that goes on.
    (settings.output / "modules.json").unlink()
    folder = tmp_path / "data" / "flores-200" / "devtest"
    folder.mkdir(parents=True)
    for code in ("deu", "eng"):
        (folder / f"{code}_Latn.devtest").write_text("Where is river?\n", "utf-8")
    fit(settings, progress=False)
    assert "| facts | mkqa | 1 | 0 | 1 |" in (settings.output / "README.md").read_text("utf-8")
    assert "excluded: <bdi>mkqa</bdi>" in training_section({"run": from_log(settings.output)}, ("run",))


def test_a_run_of_before_test_sets_were_looked_for_goes_on_as_it_was(recipe: Settings) -> None:
    from panglot.training.run import Run

    before = replace(recipe, exclude=("none",), steps=4)
    assert before.exclude == ()
    fit(before, progress=False)
    (recipe.output / "modules.json").unlink()  # as if it had been killed at its end
    now = replace(before, exclude=("auto",))
    with pytest.raises(PanglotError, match=r"exclude was \[\] and is now \['auto'\]"):
        fit(now, progress=False)
    path = recipe.output / "run.json"
    begun = json.loads(path.read_text("utf-8"))
    del begun["left_out"]
    for old in ({"exclude": []}, {}):
        begun["settings"] = {name: value for name, value in begun["settings"].items() if name != "exclude"} | old
        path.write_text(json.dumps(begun), "utf-8")
        assert Run(now).settings == before
        assert not Run(now).finished()
    fit(now, progress=False)
    assert (recipe.output / "modules.json").exists()
    begun["settings"]["exclude"] = ["mkqa"]
    path.write_text(json.dumps(begun), "utf-8")
    with pytest.raises(PanglotError, match="another recipe"):
        Run(now).finished()


def test_lines_from_a_test_set_are_not_trained_on(recipe: Settings, tmp_path: Path) -> None:
    from panglot.training import data

    pairs = tmp_path / "pairs.jsonl"
    line = '{"group": "g", "language": "en", "question": "Who?", "passage": "Me.", "test_only": "yes"}\n'
    pairs.write_text(line, "utf-8")
    with pytest.raises(PanglotError, match="is a test set"):
        data.load(replace(recipe, on=(str(pairs),)))


def test_dev_measurements_tell_geometry_and_come_ten_times_with_mixing_too(
    recipe: Settings, facts_folder: Path
) -> None:
    fit(replace(recipe, dev=str(facts_folder), mixing="mean", steps=None, pairs=320), progress=False)
    lines = [json.loads(line) for line in (recipe.output / "log.jsonl").read_text("utf-8").splitlines()]
    measured = [line["dev"] for line in lines if "dev" in line]
    assert len(measured) == 10
    assert 0 <= measured[-1]["language_classifier"] <= 1
    assert measured[-1]["translation_cosine"] > measured[-1]["random_cosine"]


_TWO = """
import json, sys
from pathlib import Path
import torch
from panglot.training import aggregation, loop
from panglot.training.dev import DevEvaluator
from panglot.training.settings import Settings

rank = int(__import__("os").environ["RANK"])
gramian_of, total_norm, scores = aggregation.gramian_of, torch.nn.utils.get_total_norm, [0.5, 0.4, 0.3, 0.2, 0.1, 0.0]
odds = [[9.0, -3.0], [-3.0, 9.0]] if rank else [[1.0, 1.0], [1.0, 1.0]]
# The second process finds gradients at odds, a larger norm, and a model that gets better and better.
aggregation.gramian_of = lambda held: gramian_of(held) * odds
torch.nn.utils.get_total_norm = lambda gradients: total_norm(gradients) * (1 + rank)
DevEvaluator.measure = lambda watch: (scores.pop() if rank else scores.pop(0), {})
ends, finish = {}, loop._steps
def noting(state, *rest):
    finish(state, *rest)
    ends.update({name: tensor.clone() for name, tensor in state.encoder.state().items()})
    ends["step"] = torch.tensor(state.progress.step)
loop._steps = noting
loop.fit(Settings.read(sys.argv[1], output=sys.argv[2]), progress=False)
from safetensors.torch import save_file
save_file(ends, sys.argv[2] + f".rank{rank}.safetensors")
"""


@pytest.mark.slow
def test_two_processes_decide_as_the_first_one_does(recipe: Settings, facts_folder: Path, tmp_path: Path) -> None:
    settings = replace(
        recipe,
        mixing="pcgrad",
        dropout=False,
        steps=20,
        max_grad_norm=0.1,
        dev=str(facts_folder),
        eval_every=2,
        patience=2,
    )
    (tmp_path / "two.py").write_text(_TWO)
    (tmp_path / "recipe.toml").write_text(settings.to_toml())
    in_two_processes(tmp_path / "two.py", tmp_path / "recipe.toml", tmp_path / "two")
    first, second = (load_file(f"{tmp_path / 'two'}.rank{rank}.safetensors") for rank in (0, 1))
    assert first["step"] == 6  # the best at 2, two measurements without a better one
    assert same(first, second)
