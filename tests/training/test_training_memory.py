"""Which batches keep their activations: the estimate, the budget, and runs that continue with theirs."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_runs import same, stop_at, weights

from panglot import _environment
from panglot._environment import available_memory
from panglot._errors import PanglotError
from panglot.encoders.open_model import open_model
from panglot.training import model
from panglot.training.aggregation import Mixing
from panglot.training.loop import fit
from panglot.training.model import MemoryPlan, TrainableEncoder
from panglot.training.settings import Settings

CPU = torch.device("cpu")
MIB = 2**20


def planned(settings: Settings, objectives: int = 1, *, padded: bool = False) -> tuple[TrainableEncoder, MemoryPlan]:
    encoder = TrainableEncoder(open_model(settings.model, CPU)[0], settings, CPU)
    if padded:
        encoder.pooling = ""  # as with an architecture that cannot be packed
    return encoder, MemoryPlan.measured(settings, encoder, objectives)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("changes", [{}, {"precision": "bf16"}, {"dropout": False}, {"embeddings": "full"}])
def test_the_estimate_follows_from_lengths_that_were_not_tried(
    recipe: Settings, changes: dict[str, Any], padded: bool
) -> None:
    encoder, plan = planned(replace(recipe, **changes), padded=padded)
    assert plan.padded == padded
    text = encoder.tokenize(["a b c " * 200], "passage")[0]
    for length in (7, 40, 100):
        kept = model._saved_bytes(encoder, lambda n=length: encoder.embed([text[:n]] * 3))
        estimate = plan.needed([[length] * 3]) * MIB - plan.fixed
        assert estimate / model._SLACK == pytest.approx(kept, rel=0.02)
        # What the allocator adds comes on top, and the texts of a chunk may be of any lengths.
        assert estimate > kept


def test_a_padded_text_counts_as_the_longest_of_its_chunk() -> None:
    plan = MemoryPlan(1, per_token=MIB, padded=True)
    assert plan.needed([[1, 9], [3]]) == pytest.approx(plan.needed([[9, 9], [3]]))
    packed = replace(plan, padded=False)
    assert packed.needed([[1, 9], [3]]) == pytest.approx(packed.needed([[5, 5], [3]]))


def test_frozen_layers_keep_nothing(recipe: Settings, small_model: Path) -> None:
    settings = replace(recipe, model=str(small_model))
    layers = len(open_model(small_model, CPU)[0][0].auto_model.encoder.layer)
    plain, frozen = (planned(replace(settings, frozen_layers=n))[1] for n in (0, layers - 1))
    # The last layer is the same in both.
    assert frozen.per_square == pytest.approx(plain.per_square / layers, rel=0.02)
    assert frozen.per_token < plain.per_token
    assert frozen.fixed < plain.fixed


@pytest.mark.parametrize(
    ("mixing", "objectives", "held"), [("none", 1, 0), ("pcgrad", 4, 6), ("mean", 3, 5), ("mean", 20, 2)]
)
def test_held_gradients_count(recipe: Settings, mixing: Mixing, objectives: int, held: int) -> None:
    encoder, plan = planned(replace(recipe, mixing=mixing), objectives)
    size = sum(parameter.numel() for parameter in encoder.trained.values())
    # A gradient and two moments of AdamW, then what mixing holds.
    assert plan.fixed == 4 * size * (3 + held)


def test_the_largest_share_of_a_process_decides() -> None:
    plan = MemoryPlan(100, per_token=MIB)
    # A row is filled up to the next multiple of 64 tokens.
    assert plan.needed([[60]]) < 100 < plan.needed([[100]])
    assert not plan.excess([[30, 30], [60]], 2048)
    assert plan.excess([[30], [100]], 2048) == "a whole batch would need 147 MiB, and memory_budget is 100 MiB"
    assert not plan.excess([[60], [60], []], 2048)


def test_a_plan_comes_back_from_the_run_folder_and_from_another_process() -> None:
    for plan in (MemoryPlan(100, 1 / 3, 2, 3, 4, 5, padded=True), MemoryPlan(1e9, cache_tokens=77)):
        assert pickle.loads(pickle.dumps(plan)) == plan
        assert MemoryPlan.recorded({"memory": json.loads(json.dumps(plan.to_dict()))}) == plan


def test_a_budget_that_is_too_small_is_said_once_and_changes_nothing_else(
    recipe: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = replace(recipe, steps=3, dropout=False, output=tmp_path / "plain")
    tight = replace(plain, memory_budget=1, output=recipe.output)
    fit(plain, progress=False)
    assert "GradCache" not in capsys.readouterr().err
    fit(tight, progress=True)
    notes = [line for line in capsys.readouterr().err.splitlines() if "GradCache" in line]
    assert len(notes) == 1
    assert "MiB, and memory_budget is 1 MiB" in notes[0]
    lines = [json.loads(line) for line in (tight.output / "log.jsonl").read_text("utf-8").splitlines()]
    assert all("memory_budget is 1 MiB" in line["gradcache"] for line in lines)
    assert json.loads((tight.output / "run.json").read_text("utf-8"))["memory"]["budget"] == 1
    for name, tensor in weights(tight.output).items():
        torch.testing.assert_close(tensor, weights(plain.output)[name], atol=1e-4, rtol=0)


@pytest.mark.parametrize("first", [0, 10**15])
def test_a_resumed_run_keeps_its_budget(
    recipe: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """The machine that continues has no memory where the one that began had plenty, or the other way round."""
    monkeypatch.setattr(model, "available_memory", lambda _: first)
    recipe = replace(recipe, steps=4, checkpoint_every=1)
    whole = replace(recipe, output=tmp_path / "whole")
    fit(whole, progress=False)
    stop_at(monkeypatch, recipe, 3)
    monkeypatch.setattr(model, "available_memory", lambda _: 10**15 - first)
    fit(recipe, progress=False)
    lines = [json.loads(line) for line in (recipe.output / "log.jsonl").read_text("utf-8").splitlines()]
    assert [("gradcache" in line) for line in lines] == [first == 0] * 4
    assert same(weights(recipe.output), weights(whole.output))


def test_a_run_of_an_earlier_version_keeps_its_limit_in_tokens(recipe: Settings) -> None:
    settings = replace(recipe, steps=2)
    fit(settings, progress=False)
    path = settings.output / "run.json"
    head = json.loads(path.read_text("utf-8"))
    del head["memory"], head["settings"]["memory_budget"]
    head["settings"]["cache_tokens"] = 60
    path.write_text(json.dumps(head), "utf-8")
    (settings.output / "modules.json").unlink()
    shutil.rmtree(settings.output / "checkpoints")
    fit(settings, progress=False)
    lines = [json.loads(line) for line in (settings.output / "log.jsonl").read_text("utf-8").splitlines()]
    assert all("cache_tokens is 60" in line["gradcache"] for line in lines)
    # Another budget is another recipe, as any other setting is.
    (settings.output / "modules.json").unlink()
    with pytest.raises(PanglotError, match="memory_budget was 0 and is now 5"):
        fit(replace(settings, memory_budget=5), progress=False)
    assert MemoryPlan.recorded({"settings": {}}).excess([[8000, 193]], 2048)
    assert not MemoryPlan.recorded({"settings": {}}).excess([[8000], [192]], 2048)


def test_processes_of_one_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    found = psutil.virtual_memory()._replace(available=8 * MIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: found)
    monkeypatch.setattr(_environment, "_left_in_groups", list)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert available_memory(CPU) == 2 * MIB
    monkeypatch.setattr(_environment, "_left_in_groups", lambda: [6 * MIB, 20 * MIB])
    assert available_memory(CPU) == 6 * MIB // 4


@pytest.mark.parametrize(
    ("line", "folder", "names"),
    [
        ("0::/a/b\n", "", ("memory.max", "memory.current", "inactive_file")),
        ("7:cpu:/\n4:memory:/a/b\n", "memory",
         ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")),
    ],
)  # fmt: skip
def test_a_containers_limit_counts(tmp_path: Path, line: str, folder: str, names: tuple[str, str, str]) -> None:
    (tmp_path / "cgroup").write_text(line, "utf-8")
    # The group itself has no limit, its parent has one, and the root is not visible.
    for place, limit in (("a/b", "max"), ("a", "1000")):
        group = tmp_path / "fs" / folder / place
        group.mkdir(parents=True, exist_ok=True)
        (group / names[0]).write_text(limit + "\n", "ascii")
        (group / names[1]).write_text("700\n", "ascii")
        (group / "memory.stat").write_text(f"anon 1\n{names[2]} 200\n", "ascii")
    assert _environment._left_in_groups(tmp_path / "cgroup", tmp_path / "fs") == [500]
    assert _environment._left_in_groups(tmp_path / "none", tmp_path / "fs") == []


def test_a_length_above_the_models_own_is_said(recipe: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    fit(replace(recipe, steps=1, max_length=300), progress=False)
    said = "note: max_length is 300, but the model takes at most 128 tokens, so texts are cut there"
    assert capsys.readouterr().err.splitlines().count(said) == 1
    fit(replace(recipe, steps=1, max_length=128, output=recipe.output.with_name("other")), progress=False)
    assert "at most" not in capsys.readouterr().err


def test_chunks_hold_every_text_once() -> None:
    lengths = [5, 9, 2, 9, 30, 1]
    chunks = model.chunks_of(lengths, 12)
    assert sorted(np.concatenate(chunks).tolist()) == list(range(6))
    assert [sum(lengths[i] for i in chunk) for chunk in chunks] == [8, 9, 9, 30]
