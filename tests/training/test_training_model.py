"""What a start declares is trained and saved as it is encoded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer

from panglot._errors import PanglotError
from panglot.encoders.open_model import open_model
from panglot.training.loop import fit
from panglot.training.model import TrainableEncoder
from panglot.training.settings import Settings

CPU = torch.device("cpu")


@pytest.fixture
def start(small_model: Path, tmp_path: Path) -> Path:
    """A copy of the small model, to be changed."""
    return shutil.copytree(small_model, tmp_path / "start")


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


def recipe(start: Path, facts_folder: Path, output: Path, **changes: Any) -> Settings:
    plain: dict[str, Any] = {"batch_size": 6, "steps": 8, "precision": "fp32", "temperature": 0.1}
    return Settings(model=str(start), on=(str(facts_folder),), output=output, **{**plain, **changes})


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16])
def test_a_start_in_half_precision_is_trained_and_saved_in_single(
    start: Path, facts_folder: Path, tmp_path: Path, stored: torch.dtype, capsys: pytest.CaptureFixture[str]
) -> None:
    path = start / "model.safetensors"
    whole = load_file(path)
    half = {name: tensor.to(stored) for name, tensor in whole.items()}
    save_file({name: tensor.float() for name, tensor in half.items()}, path, metadata={"format": "pt"})
    fit(recipe(start, facts_folder, tmp_path / "single", learning_rate=1e-6), progress=False)
    save_file(half, path, metadata={"format": "pt"})
    edit(start / "config.json", dtype=str(stored).removeprefix("torch."))
    fit(recipe(start, facts_folder, tmp_path / "half", learning_rate=1e-6), progress=False)
    assert "trained and saved as float32" in capsys.readouterr().err
    single, trained = (load_file(tmp_path / name / "model.safetensors") for name in ("single", "half"))
    # Such small updates are all lost in half precision.
    assert any(not torch.equal(trained[name], half[name].float()) for name in trained)
    assert all(torch.equal(trained[name], single[name]) for name in single)
    assert json.loads((tmp_path / "half" / "config.json").read_text("utf-8"))["dtype"] == "float32"


def test_a_model_is_saved_with_the_similarity_that_it_was_trained_by(
    start: Path, facts_folder: Path, tmp_path: Path
) -> None:
    edit(start / "config_sentence_transformers.json", similarity_fn_name="dot")
    fit(recipe(start, facts_folder, tmp_path / "run", steps=1), progress=False)
    assert SentenceTransformer(str(tmp_path / "run"), device="cpu").similarity_fn_name == "cosine"


def test_vectors_in_training_are_those_of_the_declared_model(start: Path, facts_folder: Path, tmp_path: Path) -> None:
    """Pooling without the prompt, lower case and fewer dimensions."""
    edit(next(start.glob("*_Pooling")) / "config.json", include_prompt=False)
    edit(start / "sentence_bert_config.json", do_lower_case=True)
    edit(start / "config_sentence_transformers.json", truncate_dim=8)
    model = open_model(start, CPU)[0]
    encoder = TrainableEncoder(model, recipe(start, facts_folder, tmp_path / "run"), CPU)
    questions, passages = ["Where is it?", "Who?"], ["It is HERE.", "someone"]
    tokens = [*encoder.tokenize(questions, "question"), *encoder.tokenize(passages, "passage")]
    found = encoder.embed(tokens).detach().numpy()
    theirs = SentenceTransformer(str(start), device="cpu")
    both = (theirs.encode_query(questions), theirs.encode_document(passages, prompt="passage: "))
    expected = np.concatenate(both)
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)


def test_a_model_without_a_transformer_is_refused(facts_folder: Path, tmp_path: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models

    words = StaticEmbedding(Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]")), embedding_dim=8)
    SentenceTransformer(modules=[words], device="cpu").save(str(tmp_path / "static"), create_model_card=False)
    with pytest.raises(PanglotError, match="begin with a transformer, and this one begins with a StaticEmbedding"):
        fit(recipe(tmp_path / "static", facts_folder, tmp_path / "run"), progress=False)


def test_cut_texts_and_small_objectives_are_said(
    start: Path, facts_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = recipe(start, facts_folder, tmp_path / "run", max_length=16, steps=21, mixing="weighted",
                      objectives=("mono:1", "cross:0.01"))  # fmt: skip
    fit(settings, progress=True)
    said = capsys.readouterr().err
    assert "passages cut at 16 tokens" in said
    assert "note: cross adds" in said
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text("utf-8").splitlines()]
    assert [line["step"] for line in lines if "small_objectives" in line] == [20]
    assert 0 < lines[19]["small_objectives"]["cross"] < 0.1
