"""Models in OpenVINO give what they give in torch."""

from __future__ import annotations

import pickle
from importlib import util
from typing import TYPE_CHECKING

import numpy as np
import pytest
from encoders_made import make_model

from panglot import _environment
from panglot._errors import PanglotError
from panglot.encoders.load import load
from panglot.encoders.sentence_transformer import OpenVinoEncoder
from panglot.search.index import Index

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["a b c", "", "d e f g h i j a b c d e", "j", "word " * 60]

needs = pytest.mark.skipif(util.find_spec("openvino") is None, reason="openvino is not installed")


@pytest.mark.openvino
@needs
@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_its_vectors_are_those_of_torch(tmp_path: Path, kind: str, pooling: str) -> None:
    folder = make_model(tmp_path, kind, pooling, dense=True, query="query : ")
    there = load(folder, backend="openvino", precision="fp32", batch_tokens=40)
    here = load(folder, precision="fp32")
    assert isinstance(there, OpenVinoEncoder)
    for side in ("question", "passage"):
        np.testing.assert_allclose(there.encode(TEXTS, side), here.encode(TEXTS, side), atol=1e-5)
    assert there.fingerprint != here.fingerprint
    again = pickle.loads(pickle.dumps(there))
    assert isinstance(again, OpenVinoEncoder)
    np.testing.assert_array_equal(again.encode(TEXTS, "passage"), there.encode(TEXTS, "passage"))


@pytest.mark.openvino
@needs
def test_an_index_that_it_made_is_opened_by_torch(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    documents = [{"id": str(row), "text": text, "language": "en"} for row, text in enumerate(TEXTS) if text]
    with pytest.warns(RuntimeWarning, match="1 of 4 passages cut at 32 tokens"):
        built = Index.build(documents, tmp_path / "index", model=folder, backend="openvino")
    assert isinstance(built.encoder, OpenVinoEncoder)
    built.close()
    index = Index.open(tmp_path / "index")
    assert not isinstance(index.encoder, OpenVinoEncoder)
    assert index.search("a b c", k=1, language="en").hits[0].document.id == "0"
    index.close()


@pytest.mark.openvino
@needs
def test_what_it_cannot_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match="not a BERT- or RoBERTa-like model with mean or first-token pooling"):
        load(make_model(tmp_path, pooling="max"), backend="openvino")
    with pytest.raises(PanglotError, match="OpenVINO does not run on meta"):
        load(tmp_path / "model", backend="openvino", device="meta")


def test_wrong_backend_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match=r"unknown backend 'onnx'.*use one of auto, torch, openvino"):
        load("bundled", backend="onnx")
    with pytest.raises(PanglotError, match="vectors:x does not run on this machine"):
        load("vectors:x", backend="openvino")
    monkeypatch.setattr(_environment, "find_spec", lambda _name: None)
    with pytest.raises(PanglotError, match=r"needs openvino.*pip install '.*\[openvino\]'"):
        load(make_model(tmp_path), backend="openvino")
