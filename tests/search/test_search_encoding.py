"""Documents become vectors: each once, in order, and the same on every machine."""

from __future__ import annotations

import pickle
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from encoding_made import DIMENSION, Made, documents, pieces
from hypothesis import given, settings
from hypothesis import strategies as st

from panglot import _progress
from panglot._errors import PanglotError
from panglot.encoders.load import load
from panglot.encoders.protocol import Encoder, Side, Vectors
from panglot.search.document import Document
from panglot.search.ingest import encode
from panglot.search.ingest.encode import Shard, ShardCache, encode_documents, encode_shard, pack


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "SHARD", 4)


def vectors_of(count: int, encoder: Encoder, folder: Path, on: str = "") -> Vectors:
    done = list(encode_documents(pieces(count), encoder, folder, on=on))
    assert [document for part, _ in done for document in part] == documents(count)
    assert all(len(part) == len(vectors) for part, vectors in done)
    return np.concatenate([np.empty((0, DIMENSION), np.float32), *(vectors for _, vectors in done)])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@given(count=st.integers(0, 30), size=st.integers(1, 9), shard=st.integers(1, 9))
@settings(max_examples=25)
def test_vectors_are_those_of_the_encoder_however_documents_come(
    tmp_path_factory: pytest.TempPathFactory, count: int, size: int, shard: int
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encode, "SHARD", shard)
        done = list(encode_documents(pieces(count, size), Made(), folder))
    assert [len(part) for part, _ in done] == [shard] * (count // shard) + [count % shard] * (count % shard > 0)
    assert [document for part, _ in done for document in part] == documents(count)
    made = documents(count)
    expected = Made().encode([d.text for d in made], "passage", ids=[d.id for d in made]) if made else None
    if expected is not None:
        assert np.concatenate([vectors for _, vectors in done]).tobytes() == expected.tobytes()


def test_the_second_call_encodes_nothing(tmp_path: Path) -> None:
    encoder, told = Made(tmp_path / "log"), list[str]()
    first = vectors_of(10, encoder, tmp_path / "shards")
    assert encoder.calls() == ["d0 4", "d4 4", "d8 2"]
    list(encode_documents(pieces(10), encoder, tmp_path / "shards", progress=told.append))
    assert vectors_of(10, encoder, tmp_path / "shards").tobytes() == first.tobytes()
    assert len(encoder.calls()) == 3
    assert told == ["shards encoded: 0; found: 3"]


def test_a_changed_text_makes_its_shard_again_and_no_other(tmp_path: Path) -> None:
    encoder, made = Made(tmp_path / "log"), documents(10)
    list(encode_documents([made], encoder, tmp_path / "shards"))
    for change in ({"text": "new"}, {"title": "new"}, {"language": "de"}, {"id": "new"}):
        made[5] = replace(made[5], **change)
        known = len(encoder.calls())
        list(encode_documents([made], encoder, tmp_path / "shards"))
        assert encoder.calls()[known:] == ["d4 4"], change
    made[5] = replace(made[5], group="g", metadata={"page": 3})
    known = len(encoder.calls())
    list(encode_documents([made], encoder, tmp_path / "shards"))
    assert len(encoder.calls()) == known
    list(encode_documents([made], Made(encoder.log, fingerprint="other"), tmp_path / "shards"))
    assert len(encoder.calls()) == known + 3


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "swapped"])
def test_a_damaged_shard_is_made_again(tmp_path: Path, damage: str) -> None:
    encoder, told = Made(tmp_path / "log"), list[str]()
    first = vectors_of(10, encoder, tmp_path / "shards")
    good = contents(tmp_path / "shards")
    path, other = (tmp_path / "shards" / name for name in sorted(good)[:2])
    raw = path.read_bytes()
    bad = {"cut": raw[:-1], "bit": bytes([*raw[:-40], raw[-40] ^ 1, *raw[-39:]]), "empty": b""}
    path.write_bytes(bad.get(damage, other.read_bytes()))
    done = list(encode_documents(pieces(10), encoder, tmp_path / "shards", progress=told.append))
    assert np.concatenate([vectors for _, vectors in done]).tobytes() == first.tobytes()
    assert contents(tmp_path / "shards") == good
    assert len(encoder.calls()) == 4
    assert told == [f"{path}: damaged, and is made again", "shards encoded: 1; found: 2"]


def test_documents_are_read_as_they_are_needed(tmp_path: Path) -> None:
    taken: list[int] = []

    def endless() -> Iterator[list[Document]]:
        while True:
            taken.append(len(taken))
            yield [Document(f"d{len(taken)}", "text")]

    done = encode_documents(endless(), Made(), tmp_path)
    for _ in range(3):
        next(done)
    assert len(taken) == 12


def test_what_an_encoder_may_not_give(tmp_path: Path) -> None:
    class Bad(Made):
        def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
            found = super().encode(texts, side, ids=ids)
            if self.fingerprint == "nan":
                found[1, 0] = np.nan
                return found
            return found[1:]

    with pytest.raises(PanglotError, match=r"shape \(3, 8\) for 4 texts"):
        list(encode_documents(pieces(4), Bad(), tmp_path))
    with pytest.raises(PanglotError, match="not finite for the document 'd1'"):
        list(encode_documents(pieces(4), Bad(fingerprint="nan"), tmp_path))
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_looks_at_languages_gets_them(tmp_path: Path) -> None:
    seen: list[object] = []

    class Aware(Made):
        by_language = True
        base = Made()

        def over(self, base: Encoder) -> Encoder:
            return base

        def encode(
            self,
            texts: Sequence[str],
            side: Side,
            *,
            ids: Sequence[str] | None = None,
            languages: Sequence[str] | None = None,
        ) -> Vectors:
            seen.append(languages)
            return super().encode(texts, side, ids=ids)

    list(encode_documents([[Document("a", "b", language="de"), Document("c", "d", language="und")]], Aware(), tmp_path))
    assert seen == [["de", "und"]]


@pytest.mark.parametrize("on", ["process:2", "processes:", "processes:0", "processes:-1", "ray:", "ray://", "dask"])
def test_a_place_that_does_not_exist_is_told_at_once(tmp_path: Path, on: str) -> None:
    with pytest.raises(PanglotError, match='field "on": cannot encode on'):
        encode_documents(pieces(4), Made(), tmp_path, on=on)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(PanglotError, match="cannot write"):
        list(encode_documents(pieces(4), Made(), tmp_path / "file" / "shards"))


def test_shards_that_were_there_advance_the_bar(tmp_path: Path) -> None:
    vectors_of(8, Made(), tmp_path)
    advanced: list[int] = []
    token = _progress._active.set(advanced.append)
    try:
        vectors_of(10, Made(), tmp_path)
    finally:
        _progress._active.reset(token)
    assert advanced == [4, 4]


def test_processes_make_the_same_bytes(tmp_path: Path) -> None:
    encoder = Made(tmp_path / "log")
    first = vectors_of(30, Made(), tmp_path / "here")
    known = next(iter(sorted((tmp_path / "here").iterdir())))
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / known.name).write_bytes(known.read_bytes())
    assert vectors_of(30, encoder, tmp_path / "there", "processes:2").tobytes() == first.tobytes()
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
    assert len(encoder.calls()) == 7


def test_mistakes_and_deaths_in_processes_are_told(tmp_path: Path) -> None:
    made = [*documents(7), Document("x", "fail")]
    with pytest.raises(PanglotError, match=r"the encoder is out of order. Fix: wait"):
        list(encode_documents([made], Made(), tmp_path, on="processes:1"))
    assert ShardCache(tmp_path).get(Shard(tuple(made[:4]), "made")) is not None
    made[-1] = Document("x", "die")
    with pytest.raises(PanglotError, match="a process that encodes has died"):
        list(encode_documents([made], Made(), tmp_path, on="processes:1"))
    closed = Made()
    closed.log = lambda: None  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(PanglotError, match="the encoder made cannot go to other processes"):
        list(encode_documents([made], closed, tmp_path, on="processes:1"))


def test_ray_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PanglotError, match=r"encoding on a cluster needs ray.*pip install '.*\[ray\]'"):
        list(encode_documents(pieces(4), Made(), tmp_path, on="ray"))


def test_a_model_makes_the_same_bytes_in_a_shard_of_its_own_process(small_model: Path, tmp_path: Path) -> None:
    encoder = load(small_model)
    made = [Document(f"d{n}", "what is it? " * (n % 5 + 1), "a title" * (n % 2)) for n in range(6)]
    here, there = (list(encode_documents([made], encoder, tmp_path / on, on=on)) for on in ("", "processes:1"))
    for (_, ours), (_, theirs) in zip(here, there, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    texts = [document.full_text for document in made[:4]]
    assert np.array_equal(here[0][1], encoder.encode(texts, "passage"))
    assert encode_shard(encoder, "k", ["i"] * 4, texts, ["en"] * 4) == encode_shard(
        encoder, "k", ["j"] * 4, texts, ["de"] * 4
    )


def test_a_model_travels_as_the_way_to_open_it(small_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(small_model, folder)
    encoder = load(folder, max_length=16, name="mine")
    sent = pack(encoder)
    assert len(sent) < 2000
    there = pickle.loads(sent)
    assert (there.name, there.fingerprint, there.max_length) == ("mine", encoder.fingerprint, 16)
    assert np.array_equal(there.encode(["a text"], "passage"), encoder.encode(["a text"], "passage"))
    with (folder / "modules.json").open("a") as file:
        file.write("\n")
    with pytest.raises(PanglotError, match="is another model in this process"):
        pickle.loads(sent)
