"""Models in OpenVINO give what they give in torch. ``test_encoders_openvino.py`` runs these tests."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from encoders_made import make_model
from safetensors.torch import load_file, save_file

from panglot._errors import PanglotError
from panglot.cli.index import index_command
from panglot.encoders.light import LightEncoder
from panglot.encoders.load import load
from panglot.encoders.openvino import OpenVinoEncoder, quantize
from panglot.search.index import Index
from panglot.search.metadata import snapshot

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["a b c", "", "d e f g h i j a b c d e", "j", "word " * 60]

REAL = [
    "Um die Seite zu drucken, wählen Sie Datei – Drucken.",
    "Guarda il file con un altro nome prima di chiuderlo.",
    "余白の幅はページの書式で変更できます。",
    "Удалённую строку можно вернуть командой «Отменить».",
]
ASKED = ["How do I print?", "How to save a file?", "Where do I set margins?", "How to undo a deletion?"]


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


def test_a_channel_of_zeros_stays_zero_in_int8(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    file = folder / "model.safetensors"
    weights = load_file(file)
    for name in weights:
        if name.endswith("intermediate.dense.weight"):
            weights[name][3] = 0
    save_file(weights, file, metadata={"format": "pt"})
    found, expected = load(folder, backend="auto", precision="int8"), load(folder, precision="fp32")
    for encoder in (found, expected):
        encoder.told.update(("question", "passage"))  # type: ignore[attr-defined]
    ours, theirs = (each.encode(TEXTS, "passage") for each in (found, expected))
    assert (ours * theirs).sum(axis=1).min() > 0.999
    assert np.abs(ours - theirs).max() > 1e-5  # Otherwise nothing would be rounded.
    with pytest.raises(PanglotError, match=r"is not a BERT.*use fp32 or bf16"):
        load(make_model(tmp_path / "max", pooling="max"), backend="auto", precision="int8")


def test_all_linear_layers_but_the_values_of_attention_are_integers(tmp_path: Path) -> None:
    import openvino

    model = load(make_model(tmp_path), precision="fp32").model[0].auto_model  # type: ignore[attr-defined]
    ones = torch.ones((2, 8), dtype=torch.int64)
    network = openvino.convert_model(model, example_input={"input_ids": ones, "attention_mask": ones})
    quantize(network)
    kinds = {"query": 0, "key": 0, "value": 0, "output": 0, "intermediate": 0, "pooler": 0}
    for node in network.get_ordered_ops():
        name = node.get_friendly_name()
        if node.get_type_name() == "MatMul" and node.input_value(1).get_node().get_type_name() == "Multiply":
            kinds[next(each for each in kinds if each in name)] += 1
    layers = len(model.encoder.layer)
    wanted = {"query": layers, "key": layers, "value": 0, "output": 2 * layers, "intermediate": layers}
    assert {name: kinds[name] for name in wanted} == wanted


def test_an_int8_index_of_the_real_model_is_searched_with_the_default_encoder(tmp_path: Path) -> None:
    """Documents in int8, queries in numpy, through build, search, addition and another index in the same place."""

    def run(*options: str) -> str:
        arguments = [str(path), "--output", str(tmp_path / "index"), "--model", "bundled", *options]
        done = CliRunner().invoke(index_command, [*arguments, "--precision", "int8"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    path, served, names = tmp_path / "docs.jsonl", tmp_path / "served", [str(row) for row in range(len(REAL))]
    rows = [json.dumps({"id": name, "text": text}) for name, text in zip(names, REAL, strict=True)]
    path.write_text("\n".join(rows), "utf-8")
    run()
    assert "nothing changed" in run()
    served.symlink_to(tmp_path / "index")
    index, exact = Index.open(served), load("bundled", precision="fp32")
    assert isinstance(index.encoder, LightEncoder)
    stored, expected = index.store.vectors("plain", names), exact.encode(REAL, "passage")
    assert (stored * expected).sum(axis=1).min() > 0.999
    assert np.abs(stored - expected).max() > 1e-3  # More than the rounding of the store.
    best = (exact.encode(ASKED, "question") @ expected.T).argmax(axis=1)
    for question, row in zip(ASKED, best, strict=True):
        assert index.search(question, k=1, language="en").hits[0].document.id == names[row]
    # Whoever serves it goes on with another one that was built in the same way.
    snapshot(tmp_path / "index", tmp_path / "copy")
    path.write_text(json.dumps({"id": "new", "text": REAL[0], "language": "de"}), "utf-8")
    run("--add")
    index.refresh()
    np.testing.assert_array_equal(index.store.vectors("plain", ["new"]), stored[:1])
    (tmp_path / "link").symlink_to(tmp_path / "copy")
    (tmp_path / "link").replace(served)
    successor = index.successor()
    assert successor is not None
    assert successor.encoder is index.encoder
    assert (len(index), len(successor)) == (5, 4)
    for each in (index, successor):
        each.close()


def test_what_it_cannot_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match="not a BERT- or RoBERTa-like model with mean or first-token pooling"):
        load(make_model(tmp_path, pooling="max"), backend="openvino")
    with pytest.raises(PanglotError, match="OpenVINO does not run on meta"):
        load(tmp_path / "model", backend="openvino", device="meta")
