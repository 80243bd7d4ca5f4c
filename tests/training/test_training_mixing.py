"""Ways of mixing against their formulas, and mixed training against its parts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from panglot import _environment
from panglot._errors import PanglotError
from panglot.encoders.open_model import open_model
from panglot.training import aggregation, data
from panglot.training.aggregation import Aggregator, Mixing, diagnose
from panglot.training.data import Collator
from panglot.training.gradient import Processes, StepGradient, distill, make_plan
from panglot.training.gradient_weights import gradvac
from panglot.training.loop import fit
from panglot.training.model import MemoryPlan, TrainableEncoder
from panglot.training.settings import Settings

CPU = torch.device("cpu")
WITH_ACTIVATIONS = MemoryPlan(math.inf)
WAYS: tuple[Mixing, ...] = tuple(way for way in get_args(Mixing) if way != "none")
CONFLICT = np.array([[4.0, -3.0, 1.0], [-3.0, 9.0, 0.5], [1.0, 0.5, 2.0]])


def gradients(count: int, size: int = 40, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=(count, size))


def direction(way: Mixing, rows: np.ndarray[Any, Any], step: int = 0, seed: int = 0) -> np.ndarray[Any, Any]:
    return Aggregator(way, [1.0] * len(rows), seed).weights(rows @ rows.T, range(len(rows)), step) @ rows


def test_fixed_ways_are_their_formulas() -> None:
    rows = gradients(3)
    np.testing.assert_allclose(direction("mean", rows), rows.mean(0))
    np.testing.assert_allclose(direction("sum", rows), rows.sum(0))
    some = Aggregator("mean", [1.0] * 3, 0).weights(rows[:2] @ rows[:2].T, (0, 2), 0)
    np.testing.assert_allclose(some, [0.5, 0.5])  # of the objectives that are drawn
    weighted = Aggregator("weighted", [1.0, 3.0, 4.0], 0)
    np.testing.assert_allclose(weighted.weights(rows @ rows.T, (0, 1, 2), 0), [0.125, 0.375, 0.5])
    # Of three objectives, two are drawn: over all draws, each keeps its share.
    shares = np.zeros(3)
    for drawn in ((0, 1), (0, 2), (1, 2)):
        shares[list(drawn)] += weighted.weights(rows[list(drawn)] @ rows[list(drawn)].T, drawn, 0) / 3
    np.testing.assert_allclose(shares, [0.125, 0.375, 0.5])


def test_pcgrad_is_the_published_algorithm() -> None:
    a, b = np.array([1.0, 0.0]), np.array([-1.0, 1.0])
    expected = ((a - (a @ b) / (b @ b) * b) + (b - (b @ a) / (a @ a) * a)) / 2
    np.testing.assert_allclose(direction("pcgrad", np.stack([a, b])), expected)


@pytest.mark.parametrize("seed", range(5))
def test_pcgrad_is_upgrad_for_two_objectives(seed: int) -> None:
    pytest.importorskip("quadprog")
    rows = gradients(2, 3, seed)
    np.testing.assert_allclose(direction("pcgrad", rows), direction("upgrad", rows), atol=1e-4)


def test_gradvac_is_the_published_formula_and_remembers() -> None:
    rows = np.array([[1.0, 0.0], [-0.6, 0.8]])
    mixer = Aggregator("gradvac", [1, 1], 0)
    mixer.memory[:] = 0.5
    weights = mixer.weights(rows @ rows.T, (0, 1), 0)
    phi, wanted = -0.6, 0.5
    added = (wanted * np.sqrt(1 - phi**2) - phi * np.sqrt(1 - wanted**2)) / np.sqrt(1 - wanted**2)
    np.testing.assert_allclose(weights, [(1 + added) / 2] * 2, rtol=1e-6)
    np.testing.assert_allclose(mixer.memory[0, 1], 0.99 * 0.5 + 0.01 * phi)


def test_gradvac_remembers_pairs_whatever_is_drawn() -> None:
    rows = gradients(4)
    mixer = Aggregator("gradvac", [1.0] * 4, 0)
    mixer.weights((rows @ rows.T)[np.ix_([1, 3], [1, 3])], (1, 3), 0)
    assert np.flatnonzero(mixer.memory).tolist() == [1 * 4 + 3, 3 * 4 + 1]


#: Gradients as they occur, by name: K rows, of which no convex combination is zero.
KINDS: dict[str, Callable[[int, np.random.Generator], np.ndarray[Any, Any]]] = {
    "random": lambda k, rng: rng.normal(size=(k, 200)),
    "cosine .99": lambda k, rng: rng.normal(size=(1, 200)) + 0.1 * rng.normal(size=(k, 200)),
    "parallel": lambda k, rng: rng.uniform(0.1, 10, (k, 1)) * rng.normal(size=(1, 200)),
    "norms from .001 to 10": lambda k, rng: rng.normal(size=(k, 200)) * 10 ** rng.uniform(-3, 1, (k, 1)),
    "of half the rank": lambda k, rng: np.hstack([rng.uniform(0.1, 1, (k, 1)), rng.normal(size=(k, max(1, k // 2)))]),
}


POWERS: dict[Mixing, float] = {"nash-mtl": -1.0, "fairgrad": -0.5}


@pytest.mark.parametrize("count", [2, 3, 9, 33, 64])
@pytest.mark.parametrize("kind", KINDS)
def test_nash_and_fair_weights_solve_their_equations(kind: str, count: int) -> None:
    for seed in range(5):
        rows = KINDS[kind](count, np.random.default_rng(seed))
        gramian = rows @ rows.T
        for way, power in POWERS.items():
            mixer = Aggregator(way, [1.0] * count, 0)
            weights = mixer.weights(gramian, range(count), 0)
            assert weights.min() > 0
            np.testing.assert_allclose(gramian @ weights, weights**power, rtol=1e-4)
            assert not mixer.fallback


def test_gradvac_is_that_of_torchjd() -> None:
    from torchjd.aggregation import GradVacWeighting

    theirs, memory = GradVacWeighting(beta=0.01), np.zeros((5, 5))
    for step in range(20):
        rows = gradients(5, 8, seed=step)
        torch.manual_seed(step)
        expected = theirs(torch.from_numpy(rows @ rows.T)).numpy() / 5
        torch.manual_seed(step)
        weights, memory = gradvac(rows @ rows.T, memory)
        np.testing.assert_allclose(weights, expected, rtol=1e-6)


@pytest.mark.parametrize("way", [way for way in WAYS if way not in aggregation.FIXED])
def test_zero_gradients_and_no_numbers_have_a_stated_answer(way: Mixing) -> None:
    need(way)
    rows = gradients(4)
    rows[2] = 0
    mixer = Aggregator(way, [1.0] * 4, 0)
    weights = mixer.weights(rows @ rows.T, range(4), 0)
    assert np.isfinite(weights).all()
    assert weights @ rows @ rows[0] > 0  # The objective without a gradient does not stop the others.
    if way in aggregation._WITHOUT_ZEROS:
        others = Aggregator(way, [1.0] * 3, 0).weights(rows[[0, 1, 3]] @ rows[[0, 1, 3]].T, range(3), 0)
        np.testing.assert_allclose(weights, np.insert(others, 2, 0.0))
        assert "weight 0 for 1 zero gradients" in mixer.fallback
    np.testing.assert_allclose(mixer.weights(np.zeros((4, 4)), range(4), 0), 0.25)
    assert "all gradients are zero" in mixer.fallback
    with pytest.raises(PanglotError, match="are not finite"):
        mixer.weights(np.full((4, 4), np.nan), range(4), 0)
    mixer.weights(np.eye(4), range(4), 0)
    assert not mixer.fallback


@pytest.mark.parametrize("way", ["nash-mtl", "fairgrad", "cagrad", "mgda"])
def test_gradients_that_cancel_out_make_hardly_an_update(way: Mixing) -> None:
    need(way)
    rows = np.array([[1.0, 0.5], [-1.0, 0.5], [0.0, -0.8]])
    mixer = Aggregator(way, [1.0] * 3, 0)
    update = mixer.weights(rows @ rows.T, range(3), 0) @ rows
    assert np.linalg.norm(update) < 0.05
    if way in {"nash-mtl", "fairgrad"}:
        assert "cancel" in mixer.fallback


def test_the_log_says_when_a_method_falls_back(facts_folder: Path, small_model: Path, tmp_path: Path) -> None:
    settings = recipe(facts_folder, small_model, tmp_path, mixing="nash-mtl", objectives=("mono", "cross"), steps=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aggregation, "gramian_of", lambda _: np.outer([1.0, -1.0], [1.0, -1.0]))
        fit(settings, progress=False)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    assert all("gradients cancel out" in line["fallback"] for line in lines)


def test_mgda_is_the_least_norm_point() -> None:
    a, b = np.array([2.0, 0.0]), np.array([0.0, 1.0])
    np.testing.assert_allclose(direction("mgda", np.stack([a, b])), [0.4, 0.8], atol=0.01)


def test_cagrad_is_the_best_direction_in_half_the_means_length() -> None:
    """Maximise min_i g_i·d over ‖d − ḡ‖ ≤ ‖ḡ‖ / 2 (2110.14048), here by trying every angle of the circle."""
    need("cagrad")
    rows = np.array([[1.0, 0.0], [-0.9, 0.7]])
    mean, angle = rows.mean(0), np.linspace(0, 2 * np.pi, 100_001)[:, None]
    circle = mean + np.linalg.norm(mean) / 2 * np.hstack([np.cos(angle), np.sin(angle)])
    best = circle[(circle @ rows.T).min(1).argmax()]
    np.testing.assert_allclose(direction("cagrad", rows), best, atol=1e-3)


def test_imtl_g_has_equal_projections_on_all_gradients() -> None:
    rows = gradients(3) * np.array([[1.0], [4.0], [0.5]])
    projections = direction("imtl-g", rows) @ (rows / np.linalg.norm(rows, axis=1, keepdims=True)).T
    np.testing.assert_allclose(projections, projections[0])
    assert Aggregator("imtl-g", [1.0] * 3, 0).weights(rows @ rows.T, range(3), 0).sum() == pytest.approx(1)


def test_aligned_mtl_gives_all_directions_the_smallest_singular_value() -> None:
    rows = gradients(3) * np.array([[1.0], [4.0], [0.5]])
    left, values, right = np.linalg.svd(rows, full_matrices=False)
    np.testing.assert_allclose(direction("aligned-mtl", rows), (values.min() * left @ right).mean(0), rtol=1e-6)


@pytest.mark.parametrize("scales", [(1.0, 1.0, 1.0), (1.0, 1e-4, 30.0), (1e-3, 1e-3, 1.0)])
def test_upgrad_is_the_mean_of_the_projections_on_the_dual_cone(scales: tuple[float, ...]) -> None:
    """The projection of g on {d: G d ≥ 0} is g + Gᵀ v, with v ≥ 0 of the least ‖g + Gᵀ v‖ (2406.16232).

    The cone is the same whatever the norms are, so that a short gradient constrains the update as a long one does.
    """
    need("upgrad")
    rows = gradients(3, 4, seed=3) * np.array(scales)[:, None]
    projected = [row + nnls(rows.T, -row)[0] @ rows for row in rows]
    assert (rows @ rows.T < 0).any()
    expected = np.mean(projected, axis=0)
    np.testing.assert_allclose(direction("upgrad", rows), expected, atol=1e-4 * np.linalg.norm(expected))
    assert ((rows @ direction("upgrad", rows)) / np.linalg.norm(rows, axis=1)).min() > -1e-4 * np.linalg.norm(expected)


def need(way: Mixing) -> None:
    try:
        aggregation.require_method(way)
    except PanglotError as missing:  # a solver has no wheel for this system
        pytest.skip(str(missing))


@pytest.mark.parametrize("way", WAYS)
def test_no_way_depends_on_other_random_numbers(way: Mixing) -> None:
    need(way)
    rows = gradients(3, 5)
    torch.manual_seed(1)
    first, before = direction(way, rows, step=4), torch.random.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(2)
    assert np.array_equal(first, direction(way, rows, step=4))


def test_the_order_of_pcgrad_changes_from_step_to_step() -> None:
    rows = gradients(6, 4)
    assert len({direction("pcgrad", rows, step).round(9).tobytes() for step in range(8)}) > 1


def test_diagnosis_is_that_of_the_gradients() -> None:
    found, norms = diagnose(CONFLICT)
    cosines = [-3 / 6, 1 / np.sqrt(8), 0.5 / np.sqrt(18)]
    assert found == pytest.approx({"cosine": np.mean(cosines), "lowest_cosine": -0.5, "conflicts": 1 / 3})
    assert norms.tolist() == pytest.approx([2, 3, np.sqrt(2)])


def test_a_missing_part_is_named_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_environment, "find_spec", lambda name: None if name == "clarabel" else object())
    with pytest.raises(PanglotError, match=r"cagrad needs clarabel.*\[mixing\]"):
        Settings(on=("starter:train",), mixing="cagrad")


def test_weights_without_weighted_are_refused() -> None:
    with pytest.raises(PanglotError, match="does not use weights"):
        Settings(on=("starter:train",), mixing="mean", objectives=("mono:2", "cross"))


def recipe(facts_folder: Path, small_model: Path, output: Path = Path("run"), **changes: Any) -> Settings:
    base = Settings(
        model=str(small_model),
        on=(str(facts_folder),),
        output=output,
        mixing="mean",
        batch_size=6,
        pairs=60,
        precision="fp32",
        temperature=0.1,
        learning_rate=1e-3,
    )
    return replace(base, **changes)


def made(settings: Settings, memory: MemoryPlan = WITH_ACTIVATIONS) -> tuple[TrainableEncoder, StepGradient]:
    training_data = data.load(settings)
    encoder = TrainableEncoder(open_model(settings.model, CPU)[0], settings, CPU)
    collator = Collator(training_data, encoder, settings.hard_negatives, settings.seed)
    plan = make_plan(settings, training_data.sources)
    return encoder, StepGradient(settings, plan, collator, encoder, Processes(), memory)


def gradient_of(settings: Settings, k: int = 0, memory: MemoryPlan = WITH_ACTIVATIONS) -> torch.Tensor:
    encoder, update = made(settings, memory)
    update(k)
    return torch.cat([p.grad.flatten() for p in encoder.trained.values() if p.grad is not None])


def test_the_mean_of_two_objectives_is_that_of_their_gradients(facts_folder: Path, small_model: Path) -> None:
    settings = recipe(facts_folder, small_model)
    alone = []
    for keep in ("mono", "cross"):
        encoder, update = made(settings)
        batch = update._plan(0)[("mono", "cross").index(keep)]  # type: ignore[operator]
        update._backward(batch, 0)  # type: ignore[arg-type]
        alone.append(torch.cat([p.grad.flatten() for p in encoder.trained.values() if p.grad is not None]))
    torch.testing.assert_close(gradient_of(settings), (alone[0] + alone[1]) / 2)


@pytest.mark.parametrize("way", WAYS)
def test_grad_cache_is_the_full_computation(facts_folder: Path, small_model: Path, way: Mixing) -> None:
    need(way)
    settings = recipe(
        facts_folder, small_model, mixing=way, objectives=("language", "cross", "distill"), dropout=True,
        chunk_tokens=100,
    )  # fmt: skip
    plain = gradient_of(settings)
    assert plain.norm() > 0
    torch.testing.assert_close(gradient_of(settings, memory=MemoryPlan(0, fixed=1)), plain, atol=1e-5, rtol=1e-4)


def test_gradients_on_disk_are_those_in_memory(
    facts_folder: Path, small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recipe(facts_folder, small_model, tmp_path, mixing="pcgrad", objectives=("pair",))
    held = gradient_of(settings)
    monkeypatch.setattr(aggregation, "_HELD_BYTES", 0)
    monkeypatch.setattr(aggregation, "_COLUMNS", 1000)
    torch.testing.assert_close(gradient_of(settings), held)


def test_many_objectives_of_known_weight_are_not_held(
    facts_folder: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recipe(facts_folder, small_model, mixing="weighted", objectives=("pair:3", "cross:1"))
    held = gradient_of(settings)
    monkeypatch.setattr(aggregation, "_DIAGNOSED", 2)
    monkeypatch.setattr(aggregation, "_room", None)
    torch.testing.assert_close(gradient_of(settings), held)


def test_distillation_pulls_a_translation_to_the_start(facts_folder: Path, small_model: Path, tmp_path: Path) -> None:
    settings = recipe(
        facts_folder, small_model, tmp_path, mixing="weighted", objectives=("mono:0.001", "distill:1"), pairs=480
    )
    fit(settings, progress=False)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    losses = [line["objectives"][1]["loss"] for line in lines]
    assert [objective["name"] for objective in lines[0]["objectives"]] == ["mono", "distill"]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_distillation_is_the_distance_of_both_sides_to_the_starts_english(
    facts_folder: Path, small_model: Path
) -> None:
    settings = recipe(facts_folder, small_model, objectives=("mono", "distill"))
    encoder, update = made(settings)
    start = TrainableEncoder(open_model(settings.model, CPU)[0], settings, CPU)
    with torch.no_grad():
        for number, parameter in enumerate(encoder.trained.values()):
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))
    example = update._collator(update._plan(0)[1])  # type: ignore[index]
    loss = distill(encoder, start, example, settings, Processes(), seed=0)
    found = {name: p.grad.clone() for name, p in encoder.trained.items() if p.grad is not None}
    encoder.model.zero_grad()
    target = start.embed(example.passages).detach()
    sides = [(encoder.embed(texts) * target).sum(1) for texts in (example.questions, example.passages)]
    expected = 1 - torch.cat(sides).mean()
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-6)
    assert (1 - sides[1]).min() > 0.01  # trained text in English has moved away from the start
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, encoder.trained[name].grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("way", ["mean", "gradvac", "pcgrad"])
def test_a_resumed_run_ends_with_the_weights_of_an_unbroken_one(
    facts_folder: Path, small_model: Path, tmp_path: Path, way: Mixing
) -> None:
    from safetensors.torch import load_file

    from panglot.training.run import Checkpoint, Run

    whole = recipe(facts_folder, small_model, tmp_path / "whole", mixing=way, checkpoint_every=2,
                   objectives=("language", "cross"), objectives_per_step=3, pairs=108)  # fmt: skip
    fit(whole, progress=False)
    broken = replace(whole, output=tmp_path / "broken")
    kept = Run.save

    def stop(run: Run, checkpoint: Checkpoint) -> None:
        kept(run, checkpoint)
        if checkpoint.progress.step == 4:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(broken, progress=False)
    fit(broken, progress=False)
    ends = [load_file(folder / "model.safetensors") for folder in (whole.output, broken.output)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_gradients_that_are_no_number_stop_the_run(
    facts_folder: Path, small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recipe(facts_folder, small_model, tmp_path, mixing="upgrad")
    original = aggregation.gramian_of
    monkeypatch.setattr(aggregation, "gramian_of", lambda held: original(held) * np.nan)
    with pytest.raises(PanglotError, match="not a number"):
        fit(settings, progress=False)
