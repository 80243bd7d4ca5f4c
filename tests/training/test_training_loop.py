"""Runs: what they learn, reject and write."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_runs import weights

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.training import loop
from panglot.training.gradient import Processes
from panglot.training.loop import fit
from panglot.training.run import Progress, Run
from panglot.training.selection import DevEvaluator
from panglot.training.settings import Settings


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


def test_a_loss_that_is_no_number_stops_the_run(recipe: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from panglot.training import gradient

    real, calls = gradient.backward, 0

    def breaking(encoder: Any, *rest: Any, **named: Any) -> float:
        nonlocal calls
        calls += 1
        if calls == 5:
            with torch.no_grad():
                next(iter(encoder.trained.values())).fill_(float("nan"))
        return real(encoder, *rest, **named)

    monkeypatch.setattr(gradient, "backward", breaking)
    with pytest.raises(PanglotError, match="step 5 is not a number") as caught:
        fit(recipe, progress=False)
    assert str(recipe.output / "checkpoints") in str(caught.value)
    kept = Run(recipe).newest()
    assert kept is not None
    assert kept.progress.step == 3
    assert all(torch.isfinite(tensor).all() for tensor in kept.weights.values())


def test_early_stopping_keeps_the_best(recipe: Settings, dev_folder: Path) -> None:
    settings = replace(recipe, dev=str(dev_folder), eval_every=2, patience=2, steps=60, learning_rate=0.5)
    fit(settings, progress=False)
    lines = [json.loads(line) for line in (settings.output / "log.jsonl").read_text().splitlines()]
    scores = {line["step"]: np.mean([line["dev"][s] for s in ("monolingual", "crosslingual", "multilingual")])
              for line in lines if "dev" in line}  # fmt: skip
    assert max(scores) < 60
    best = max(scores, key=lambda step: scores[step])
    saved = weights(settings.output)
    kept = load_file(Run(settings).checkpoint(best) / "weights.safetensors")
    name = next(iter(kept))
    assert torch.equal(saved[name.removeprefix("0.auto_model.").removeprefix("0.model.")], kept[name])


def test_averaging_with_the_start(recipe: Settings, small_model: Path, tmp_path: Path) -> None:
    fit(recipe, progress=False)
    averaged = replace(recipe, output=tmp_path / "averaged", average=0.25)
    fit(averaged, progress=False)
    trained, start = weights(recipe.output), load_file(small_model / "model.safetensors")
    for name, tensor in weights(averaged.output).items():
        torch.testing.assert_close(tensor, 0.25 * trained[name] + 0.75 * start[name])


@pytest.mark.parametrize(
    ("scheduler", "after"),
    [("constant", [1.0, 1.0, 1.0]), ("linear", [1.0, 0.5, 0.0]), ("cosine", [1.0, 0.5, 0.0])],
)
def test_the_learning_rate_rises_and_follows_its_schedule(recipe: Settings, scheduler: Any, after: list[float]) -> None:
    settings = replace(recipe, learning_rate=1.0, warmup_ratio=0.2, lr_scheduler=scheduler)
    shares = (0.0, 0.05, 0.1, 0.2, 0.6, 1.0)
    assert [loop.learning_rate(settings, share) for share in shares] == pytest.approx([0.01, 0.25, 0.5, *after])


@pytest.mark.parametrize(("most", "expected"), [(1.0, [0.6, 0.8]), (10.0, [3.0, 4.0]), (0.0, [3.0, 4.0])])
def test_a_gradient_is_cut_to_the_largest_norm(recipe: Settings, most: float, expected: list[float]) -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])
    state: Any = SimpleNamespace(
        encoder=SimpleNamespace(trained={"weight": weight}, device="cpu"),
        gradient=SimpleNamespace(processes=Processes()),
        optimizer=torch.optim.SGD([weight], lr=1),
    )
    assert loop._step(state, replace(recipe, max_grad_norm=most)) == pytest.approx(5)
    torch.testing.assert_close(-weight.detach(), torch.tensor(expected))


def test_weights_decay_and_biases_do_not(recipe: Settings) -> None:
    trained = {name: torch.nn.Parameter(torch.ones(shape)) for name, shape in (("matrix", (2, 2)), ("bias", (2,)))}
    encoder: Any = SimpleNamespace(trained=trained)
    optimizer = loop._optimizer(encoder, replace(recipe, learning_rate=0.5, weight_decay=0.1))
    for parameter in trained.values():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(trained["matrix"].detach(), torch.full((2, 2), 1 - 0.5 * 0.1))
    torch.testing.assert_close(trained["bias"].detach(), torch.ones(2))


def test_held_out_rows_are_not_trained_on(recipe: Settings, tmp_path: Path) -> None:
    from panglot.training import data

    file = tmp_path / "pairs.jsonl"
    rows = [{"group": f"{g}", "language": x, "question": f"{x} {g}?", "passage": f"{x} {g}."}
            for g in range(8) for x in ("de", "en")]  # fmt: skip
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    found = data.load(replace(recipe, on=(str(file),), dev_share=0.25))
    assert found.dev is not None
    trained, held = (set(each.questions["group"].to_pylist()) for each in (found.collections[0], found.dev))
    assert (len(trained), len(held), len(trained | held)) == (6, 2, 8)


def test_test_sets_are_refused(recipe: Settings, data_dir: Path) -> None:
    with pytest.raises(PanglotError, match="xquad-r is a test set"):
        fit(replace(recipe, on=("xquad-r",), data_dir=data_dir), progress=False)


def test_a_place_that_cannot_be_written(recipe: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PanglotError, match="cannot write"):
        fit(replace(recipe, output=tmp_path / "file" / "run"), progress=False)


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
    # A test set that appears in between does not change a resumed run.
    (settings.output / "modules.json").unlink()
    folder = tmp_path / "data" / "flores-200" / "devtest"
    folder.mkdir(parents=True)
    for code in ("deu", "eng"):
        (folder / f"{code}_Latn.devtest").write_text("Where is river?\n", "utf-8")
    fit(settings, progress=False)
    assert "| facts | mkqa | 1 | 0 | 1 |" in (settings.output / "README.md").read_text("utf-8")
    assert "excluded: <bdi>mkqa</bdi>" in training_section({"run": from_log(settings.output)}, ("run",))


def test_lines_from_a_test_set_are_not_trained_on(recipe: Settings, tmp_path: Path) -> None:
    from panglot.training import data

    pairs = tmp_path / "pairs.jsonl"
    line = '{"group": "g", "language": "en", "question": "Who?", "passage": "Me.", "test_only": "yes"}\n'
    pairs.write_text(line, "utf-8")
    with pytest.raises(PanglotError, match="is a test set"):
        data.load(replace(recipe, on=(str(pairs),)))


def test_dev_measurements_tell_geometry_and_come_ten_times_with_mixing_too(recipe: Settings, dev_folder: Path) -> None:
    fit(replace(recipe, dev=str(dev_folder), mixing="mean", steps=None, pairs=320), progress=False)
    lines = [json.loads(line) for line in (recipe.output / "log.jsonl").read_text("utf-8").splitlines()]
    measured = [line["dev"] for line in lines if "dev" in line]
    assert len(measured) == 10
    assert 0 <= measured[-1]["language_classifier"] <= 1
    assert measured[-1]["translation_cosine"] > measured[-1]["random_cosine"]


def test_a_dev_set_that_measures_nothing_is_refused_and_a_score_must_be_a_number(
    recipe: Settings, tmp_path: Path
) -> None:
    questions, passages = (
        [Text(f"{side}{n}", "en", f"{side}{n}", f"{side} number {n}") for n in range(3)] for side in "qp"
    )
    Collection.build("unjudged", questions, passages, [("q0", "p0", 0), ("q1", "p2", 0)]).save(tmp_path / "unjudged")
    settings = replace(recipe, dev=str(tmp_path / "unjudged"))
    with pytest.raises(PanglotError, match="no question of unjudged has a relevant passage") as caught:
        fit(settings, progress=False)
    assert "dev" in str(caught.value)
    assert not settings.output.exists()  # so that the same folder serves another dev set
    with pytest.raises(PanglotError, match="the dev score of step 4 is not a number"):
        DevEvaluator.early_stopping(Progress(step=4), float("nan"))


def test_a_test_set_cannot_be_the_dev_set(recipe: Settings) -> None:
    from panglot.training import data

    with pytest.raises(PanglotError, match="starter:test is a test set, and choosing weights by it"):
        data.load(replace(recipe, dev="starter:test"))


def test_rows_that_the_dev_set_shares_are_left_out(recipe: Settings, facts: Any, tmp_path: Path) -> None:
    from panglot.training import data

    file = tmp_path / "dev.jsonl"
    file.write_text('{"language": "en", "question": "Where is lake?", "passage": "Somewhere."}\n', "utf-8")
    settings = replace(recipe, exclude=(), dev=str(file))
    found = data.load(settings)
    assert found.sources[0].rows == 19
    assert any("1 groups left out because dev shares text with them" in warning for warning in found.warnings)
    # A run that an earlier version started keeps them, and one of this version leaves them out.
    assert data.load(settings, frozenset()).sources[0].rows == 20
    assert data.load(settings, frozenset({"dev.jsonl"})).sources[0].rows == 19
    facts.save(tmp_path / "facts")
    with pytest.raises(PanglotError, match=r"nothing of facts is left.*dev-share"):
        data.load(replace(settings, dev=str(tmp_path / "facts")))
