"""Our loop gives sentence-transformers' vectors; unsafe folders are refused."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numkong
import numpy as np
import pytest
import torch
from encoders_made import make_model
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from panglot._environment import choose_device, choose_precision, fast_bf16
from panglot._errors import PanglotError
from panglot.encoders import packed
from panglot.encoders.load import load
from panglot.encoders.model_folders import shipped_folder
from panglot.encoders.protocol import Encoder
from panglot.encoders.sentence_transformer import SentenceTransformerEncoder
from panglot.encoders.tokenizers import token_batches

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = [
    "How many bones has an adult?",
    "Ein Erwachsener hat 206 Knochen.",
    "成人有206块骨头。",
    "ผู้ใหญ่มีกระดูก 206 ชิ้น",
    "  blanks around  ",
    "",
    "word " * 700,
    "x",
]


@pytest.fixture(scope="module")
def bundled() -> SentenceTransformerEncoder:
    encoder = load("bundled", precision="fp32")
    assert isinstance(encoder, SentenceTransformerEncoder)
    return encoder


def letters(count: int) -> list[str]:
    generator = np.random.default_rng(1)
    return [" ".join(generator.choice(list("abcdefghij"), generator.integers(0, 50))) for _ in range(count)]


def test_equal_to_encode_query_and_encode_document(bundled: SentenceTransformerEncoder) -> None:
    theirs = SentenceTransformer(str(shipped_folder("bundled")), device="cpu")
    np.testing.assert_allclose(bundled.encode(TEXTS, "question"), theirs.encode_query(TEXTS), atol=2e-6)
    np.testing.assert_allclose(bundled.encode(TEXTS, "passage"), theirs.encode_document(TEXTS), atol=2e-6)


def test_bf16_costs_less_than_a_ten_thousandth(bundled: SentenceTransformerEncoder) -> None:
    if not fast_bf16(torch.device("cpu")):
        pytest.skip("no bfloat16 on this processor")
    halved = load("bundled", precision="bf16")
    a, b = halved.encode(TEXTS, "passage"), bundled.encode(TEXTS, "passage")
    assert np.sum(a * b, 1).min() > 0.9999
    assert halved.fingerprint != bundled.fingerprint


@pytest.mark.parametrize(
    ("can", "precision"),
    [
        ({"skylake": True}, "fp32"),
        ({"skylake": True, "genoa": True}, "bf16"),  # AMD, from Zen 4
        ({"skylake": True, "genoa": True, "sapphire": True}, "fp32"),  # Intel, whose AMX is hidden
        ({"skylake": True, "genoa": True, "sapphire": True, "sapphireamx": True}, "bf16"),
        ({"neon": True, "neonbfdot": True}, "fp32"),
    ],
)
def test_bf16_is_taken_where_its_products_are_faster(
    can: dict[str, bool], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numkong, "get_capabilities", lambda: can)
    assert choose_precision("auto", torch.device("cpu")) == precision


def test_unit_length_float32_and_order(bundled: SentenceTransformerEncoder) -> None:
    vectors = bundled.encode(TEXTS, "passage")
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), bundled.dimension)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(bundled.encode(TEXTS[::-1], "passage")[::-1], vectors, atol=2e-6)
    assert bundled.encode([], "question").shape == (0, bundled.dimension)
    assert isinstance(bundled, Encoder)
    assert bundled.name == "bundled"


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_a_row_is_filled_up_so_that_lengths_are_few_and_vectors_stay(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = SentenceTransformer(str(make_model(tmp_path, kind)), device="cpu")
    inner: Any = model[0].auto_model
    met: set[int] = set()
    inner.embeddings.register_forward_pre_hook(
        lambda _module, _given, named: met.add(named["input_ids"].shape[1]), with_kwargs=True
    )
    dice = np.random.default_rng(0)
    for count in range(1, 40):
        texts = [dice.integers(4, 10, length) for length in dice.integers(1, 30, count)]
        with torch.inference_mode():
            with monkeypatch.context() as patched:
                patched.setattr(packed, "STEP", 1)
                plain = packed.embed(model, texts, "mean")
            # One token more than the texts have, from which attention reads its padding.
            assert met == {sum(map(len, texts)) + 1}
            met.clear()
            torch.testing.assert_close(packed.embed(model, texts, "mean"), plain, atol=1e-5, rtol=0)
        assert met == {packed.filled(sum(map(len, texts)))}
        assert all(length % packed.STEP == 0 or length in {16, 32, 48} for length in met)
        met.clear()


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "lasttoken"])
@pytest.mark.parametrize("dense", [False, True])
def test_every_pooling_is_that_of_the_model(tmp_path: Path, kind: str, pooling: str, dense: bool) -> None:
    folder = make_model(
        tmp_path, kind, pooling, dense=dense, query="query: ", passage="passage: ", document="passage: "
    )
    ours = SentenceTransformerEncoder(folder, precision="fp32", batch_tokens=200, device="cpu")
    assert ours.pooling == (pooling if pooling in ("mean", "cls") else "")
    theirs = SentenceTransformer(str(folder), device="cpu")
    texts = letters(60)
    np.testing.assert_allclose(ours.encode(texts, "question"), theirs.encode_query(texts), atol=2e-6)
    np.testing.assert_allclose(ours.encode(texts, "passage"), theirs.encode_document(texts), atol=2e-6)


@pytest.mark.parametrize(
    "prompts",
    [{}, {"query": "query: "}, {"query": "query: ", "passage": "passage: "}, {"document": "passage: "}],
)
def test_prompts_follow_the_model(tmp_path: Path, prompts: dict[str, Any]) -> None:
    folder = make_model(tmp_path, **prompts)
    ours = SentenceTransformerEncoder(folder, device="cpu", precision="fp32")
    theirs = SentenceTransformer(str(folder), device="cpu")
    texts = letters(10)
    np.testing.assert_allclose(ours.encode(texts, "question"), theirs.encode_query(texts), atol=2e-6)
    np.testing.assert_allclose(ours.encode(texts, "passage"), theirs.encode_document(texts), atol=2e-6)


def test_a_prompt_that_is_not_pooled(tmp_path: Path) -> None:
    folder = make_model(tmp_path, query="query: ", document="passage: ")
    settings = folder / "1_Pooling" / "config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"include_prompt": False}))
    ours = SentenceTransformerEncoder(folder, precision="fp32", device="cpu")
    theirs = SentenceTransformer(str(folder), device="cpu")
    texts = [text for text in letters(20) if text]
    np.testing.assert_allclose(ours.encode(texts, "question"), theirs.encode_query(texts), atol=2e-6)


def test_max_length_cuts_and_changes_the_fingerprint(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    long, short = (SentenceTransformerEncoder(folder, precision="fp32", max_length=n, device="cpu") for n in (None, 5))
    np.testing.assert_allclose(short.encode(["a b c d e f"], "passage"), long.encode(["a b c"], "passage"), atol=2e-6)
    assert short.fingerprint != long.fingerprint
    with pytest.raises(PanglotError, match="at least 1"):
        SentenceTransformerEncoder(folder, max_length=0)


def test_the_fingerprint_follows_the_weights_not_the_place(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "one")
    shutil.copytree(folder, tmp_path / "two")
    first = load(folder).fingerprint
    (tmp_path / "two" / "README.md").write_text("a card")
    assert load(tmp_path / "two").fingerprint == first
    weights = tmp_path / "two" / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    assert load(tmp_path / "two").fingerprint != first


def test_pickles_are_refused(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    state = {"x": torch.zeros(1)}
    torch.save(state, folder / "pytorch_model.bin")
    load(folder)  # they are ignored if there are safetensors
    (folder / "model.safetensors").unlink()
    with pytest.raises(PanglotError, match=r"pickle.*safetensors"):
        load(folder)


def test_a_pickled_dense_layer_is_refused(tmp_path: Path) -> None:
    folder = make_model(tmp_path, dense=True)
    (part,) = folder.glob("2_*")
    (part / "model.safetensors").rename(part / "pytorch_model.bin")
    with pytest.raises(PanglotError, match="pickle"):
        load(folder)


def test_code_of_the_model_runs_only_when_told(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "evil.Pooling"
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(PanglotError, match=r"own code.*trust_remote_code"):
        load(folder)
    assert not (tmp_path / "ran").exists()


def test_code_behind_auto_map_runs_only_when_told(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(PanglotError, match="cannot be loaded"):
        load(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["modules.json", "config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_damaged_files_are_told(tmp_path: Path, name: str, content: bytes) -> None:
    folder = make_model(tmp_path)
    (folder / name).write_bytes(content)
    with pytest.raises(PanglotError):
        load(folder)


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match="not a model folder"):
        load(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(PanglotError, match="a file, not a model folder"):
        load(tmp_path / "file")
    with pytest.raises(PanglotError, match="there is no such folder"):
        load(str(tmp_path / "none"))
    with pytest.raises(PanglotError, match="no model was named"):
        load("")


def test_a_name_that_the_hub_does_not_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(PanglotError, match="the hub does not provide it"):
        load("nobody-owns-this/model-7f3a")
    with pytest.raises(PanglotError, match="did you mean panglot-small"):
        load("panglot-smal")


def test_unknown_options_are_told() -> None:
    with pytest.raises(PanglotError, match=r"no option `presicion`.*precision"):
        load("bundled", presicion="fp32")
    with pytest.raises(PanglotError, match=r"unknown precision 'int4'.*use one of auto, fp32, bf16, int8"):
        choose_precision("int4", torch.device("cpu"))  # type: ignore[arg-type]
    with pytest.raises(PanglotError, match=r"torch does not run models in int8.*use the backend openvino"):
        load("bundled", precision="int8")
    with pytest.raises(PanglotError, match=r"the device .* cannot be used"):
        choose_device("cuda:99")
    with pytest.raises(PanglotError, match=r"the device .* cannot be used"):
        choose_device("gpu")


@given(st.lists(st.integers(0, 600), max_size=60), st.integers(1, 4096))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = token_batches(lengths, budget)
    assert sorted(int(row) for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= budget
