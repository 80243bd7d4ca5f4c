"""A small real model."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of one layer over characters of many scripts, with prompts, not normalised."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    blocks = (range(0x20, 0x180), range(0x370, 0x530), range(0x980, 0xA00), range(0x3040, 0x3100))
    letters = [chr(point) for block in blocks for point in block]
    vocabulary = {piece: row for row, piece in enumerate(["[PAD]", "[UNK]", *letters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
        intermediate_size=48, max_position_embeddings=256,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder / "raw")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(folder / "raw")
    model = SentenceTransformer(
        modules=[Transformer(str(folder / "raw"), max_seq_length=256), Pooling(32)],
        prompts={"query": "query: ", "document": "passage: "},
        device="cpu",
    )
    model.save(str(folder / "model"), create_model_card=False)
    return folder / "model"
