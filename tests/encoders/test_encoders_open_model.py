"""What a model folder declares or lacks is honoured, corrected with a warning, or refused in one line."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encoders_made import make_model
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer

from panglot._errors import PanglotError
from panglot.encoders.load import load

LONG = " ".join("abcdefghij"[i % 10] for i in range(200))


def edit(folder: Path, file: str, **changes: Any) -> None:
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    path = folder / "model.safetensors"
    save_file({k: v.contiguous() for k, v in change(load_file(path)).items()}, path, metadata={"format": "pt"})


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16])
def test_weights_are_float32_whatever_is_stored(tmp_path: Path, stored: torch.dtype) -> None:
    folder = make_model(tmp_path)
    edit_weights(folder, lambda weights: {name: tensor.to(stored) for name, tensor in weights.items()})
    edit(folder, "config.json", dtype=str(stored).removeprefix("torch."))
    encoder: Any = load(folder, precision="fp32")
    assert {parameter.dtype for parameter in encoder.model.parameters()} == {torch.float32}
    assert np.isfinite(encoder.encode([LONG], "passage")).all()


@pytest.mark.parametrize(("kind", "tokens"), [("bert", 40), ("xlm", 39)])
def test_a_length_beyond_the_positions_is_cut_with_a_warning(tmp_path: Path, kind: str, tokens: int) -> None:
    folder = make_model(tmp_path, kind)
    edit(folder, "sentence_bert_config.json", max_seq_length=512)
    with pytest.warns(RuntimeWarning, match=rf"max_seq_length is 512, .* {tokens} positions, .*cut at {tokens} tokens"):
        encoder: Any = load(folder)
    assert encoder.max_length == tokens
    assert np.isfinite(encoder.encode([LONG], "passage")).all()


def test_dot_products_of_vectors_that_are_not_unit_are_said_to_be_compared_by_cosine(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    edit(folder, "config_sentence_transformers.json", similarity_fn_name="dot")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(folder)  # The folder ends in Normalize, so that dot product and cosine are one.
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    (folder / "modules.json").write_text(json.dumps(modules[:2]), "utf-8")
    with pytest.warns(RuntimeWarning, match="declares dot products. panglot compares by cosine"):
        load(folder)
    edit(folder, "config_sentence_transformers.json", similarity_fn_name="euclidean")
    with pytest.raises(PanglotError, match=r'"similarity_fn_name": the model declares euclidean.*Fix: use a model'):
        load(folder)


def test_manhattan_is_refused(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    edit(folder, "config_sentence_transformers.json", similarity_fn_name="manhattan")
    with pytest.raises(PanglotError, match="declares manhattan"):
        load(folder)


def adapter(folder: Path) -> None:
    about = {"peft_type": "LORA", "base_model_name_or_path": "intfloat/multilingual-e5-small"}
    (folder / "adapter_config.json").write_text(json.dumps(about), "utf-8")


def bare_adapter(folder: Path) -> None:
    adapter(folder)
    for name in ("modules.json", "config.json", "model.safetensors"):
        (folder / name).unlink()


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def few_words(folder: Path) -> None:
    name = "embeddings.word_embeddings.weight"
    edit_weights(folder, lambda weights: {**weights, name: weights[name][:10]})
    edit(folder, "config.json", vocab_size=10)


def wrong_shape(folder: Path) -> None:
    name = "encoder.layer.0.attention.self.query.weight"
    edit_weights(folder, lambda weights: {**weights, name: weights[name][:16]})


def missing_layer(folder: Path) -> None:
    edit_weights(folder, lambda weights: {name: each for name, each in weights.items() if ".layer.1." not in name})


def not_a_number(folder: Path) -> None:
    name = "embeddings.word_embeddings.weight"
    edit_weights(folder, lambda weights: {**weights, name: weights[name] * torch.nan})


def odd_pooling(folder: Path) -> None:
    edit(folder, "1_Pooling/config.json", pooling_mode="median")


def odd_module(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    modules.append({"idx": 3, "name": "3", "path": "3_Odd", "type": "sentence_transformers.models.Odd"})
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")


def other_width(folder: Path) -> None:
    """The layer behind the pooling expects longer vectors, which only a trial shows."""
    (folder / "2_Dense").mkdir(exist_ok=True)
    edit(folder, "2_Dense/config.json", in_features=48)
    save_file(
        {"linear.weight": torch.zeros(8, 48), "linear.bias": torch.zeros(8)}, folder / "2_Dense/model.safetensors"
    )


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (adapter, "this is a LORA adapter of intfloat/multilingual-e5-small, not a whole model. Fix: merge it"),
        (bare_adapter, "this is a LORA adapter of intfloat/multilingual-e5-small, not a whole model. Fix: merge it"),
        (no_tokenizer, "files of the tokenizer are missing. Fix: copy"),
        (few_words, r"token 'j' with the number 16, but the model has only 10 word embeddings"),
        (wrong_shape, r"query.weight has the shape \[16, 32\], but config.json says \[32, 32\]"),
        (missing_layer, r"the weights encoder.layer.1.* and 15 more are missing"),
        (not_a_number, "word_embeddings.weight are not all finite"),
        (odd_pooling, "median"),
        (odd_module, "Odd"),
        (other_width, r"fails when it is tried \(one long text is encoded\)"),
    ],
)
def test_a_folder_that_cannot_work_is_refused_before_work(
    tmp_path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    folder = make_model(tmp_path, dense=spoil is other_width)
    spoil(folder)
    with pytest.raises(PanglotError, match=says):
        load(folder)


def test_what_is_declared_beside_the_weights_is_honoured(tmp_path: Path) -> None:
    """Prompts that are not pooled, lower case, fewer dimensions: as sentence-transformers encodes."""
    folder = make_model(tmp_path, query="query : ", document="passage : ")
    edit(folder, "1_Pooling/config.json", include_prompt=False)
    edit(folder, "sentence_bert_config.json", do_lower_case=True)
    edit(folder, "config_sentence_transformers.json", truncate_dim=8)
    theirs = SentenceTransformer(str(folder), device="cpu")
    vectors = load(folder, device="cpu", precision="fp32").encode(["A b", LONG], "question")
    expected = theirs.encode_query(["A b", LONG], normalize_embeddings=True)
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


def test_cut_texts_are_counted_once_by_encoder_and_evaluation(tmp_path: Path) -> None:
    from panglot.encoders.cache import cached
    from panglot.encoders.protocol import CutTexts

    encoder = load(make_model(tmp_path))
    with pytest.warns(RuntimeWarning, match=r"1 of 3 passages cut at 32 tokens$"):
        encoder.encode(["a b", LONG, " ".join("a" * 30)], "passage")  # The last has 32 tokens and is whole.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.encode([LONG], "passage")
    # All texts are counted, also those whose vectors are in a cache.
    cuts = CutTexts(cached(encoder, tmp_path / "cache"), "question")
    cuts.add(["a b"])
    cuts.add([LONG, LONG + " a"])
    with pytest.warns(RuntimeWarning, match=r"2 of 3 questions cut at 32 tokens$"):
        cuts.warn()
