"""A small model with random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

if TYPE_CHECKING:
    from pathlib import Path

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
