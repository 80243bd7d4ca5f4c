"""A difference in four bits: bounds of its error, what is exact, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from _small_difference import FROZEN, quantise, subtract, write_difference
from panglot._errors import PanglotError
from panglot.encoders.difference import BLOCK, add, read_difference, unpack

LAYER = "encoder.layer.0.output.dense.weight"
BIAS = "encoder.layer.0.output.dense.bias"
GENERATOR = np.random.default_rng(0)


def made(rows: int = BLOCK, columns: int = 64) -> dict[str, npt.NDArray[np.float32]]:
    """A start of a few tensors, with weights of a usual size."""
    shapes = {LAYER: (rows, columns), BIAS: (rows,), FROZEN: (50, columns)}
    return {name: GENERATOR.normal(0, 0.05, shape).astype(np.float32) for name, shape in shapes.items()}


def moved(start: dict[str, npt.NDArray[np.float32]], size: float = 1e-3) -> dict[str, npt.NDArray[np.float32]]:
    """The start after training, which leaves the word embeddings as they are."""
    return {
        name: each if name == FROZEN else each + GENERATOR.normal(0, size, each.shape).astype(np.float32)
        for name, each in start.items()
    }


matrices = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 3), st.floats(-7, 1), st.booleans())


@settings(max_examples=200)
@given(matrices)
def test_the_error_of_a_block_has_a_bound(of: tuple[int, int, int, float, bool]) -> None:
    seed, rows, blocks, exponent, is_heavy = of
    generator = np.random.default_rng(seed)
    size = (rows, blocks * BLOCK)
    matrix = (generator.standard_t(2, size) if is_heavy else generator.normal(size=size)) * 10.0**exponent
    matrix = np.clip(matrix, -50, 50).astype(np.float32)
    packed = quantise(matrix)
    assert packed.shape == (rows, blocks, 18)
    error = (unpack(packed) - matrix).reshape(-1, BLOCK)
    largest = np.abs(matrix.reshape(-1, BLOCK)).max(1)
    # Scales have eleven significant bits.
    assert (np.sqrt(np.square(error).mean(1)) <= largest / 14 * (1 + 2**-8)).all()


def test_the_error_of_usual_differences() -> None:
    matrix = np.random.default_rng(1).normal(0, 1e-4, (64, 384)).astype(np.float32)
    error = np.linalg.norm(unpack(quantise(matrix)) - matrix) / np.linalg.norm(matrix)
    # Uniform steps up to the largest weight of a block, at eight, give 8.4 %.
    assert error < 0.0825


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(-8, 7))
def test_what_four_bits_hold_is_exact(seed: int, one: int) -> None:
    codes = np.random.default_rng(seed).integers(-8, 8, (2, BLOCK)).astype(np.float32)
    codes[:, 0], codes[:, 1] = -8, one
    matrix = codes * np.float32(2**-10)
    np.testing.assert_array_equal(unpack(quantise(matrix)), matrix)


def test_zero_is_exactly_zero() -> None:
    start = made()
    assert subtract(start, dict(start)) == {}
    half = np.zeros((2, 2 * BLOCK), np.float32)
    half[:, BLOCK:] = 1e-3
    assert (unpack(quantise(half))[:, :BLOCK] == 0).all()
    for name, each in add(start, {}).items():
        assert each is start[name]


@settings(max_examples=25)
@given(st.floats(-5, 0))
def test_a_model_comes_back(exponent: float) -> None:
    start = made()
    trained = moved(start, 10.0**exponent)
    again = add(start, subtract(start, trained))
    assert again.keys() == trained.keys()
    assert all(each.dtype == np.float32 for each in again.values())
    np.testing.assert_array_equal(again[FROZEN], trained[FROZEN])
    np.testing.assert_allclose(again[BIAS], trained[BIAS], rtol=0, atol=1e-6)
    error = np.linalg.norm(again[LAYER] - trained[LAYER]) / np.linalg.norm(trained[LAYER] - start[LAYER])
    assert error < 0.1


def test_word_embeddings_that_averaging_rounded_are_those_of_the_start() -> None:
    start = made()
    shares = np.array([0.3, 0.3, 0.4], np.float32)
    rounded = np.stack([start[FROZEN] * share for share in shares]).sum(axis=0)
    assert (rounded != start[FROZEN]).any()
    assert subtract(start, {**start, FROZEN: rounded}) == {}


def test_small_matrices_and_vectors_stay_whole() -> None:
    shapes = {"embeddings.token_type_embeddings.weight": (2, 64), "odd.weight": (40, 40), BIAS: (64,), LAYER: (32, 32)}
    start = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    found = subtract(start, moved(start))
    assert [name for name, each in found.items() if each.dtype == np.uint8] == [LAYER]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (BIAS, None, "only the start has this tensor"),
        ("x", lambda _: np.zeros(3, np.float32), "only the trained model has this tensor"),
        (FROZEN, lambda each: each + 1e-4, "the trained model has word embeddings of its own"),
        (LAYER, lambda each: each[:, :32], r"the start has the shape \(32, 64\), and the trained model \(32, 32\)"),
        (BIAS, lambda each: each * np.nan, "not a number, or not below 9"),
        (LAYER, lambda each: each + 1000, "not a number, or not below 9"),
    ],
)
def test_what_is_no_difference_is_refused(name: str, change: Any, message: str) -> None:
    start = made()
    trained = moved(start)
    changed = {**trained, name: change(trained.get(name))} if change else {n: trained[n] for n in trained if n != name}
    with pytest.raises(PanglotError, match=f'"{name}": .*{message}'):
        subtract(start, changed)


def test_the_file(tmp_path: Path) -> None:
    start = made()
    found = subtract(start, moved(start))
    for name in ("a", "b"):
        write_difference(tmp_path / name, found, "the start")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    again = read_difference(tmp_path / "a", "the start")
    assert again.keys() == found.keys()
    for name, each in again.items():
        np.testing.assert_array_equal(each, found[name])
    with pytest.raises(PanglotError, match="the difference to another start"):
        read_difference(tmp_path / "a", "another")


def test_every_damage_of_the_file_is_found(tmp_path: Path) -> None:
    file = tmp_path / "difference"
    start = made()
    write_difference(file, subtract(start, moved(start)), "the start")
    whole = file.read_bytes()
    for at in (3, 20, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(PanglotError, match=r"cannot be read|was damaged|another start|has version"):
            read_difference(file, "the start")
    file.write_bytes(whole[:-5])
    with pytest.raises(PanglotError, match="cannot be read"):
        read_difference(file, "the start")


def test_other_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "difference"
    save_file({"x": np.zeros(3, np.float32)}, file)
    with pytest.raises(PanglotError, match="cannot be read"):
        read_difference(file, "the start")
    write_difference(file, {}, "the start")
    with safe_open(file, "numpy") as opened:
        (head,) = opened.metadata().values()
    newer = head.replace('"version": 1', '"version": 2')
    save_file({}, file, metadata={"panglot-difference": newer})
    with pytest.raises(PanglotError, match="has version 2, and this panglot reads 1"):
        read_difference(file, "the start")


def test_a_difference_of_another_shape_is_refused() -> None:
    start = made()
    found = subtract(start, moved(start))
    with pytest.raises(PanglotError, match=r"the shape \(32, 64\), and the start has \(64, 64\)"):
        add({**start, LAYER: np.zeros((64, 64), np.float32)}, found)
    with pytest.raises(PanglotError, match="and the start lacks it"):
        add({}, found)
