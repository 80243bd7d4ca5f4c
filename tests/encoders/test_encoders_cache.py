"""The cache gives what the encoder gave, survives kills and damage, and never unpickles."""

from __future__ import annotations

import hashlib
import multiprocessing
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.encoders import cache as cache_module
from panglot.encoders.cache import Cached

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from panglot.encoders.protocol import Side, Vectors


class Hashed:
    """A real, cheap encoder: a text's vector is drawn from the digest of text and side."""

    def __init__(self, dimension: int = 8, fingerprint: str = "hashed" * 6) -> None:
        self.name, self.fingerprint, self.dimension = "hashed", fingerprint, dimension
        self.seen: list[str] = []
        self.fail_after: int | None = None

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:  # noqa: ARG002
        if self.fail_after is not None and len(self.seen) >= self.fail_after:
            raise KeyboardInterrupt
        self.seen += texts
        rows = np.empty((len(texts), self.dimension), np.float32)
        for row, text in enumerate(texts):
            seed = int.from_bytes(hashlib.sha256(f"{side}{text}".encode("utf-8", "surrogatepass")).digest()[:8])
            rows[row] = np.random.default_rng(seed).normal(size=self.dimension)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@settings(max_examples=25)
@given(st.lists(st.lists(st.text(max_size=6), max_size=12), max_size=4))
def test_equal_to_the_encoder_in_any_order(calls: list[list[str]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for texts in calls:
            for side in ("question", "passage"):
                found = Cached(Hashed(), folder).encode(texts, side)
                np.testing.assert_array_equal(found, Hashed().encode(texts, side))


def test_each_text_is_encoded_once(tmp_path: Path) -> None:
    first = Hashed()
    Cached(first, tmp_path).encode(["a", "b", "a"], "question")
    assert sorted(first.seen) == ["a", "b"]
    second = Hashed()
    Cached(second, tmp_path).encode(["b", "c"], "question")
    assert second.seen == ["c"]
    other_side, other_model = Hashed(), Hashed(fingerprint="other" * 8)
    Cached(other_side, tmp_path).encode(["a"], "passage")
    Cached(other_model, tmp_path).encode(["a"], "question")
    assert other_side.seen == other_model.seen == ["a"]


def test_a_kill_loses_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_FIRST", 10)
    monkeypatch.setattr(cache_module, "_MOST", 10)
    monkeypatch.setattr(cache_module, "_LEAST", 10)
    texts = [f"text {i}" for i in range(100)]
    killed, resumed = Hashed(), Hashed()
    killed.fail_after = 40
    with pytest.raises(KeyboardInterrupt):
        Cached(killed, tmp_path).encode(texts, "question")
    found = Cached(resumed, tmp_path).encode(texts, "question")
    assert len(resumed.seen) == 60
    np.testing.assert_array_equal(found, Hashed().encode(texts, "question"))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "pickled", "another array", "renamed"])
def test_a_damaged_shard_is_dropped(tmp_path: Path, damage: str) -> None:
    cached = Cached(Hashed(), tmp_path)
    wanted = cached.encode(["a", "b"], "question")
    (shard,) = cached.folder.glob("*.npy")
    raw = bytearray(shard.read_bytes())
    if damage == "truncated":
        shard.write_bytes(raw[:-4])
    elif damage == "flipped":
        raw[-3] ^= 4
        shard.write_bytes(raw)
    elif damage == "empty":
        shard.write_bytes(b"")
    elif damage == "pickled":
        np.save(shard, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    elif damage == "another array":
        np.save(shard, np.zeros((3, 8), np.float32))
    else:
        shard.rename(shard.with_name("0" * 64 + ".npy"))
    again = Hashed()
    with pytest.warns(RuntimeWarning, match="damaged vectors are dropped"):
        found = Cached(again, tmp_path).encode(["a", "b"], "question")
    np.testing.assert_array_equal(found, wanted)
    assert sorted(again.seen) == ["a", "b"]


def test_an_interrupted_write_is_not_seen(tmp_path: Path) -> None:
    cached = Cached(Hashed(), tmp_path)
    cached.folder.mkdir(parents=True)
    (cached.folder / ".abc.npy.x.part").write_bytes(b"half a shard")
    cached.encode(["a"], "question")


def test_size_and_clear(tmp_path: Path) -> None:
    cached = Cached(Hashed(), tmp_path)
    assert cached.size() == 0
    cached.clear()
    cached.encode(["a"] * 3, "question")
    assert cached.size() > 8 * 4
    cached.clear()
    assert cached.size() == 0
    again = Hashed()
    Cached(again, tmp_path).encode(["a"], "question")
    assert again.seen == ["a"]


def test_no_texts(tmp_path: Path) -> None:
    assert Cached(Hashed(), tmp_path).encode([], "question").shape == (0, 8)


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cached = Cached(Hashed(), tmp_path / "file")
    with pytest.warns(RuntimeWarning, match="not kept"):
        found = cached.encode(["a"], "question")
    np.testing.assert_array_equal(found, Hashed().encode(["a"], "question"))


def test_an_encoder_that_loses_rows_is_told(tmp_path: Path) -> None:
    class Short(Hashed):
        def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
            return super().encode(texts, side, ids=ids)[:-1]

    with pytest.raises(PanglotError, match="for 2 texts"):
        Cached(Short(), tmp_path).encode(["a", "b"], "question")


def test_twenty_six_thousand_vectors_load_fast(tmp_path: Path) -> None:
    texts = [f"passage number {i} of the collection" for i in range(26_104)]
    cached = Cached(Hashed(384), tmp_path)
    vectors = np.zeros((len(texts), 384), np.float32)
    vectors[np.arange(len(texts)), np.arange(len(texts)) % 384] = 1
    for begin in range(0, len(texts), 2000):
        piece = slice(begin, begin + 2000)
        cached._keep([cache_module.text_key(text, "passage") for text in texts[piece]], vectors[piece])
    begun = time.process_time()
    found = Cached(Hashed(384), tmp_path).encode(texts, "passage")
    assert time.process_time() - begun < 1
    np.testing.assert_array_equal(found, vectors)


def _write(folder: str, begin: int) -> int:
    encoder = Hashed()
    Cached(encoder, folder).encode([f"text {i}" for i in range(begin, begin + 200)], "question")
    return len(encoder.seen)


def test_writers_at_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(3) as pool:
        pool.starmap(_write, [(str(tmp_path), begin) for begin in (0, 50, 100)])
    encoder, texts = Hashed(), [f"text {i}" for i in range(300)]
    np.testing.assert_array_equal(
        Cached(encoder, tmp_path).encode(texts, "question"), Hashed().encode(texts, "question")
    )
    assert encoder.seen == []
