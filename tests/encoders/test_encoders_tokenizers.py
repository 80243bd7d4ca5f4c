"""A few texts are tokenized by the pieces that occur in them, as by the whole vocabulary."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoders_made import make_e5_file, make_model
from tokenizers import Tokenizer

from panglot.datasets.registry import read
from panglot.encoders import light
from panglot.encoders.bundled import weights_of, write_model
from panglot.encoders.light import LightEncoder
from panglot.encoders.load import load
from panglot.encoders.model_folders import shipped_folder
from panglot.encoders.tokenizers import Pieces

ODD = ["", "   ", "a  b", "▁x", "ﬁ ﬂ ½ ①②", "  ｆｕｌｌ  width\t\u200b", "e\u0301 \u0e33", "word " * 700, "単語" * 600]


def tokenizer(file: Path, length: int, side: str = "right") -> Any:
    made: Any = Tokenizer
    found = made.from_file(str(file))
    found.enable_truncation(length, direction=side)
    return found


def strange(seed: int) -> str:
    """Return a text of letters, marks and signs of many scripts."""
    dice = random.Random(seed)
    kinds = [(32, 0x2FF), (0x300, 0x3FFF), (0x4E00, 0x9FFF), (0xA000, 0xD7FF), (0x1F300, 0x1F6FF), (0x200B, 0x200F)]
    return "".join(chr(dice.randint(*dice.choice(kinds))) for _ in range(dice.randint(0, 60)))


def test_a_text_has_the_tokens_that_the_whole_vocabulary_gives(tmp_path: Path) -> None:
    file = shipped_folder("bundled") / "tokenizer.json"
    Pieces.save(file.read_text("utf-8"), tmp_path / "pieces")
    pieces = Pieces.open(tmp_path / "pieces")
    assert pieces
    texts = [*read("starter:train").passages["text"].to_pylist()[:120], *ODD, *map(strange, range(80))]
    for length, side in ((512, "right"), (16, "right"), (16, "left")):
        whole = tokenizer(file, length, side)
        for begin in range(0, len(texts), 4):
            some = [f"query: {text}" for text in texts[begin : begin + 4]]
            assert pieces.encode(some, length, side) == [whole.encode(text).ids for text in some]
    assert pieces.encode(["Who is <mask>?"], 512, "right") is None


def test_other_tokenizers_are_read_whole(tmp_path: Path) -> None:
    words = (make_model(tmp_path) / "tokenizer.json").read_text("utf-8")
    unigram = json.loads((shipped_folder("bundled") / "tokenizer.json").read_text("utf-8"))
    unigram["model"]["byte_fallback"] = True
    for number, content in enumerate((words, json.dumps(unigram))):
        folder = tmp_path / f"pieces-{number}"
        assert Pieces.open(folder) is None
        Pieces.save(content, folder)
        assert folder.is_dir()
        assert Pieces.open(folder) is None
    kept = tmp_path / "pieces-1"
    (kept / "head.json").write_text("{", "utf-8")
    assert Pieces.open(kept) is None


def test_an_encoder_reads_the_vocabulary_after_some_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(light, "_FIRST_CALLS", 2)
    e5, folder = make_e5_file(), tmp_path / "model"
    folder.mkdir()
    write_model(e5, weights_of(e5), folder)
    assert not isinstance(load(folder, backend="auto", precision="fp32"), LightEncoder)
    first, second = (load(folder, backend="auto", precision="fp32") for _ in range(2))
    assert isinstance(first, LightEncoder)
    assert isinstance(second, LightEncoder)
    texts = ["Ａ wo ist  der bahnhof?", "中文 воздух"]
    expected = load(folder, precision="fp32").encode(texts, "question")
    for _ in range(2):
        np.testing.assert_allclose(second.encode(texts, "question"), expected, atol=2e-6)
        assert "_tokenizer" not in second.__dict__
    np.testing.assert_allclose(second.encode(texts, "question"), expected, atol=2e-6)
    assert "_tokenizer" in second.__dict__
    np.testing.assert_allclose(first.encode(texts * 3, "question"), np.tile(expected, (3, 1)), atol=2e-6)
    assert "_tokenizer" in first.__dict__
