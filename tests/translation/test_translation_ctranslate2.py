"""CTranslate2 with a model of one layer and random weights: its babble shows that tokens and languages go through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panglot._errors import PanglotError
from panglot.translation.local import CTranslate2

pytest.importorskip("ctranslate2")
pytest.importorskip("sentencepiece")
WIDTH = 16


def build(folder: Path, marks: list[str]) -> None:
    import sentencepiece
    from ctranslate2.specs import transformer_spec

    folder.mkdir()
    words = ["the river is here", "one two three four five six seven", "a b c d e f g h i j k l m n o p"]
    (folder / "text").write_text("\n".join(words * 20))
    prefix = str(folder / "sentencepiece.bpe")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"), model_prefix=prefix, vocab_size=60, hard_vocab_limit=False, minloglevel=2
    )
    reader: Any = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")
    vocabulary = [reader.id_to_piece(i) for i in range(reader.get_piece_size())] + marks
    random = np.random.default_rng(0)
    spec = transformer_spec.TransformerSpec.from_config(1, 2)

    def linear(part: Any, rows: int, columns: int) -> None:
        part.weight = random.normal(size=(rows, columns)).astype(np.float32)
        part.bias = np.zeros(rows, np.float32)

    def norm(part: Any) -> None:
        part.gamma, part.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)

    def attention(part: Any, shapes: list[int]) -> None:
        norm(part.layer_norm)
        for layer, rows in zip(part.linear, shapes, strict=True):
            linear(layer, rows, WIDTH)

    for side in (spec.encoder, spec.decoder):
        side.num_heads = np.dtype("int16").type(2)
        embedding: Any = side.embeddings[0] if isinstance(side.embeddings, list) else side.embeddings
        embedding.weight = random.normal(size=(len(vocabulary), WIDTH)).astype(np.float32)
        norm(side.layer_norm)
        for layer in side.layer:
            attention(layer.self_attention, [3 * WIDTH, WIDTH])
            norm(layer.ffn.layer_norm)
            linear(layer.ffn.linear_0, 2 * WIDTH, WIDTH)
            linear(layer.ffn.linear_1, WIDTH, 2 * WIDTH)
    for layer in spec.decoder.layer:
        attention(layer.attention, [WIDTH, 2 * WIDTH, WIDTH])
    linear(spec.decoder.projection, len(vocabulary), WIDTH)
    spec.register_source_vocabulary(vocabulary)
    spec.register_target_vocabulary(vocabulary)
    spec.validate()
    spec.save(str(folder))


def test_a_model_with_tokens_of_nllb(tmp_path: Path) -> None:
    build(tmp_path / "nllb", ["eng_Latn", "spa_Latn", "zho_Hans"])
    engine = CTranslate2(tmp_path / "nllb", beam=1, device="cpu")
    assert engine.serves("en", "zh")
    assert sorted(engine.targets("es")) == ["en", "zh"]
    assert not engine.serves("fi", "en")
    found = engine.translate(["the river is here", "one two"], "en", "es")
    assert len(found) == 2
    assert all(found)
    assert not any("_Latn" in text for text in found)
    assert found == engine.translate(["the river is here", "one two"], "en", "es")
    assert "nllb." in engine.version("en", "es")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match="no converted model"):
        CTranslate2(tmp_path)
    build(tmp_path / "some", [])
    with pytest.raises(PanglotError, match="languages cannot be recognized"):
        CTranslate2(tmp_path / "some")
    (tmp_path / "some").rename(tmp_path / "opus-mt-en-es")
    assert CTranslate2(tmp_path / "opus-mt-en-es").targets("en") == ("es",)
