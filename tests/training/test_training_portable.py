"""Run folders in other software: older sentence-transformers, ONNX, OpenVINO, text-embeddings-inference and the hub.

``make test-compat`` makes an environment with sentence-transformers 5 and names its Python in ``PANGLOT_COMPAT``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import panglot
from panglot._errors import PanglotError
from panglot.debiasing.correction import Method
from panglot.debiasing.debias import debias
from panglot.encoders.model_folders import make_portable
from panglot.training.loop import fit
from panglot.training.settings import Settings

TEXTS = ["where is lake?", "lake lies in the north.", "mountain " * 40 + "end", "x"]
OTHERS = """
import json, sys
import numpy as np
from sentence_transformers import SentenceTransformer
folder, texts, out, backend = sys.argv[1:]
model = SentenceTransformer(folder, device="cpu", backend=backend)
texts = json.loads(texts)
np.save(out, np.stack([model.encode_query(texts), model.encode_document(texts)]))
"""


@pytest.fixture
def finished(recipe: Settings) -> Path:
    """A finished run, trained with a shorter maximum length than the model's."""
    return fit(replace(recipe, steps=2, max_length=24, average=0.5), progress=False)


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _vectors(folder: Path) -> np.ndarray:
    encoder = panglot.load(folder, precision="fp32")
    return np.stack([encoder.encode(TEXTS, "question"), encoder.encode(TEXTS, "passage")])


def test_a_run_folder_has_the_names_that_all_versions_read(finished: Path) -> None:
    kinds = [module["type"] for module in _json(finished / "modules.json")]
    assert kinds == [f"sentence_transformers.models.{kind}" for kind in ("Transformer", "Pooling", "Normalize")]
    pooling = _json(finished / "1_Pooling" / "config.json")
    modes = {name for name, value in pooling.items() if name.startswith("pooling_mode") and value}
    # text-embeddings-inference does without no name, and sentence-transformers 5.0 takes no other one.
    assert modes == {"pooling_mode_mean_tokens"}
    assert pooling["pooling_mode_cls_token"] is False
    assert pooling["word_embedding_dimension"] == 32
    assert "embedding_dimension" not in pooling
    assert _json(finished / "sentence_bert_config.json") == {"max_seq_length": 128}
    assert _json(finished / "config_sentence_transformers.json")["prompts"]["query"] == "query: "
    assert _json(finished / "tokenizer_config.json")["tokenizer_class"] == "PreTrainedTokenizerFast"
    # The training's own limit is no property of the model.
    tokenizer = _json(finished / "tokenizer.json")
    assert (tokenizer["truncation"], tokenizer["padding"]) == (None, None)


def test_older_names_are_chosen_module_by_module(tmp_path: Path) -> None:
    kinds = ("base.modules.transformer.Transformer", "sentence_transformer.modules.pooling.Pooling",
             "base.modules.dense.Dense")  # fmt: skip
    modules = [
        {"idx": row, "name": str(row), "path": path, "type": f"sentence_transformers.{kind}"}
        for row, (path, kind) in enumerate(zip(("", "1_Pooling", "2_Dense"), kinds, strict=True))
    ]
    modules.append({"idx": 3, "name": "3", "path": "3_Own", "type": "mine.Module"})
    files = {
        "modules.json": modules,
        "config.json": {"model_type": "xlm-roberta", "pad_token_id": 1, "max_position_embeddings": 514},
        "tokenizer_config.json": {"model_max_length": 1e30, "extra_special_tokens": ["<a>"], "is_local": True},
        "sentence_bert_config.json": {"transformer_task": "feature-extraction", "unpad_inputs": True},
        "1_Pooling/config.json": {"embedding_dimension": 8, "pooling_mode": ["cls", "mean"], "include_prompt": False},
        "2_Dense/config.json": {"in_features": 16, "module_input_name": "sentence_embedding",
                                "module_output_name": "token_embeddings"},
    }  # fmt: skip
    for name, value in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(value))
    linked = tmp_path / "linked.json"
    os.link(tmp_path / "1_Pooling" / "config.json", linked)
    make_portable(tmp_path)
    assert [each["type"].rpartition(".")[2] for each in _json(tmp_path / "modules.json")] == [
        "Transformer", "Pooling", "Dense", "Module",
    ]  # fmt: skip
    assert _json(tmp_path / "modules.json")[3]["type"] == "mine.Module"
    # RoBERTa's first two positions are not for tokens. What has no older name stays.
    assert _json(tmp_path / "sentence_bert_config.json") == {"max_seq_length": 512, "unpad_inputs": True}
    assert _json(tmp_path / "tokenizer_config.json") == {
        "model_max_length": 1e30, "additional_special_tokens": ["<a>"],
    }  # fmt: skip
    pooling = _json(tmp_path / "1_Pooling" / "config.json")
    chosen = [name for name, value in pooling.items() if value is True]
    assert chosen == ["pooling_mode_cls_token", "pooling_mode_mean_tokens"]
    assert pooling["include_prompt"] is False
    assert _json(tmp_path / "2_Dense" / "config.json") == {"in_features": 16, "module_output_name": "token_embeddings"}
    # The file of the model that it was linked to is as it was.
    assert _json(linked) == files["1_Pooling/config.json"]


def _rename(small_model: Path, folder: Path) -> Path:
    shutil.copytree(small_model, folder / "a-model-of-mine")
    return folder / "a-model-of-mine"


def test_no_file_of_a_run_names_a_folder_of_this_machine(
    recipe: Settings, small_model: Path, facts_folder: Path, dev_folder: Path, tmp_path: Path
) -> None:
    dev = tmp_path / "dev-of-mine"
    shutil.copytree(dev_folder, dev)
    test = tmp_path / "test-of-mine.jsonl"
    test.write_text('{"group": "1", "language": "en", "question": "who?", "passage": "nobody at all"}\n')
    rows = tmp_path / "rows-of-mine.jsonl"
    whole = '{{"group": "{0}", "language": "en", "question": "where is {0}?", "passage": "{0} lies there"}}\n'
    rows.write_text("".join(whole.format(f"place {row}") for row in range(20)) + "not JSON\n")
    model = _rename(small_model, tmp_path)
    settings = replace(
        recipe, model=str(model), on=(*recipe.on, str(rows)), dev=str(dev), exclude=(str(test),), steps=2,
        batches="mono", on_error="skip", data_dir=tmp_path, checkpoint_every=1,
    )  # fmt: skip
    run = fit(settings, progress=False)
    both = [run, debias(str(run), str(facts_folder), "center", tmp_path / "debiased", texts=6)]
    for folder in both:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            content = path.read_bytes()
            for place in (tmp_path, Path.home(), Path.cwd(), facts_folder.parent):
                assert str(place).encode() not in content, path.relative_to(folder)
    assert tomllib.loads((run / "recipe.toml").read_text("utf-8"))["model"] == "a-model-of-mine"
    # The finished run is still known by its settings, and another recipe is refused.
    assert fit(settings, progress=False) == run
    with pytest.raises(PanglotError, match="a run of another recipe"):
        fit(replace(settings, model=str(small_model)), progress=False)


def test_the_hub_reads_the_model_card(recipe: Settings, dev_folder: Path, small_model: Path, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    model = _rename(small_model, tmp_path)
    (model / "README.md").write_text("---\nlicense: mit\nbase_model: owner/first\n---\n# A model\n")
    settings = replace(recipe, model=str(model), dev=str(dev_folder), steps=2, eval_every=1)
    run = fit(settings, progress=False)
    card: Any = ModelCard.load(run / "README.md").data
    assert (card.base_model, card.license, card.library_name) == ("owner/first", "mit", "sentence-transformers")
    assert card.language == ["de", "en", "fi"]
    assert card.datasets == ["facts"]
    assert card.model_name == "run"
    assert card.eval_results
    values = {result.metric_name: result.metric_value for result in card.eval_results}
    assert values.keys() == {"monolingual mAP", "crosslingual mAP", "multilingual mAP"}
    shown = panglot.evaluate(run, str(dev_folder), draws=0).figures["datasets"]["dev-facts"]
    for name, value in values.items():
        assert value == pytest.approx(shown[name.removesuffix(" mAP")]["mAP"], abs=2e-3)
    assert {result.dataset_name for result in card.eval_results} == {"dev-facts"}
    # Averaged weights were not measured.
    averaged = fit(replace(settings, output=tmp_path / "averaged", average=0.5), progress=False)
    assert "model-index" not in (averaged / "README.md").read_text("utf-8")


def test_the_card_of_the_bundled_model_and_of_data_sets_of_the_hub() -> None:
    from panglot.encoders.model_folders import Origin, metadata, origin_of

    assert origin_of("bundled", Path("anywhere")) == Origin("intfloat/multilingual-e5-small", "mit")
    assert origin_of("owner/model", Path("no such folder")) == Origin("owner/model", None)
    about = {"source": "https://huggingface.co/datasets/facebook/belebele (folder data)"}
    found = metadata("x", Origin(None, None), ["de"], [("belebele:dev", about), ("/home/me/own.jsonl", {})])
    assert "- facebook/belebele\n- own.jsonl\n" in found


# One of the texts is long, so that all versions must cut it at the same place.
@pytest.mark.filterwarnings("ignore:(lsar|leace). 1 of 4 (questions|passages) cut at 128 tokens")
@pytest.mark.skipif("PANGLOT_COMPAT" not in os.environ, reason="`make test-compat` runs it")
@pytest.mark.parametrize("backend", ["torch", "onnx", "openvino"])
@pytest.mark.parametrize("kind", ["run", "lsar", "leace"])
def test_other_versions_and_backends_give_the_same_vectors(
    finished: Path, facts_folder: Path, tmp_path: Path, kind: str, backend: str
) -> None:
    others = os.environ["PANGLOT_COMPAT"]
    library = {"onnx": "onnxruntime", "openvino": "optimum.intel"}.get(backend, "sentence_transformers")
    if subprocess.run([others, "-c", f"import {library}"], check=False, capture_output=True).returncode:
        pytest.skip(f"no {library} there")
    methods: dict[str, Method] = {"lsar": "lsar", "leace": "leace"}
    folder = finished
    if kind != "run":
        # LEACE's linear layer has a bias, and whitening is part of it.
        whiten = 0.8 if kind == "leace" else None
        folder = debias(
            str(finished), str(facts_folder), methods[kind], tmp_path / kind, texts=6, strength=0.9, whiten=whiten
        )
    out = tmp_path / "vectors.npy"
    script = [others, "-c", OTHERS, str(folder), json.dumps(TEXTS), str(out), backend]
    done = subprocess.run(script, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    # Whitening enlarges small differences of vectors, and so those of rounding.
    assert np.abs(np.load(out) - _vectors(folder)).max() < (1e-4 if kind == "leace" else 1e-5)
