"""The encoder without torch gives torch's vectors, leaves to torch what it cannot do, and hands much work over."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from encoders_made import make_e5_file, make_model
from safetensors.torch import load_file, save_file

from panglot.encoders import light
from panglot.encoders.bundled import weights_of, write_model
from panglot.encoders.light import LightEncoder
from panglot.encoders.light_transformer import NumpyTransformer, gelu
from panglot.encoders.load import load
from panglot.encoders.protocol import CutTexts, Side
from panglot.encoders.sentence_transformer import SentenceTransformerEncoder

SIDES: tuple[Side, ...] = get_args(Side)
REAL = [
    "How much protein should a female eat per day?", "Wie viel Eiweiß braucht eine Frau täglich?",
    "一名女性每天应该摄入多少？", "女性は一日にどれくらいのタンパク質を摂るべきですか。",
    "ผู้หญิงควรกินโปรตีนวันละเท่าไหร่", "كم من البروتين يجب أن تتناول المرأة؟",
    "महिला को प्रतिदिन कितना प्रोटीन खाना चाहिए?", "Πόση πρωτεΐνη πρέπει να τρώει;",
    "여성은 하루에 얼마나 먹어야 하나요?",
    "  ｆｕｌｌ  width\t①② ﷺ ½ ﬁn\u200b ", "", "x", "\ud7ff\U0001f600", "word " * 700, "単語" * 600, "a\n" * 200,
]  # fmt: skip
LETTERS = ["a b c", "", "j", "unknown", "a b c d e f g h i j " * 4, "  a   b "]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A cache of its own, so that no model is known already. The real model stays in the common one."""
    monkeypatch.setattr(light, "FEW", 0)  # Texts of the tests are short, also where torch is to take over.
    if "real" not in request.node.name:
        monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "cache"))


def known(folder: Path, precision: str = "fp32") -> LightEncoder:
    """Open a model twice: with torch, and then as what is known of it says."""
    assert isinstance(load(folder, backend="auto", precision=precision), SentenceTransformerEncoder)
    found = load(folder, backend="auto", precision=precision)
    assert isinstance(found, LightEncoder)
    return found


@pytest.mark.parametrize("name", [pytest.param("bundled", marks=pytest.mark.slow), "panglot-small"])
def test_vectors_of_the_real_models_are_those_of_torch(name: str) -> None:
    found, expected = load(name, backend="auto", precision="fp32"), load(name, precision="fp32")
    fast = load(name, backend="auto")
    assert isinstance(found, LightEncoder)
    assert isinstance(fast, LightEncoder)
    assert isinstance(expected, SentenceTransformerEncoder)
    assert found.fingerprint == expected.fingerprint
    assert fast.fingerprint == load(name).fingerprint
    # Both have the same architecture and tokenizer, so long texts of one are enough.
    texts, cut = (REAL, 2) if name == "panglot-small" else (REAL[:-3], 0)
    for side in SIDES:
        ours, theirs = (each.encode(texts, side) for each in (found, expected))
        np.testing.assert_allclose(ours, theirs, atol=2e-6)
        np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-6)
        assert (fast.encode(texts, side) * theirs).sum(axis=1).min() > 0.999
        assert found.window(texts, side) == expected.window(texts, side)
        assert found.count_cut(texts, side) == expected.count_cut(texts, side) == cut
    assert found.tokens(texts) == expected.tokens(texts)
    assert found.encode([], "question").shape == (0, 384)


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_model_is_known_from_its_first_opening_on(tmp_path: Path, kind: str, pooling: str) -> None:
    folder = make_model(tmp_path, kind, pooling, query="query : ", passage="passage : ")
    expected, found = load(folder, precision="fp32"), known(folder)
    assert isinstance(expected, SentenceTransformerEncoder)
    for side in SIDES:
        with pytest.warns(RuntimeWarning, match="1 of 6"):
            found.encode(LETTERS, side)
        np.testing.assert_allclose(found.encode(LETTERS, side), expected.encode(LETTERS, side), atol=2e-6)
    assert found.tokens(LETTERS) == expected.tokens(LETTERS)
    assert (found.name, found.max_length, found.dimension) == (folder.name, 32, 32)
    assert found.fingerprint == expected.fingerprint


def test_a_tokenizer_that_a_library_builds_anew_is_kept_as_it_was_built(tmp_path: Path) -> None:
    e5, folder = make_e5_file(), tmp_path / "model"
    folder.mkdir()
    write_model(e5, weights_of(e5), folder)
    file = folder / "tokenizer_config.json"
    about = json.loads(file.read_text("utf-8")) | {"tokenizer_class": "XLMRobertaTokenizer"}
    file.write_text(json.dumps(about), "utf-8")
    texts = ["Ａ wo ist  der bahnhof?", "中文 воздух", "", "a. b."]
    found, expected = known(folder), load(folder, precision="fp32")
    np.testing.assert_allclose(found.encode(texts, "passage"), expected.encode(texts, "passage"), atol=2e-6)
    (spec,) = (tmp_path / "cache" / "light").iterdir()
    assert json.loads(spec.read_text("utf-8"))["tokenizer"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_become_whole(tmp_path: Path, dtype: torch.dtype) -> None:
    folder = make_model(tmp_path)
    file = folder / "model.safetensors"
    save_file({name: each.to(dtype) for name, each in load_file(file).items()}, file, metadata={"format": "pt"})
    expected = load(folder, precision="fp32")
    np.testing.assert_allclose(known(folder).encode(LETTERS, "passage"), expected.encode(LETTERS, "passage"), atol=2e-6)


@pytest.mark.parametrize(("pooling", "dense"), [("max", False), ("mean", True)])
def test_other_models_stay_with_torch(tmp_path: Path, pooling: str, dense: bool) -> None:
    folder = make_model(tmp_path, pooling=pooling, dense=dense)
    for _ in range(2):
        assert isinstance(load(folder, backend="auto"), SentenceTransformerEncoder)


def test_a_model_whose_vectors_may_be_cut_stays_with_torch(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"matryoshka_dimensions": [8, 32]}), "utf-8")
    for _ in range(2):
        assert isinstance(load(folder, backend="auto"), SentenceTransformerEncoder)


def test_a_model_that_comes_out_otherwise_stays_with_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NumpyTransformer, "embed", lambda *_: np.eye(3, 32, dtype=np.float32))
    folder = make_model(tmp_path)
    for _ in range(2):
        assert isinstance(load(folder, backend="auto"), SentenceTransformerEncoder)


def test_a_note_on_a_model_is_said_every_time(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    file = folder / "sentence_bert_config.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"max_seq_length": 99}), "utf-8")
    for _ in range(2):
        with pytest.warns(RuntimeWarning, match="max_seq_length is 99"):
            load(folder, backend="auto")


def test_an_option_of_torch_means_torch(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    known(folder)
    assert isinstance(load(folder, backend="auto", max_length=8), SentenceTransformerEncoder)
    assert isinstance(load(folder, backend="auto", precision="bf16"), SentenceTransformerEncoder)
    assert load(folder, backend="auto", name="other").name == "other"


def test_fp32_stays_fp32_when_torch_takes_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_model(tmp_path)
    known(folder)
    found, expected = load(folder, backend="auto", precision="fp32"), load(folder, precision="fp32")
    assert isinstance(found, LightEncoder)
    assert found.fingerprint == expected.fingerprint
    monkeypatch.setattr(light, "LIMIT", 10)
    np.testing.assert_allclose(found.encode(LETTERS, "passage"), expected.encode(LETTERS, "passage"), atol=1e-6)
    assert found._torch is not None
    successor = found._torch.result()
    assert successor is not None
    assert successor.fingerprint == expected.fingerprint


def test_changed_weights_are_another_model(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    before = known(folder).fingerprint
    file = folder / "model.safetensors"
    save_file({name: each * 1.5 for name, each in load_file(file).items()}, file, metadata={"format": "pt"})
    assert known(folder).fingerprint != before


def test_torch_takes_over_when_there_is_much_to_encode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_model(tmp_path, query="query : ")
    expected = load(folder, precision="fp32").encode(LETTERS, "question")
    found = known(folder)
    monkeypatch.setattr(light, "LIMIT", 100)
    with ThreadPoolExecutor(4) as pool:
        rounds = list(pool.map(lambda _: found.encode(LETTERS, "question"), range(20)))
    for vectors in rounds:
        np.testing.assert_allclose(vectors, expected, atol=1e-3)  # bfloat16, where the processor has it
    assert found._torch is not None
    successor = found._torch.result()
    # A call with much to encode waits for it.
    with monkeypatch.context() as patch:
        patch.setattr(found._transformer, "embed", None)
        assert found.encode(LETTERS * 10, "question").shape == (60, 32)
    # Whoever counts the texts that are cut does so for both.
    assert successor is not None
    CutTexts(found, "passage")
    with warnings.catch_warnings(action="error"):
        successor.encode(["a " * 99], "passage")


def test_in_bfloat16_a_few_tokens_stay_with_numpy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = known(make_model(tmp_path))
    monkeypatch.setattr(light, "LIMIT", 10)
    monkeypatch.setattr(light, "FEW", 128)
    monkeypatch.setattr(found, "_bf16", True)
    for _ in range(9):
        found.encode(LETTERS[:1], "question")
    assert found._torch is None
    monkeypatch.setattr(light, "FEW", 4)
    found.encode(LETTERS * 3, "question")
    assert found._torch is not None


def test_a_service_has_a_limit_of_its_own(tmp_path: Path) -> None:
    found = known(make_model(tmp_path))
    found.encode(LETTERS * 3, "question")
    assert found._torch is None
    found.limit = 10
    found.encode(LETTERS * 40, "question")
    assert found._torch is not None


def test_products_in_bfloat16_are_those_of_torch(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    whole, found = load(folder, precision="fp32").encode(LETTERS, "question"), known(folder)
    transformer = found._transformer
    transformer._bf16 = True
    half = [transformer.embed([found._tokenizer.encode(text).ids], found.pooling)[0] for text in LETTERS]
    vectors = np.stack([each / np.linalg.norm(each) for each in half])
    assert (vectors * whole).sum(axis=1).min() > 0.999
    assert np.abs(vectors - whole).max() > 1e-5  # More than the rounding of float32.


def test_a_model_that_changed_meanwhile_does_not_take_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_model(tmp_path)
    found = known(folder)
    expected = found.encode(LETTERS, "passage")
    shutil.rmtree(folder)
    monkeypatch.setattr(light, "LIMIT", 10)
    with pytest.warns(RuntimeWarning, match="torch does not take over"):
        vectors = found.encode(LETTERS, "passage")
    np.testing.assert_array_equal(vectors, expected)


def test_a_process_that_ends_does_not_warn_of_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **_options: object) -> None:
        raise RuntimeError("can't register atexit after shutdown")

    found = known(make_model(tmp_path))
    monkeypatch.setattr(light, "LIMIT", 10)
    monkeypatch.setattr(light, "SentenceTransformerEncoder", stopped)
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")
        assert found.encode(LETTERS, "passage").shape[0] == len(LETTERS)
    assert not [each for each in noted if "torch" in str(each.message)]


def test_other_processes_open_it_with_torch(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    found = known(folder)
    copy: Any = pickle.loads(pickle.dumps(found))
    assert isinstance(copy, SentenceTransformerEncoder)
    assert copy.fingerprint == found.fingerprint


def test_gelu_is_that_of_torch() -> None:
    rows = np.concatenate([np.linspace(-12, 12, 200_001), [0, -0.0, 1e-30, 80, -80]]).astype(np.float32)
    expected = torch.nn.functional.gelu(torch.from_numpy(rows.copy()).double()).numpy()
    np.testing.assert_allclose(gelu(rows[None])[0], expected, rtol=1e-6, atol=3e-7)


def test_a_real_search_imports_no_torch(tmp_path: Path) -> None:
    texts = {"de": "Der Drucker druckt.", "en": "The sun."}
    rows = [json.dumps({"id": code, "text": text, "language": code}) for code, text in texts.items()]
    (tmp_path / "docs.jsonl").write_text("\n".join(rows), "utf-8")
    check = (
        "import sys, panglot.cli.main as main\n"
        "try: main.main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    index = str(tmp_path / "index")
    for command in (["index", str(tmp_path / "docs.jsonl"), "--output", index], ["search", index, "drucken"]):
        done = subprocess.run([sys.executable, "-c", check, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "Der Drucker druckt." in done.stdout
