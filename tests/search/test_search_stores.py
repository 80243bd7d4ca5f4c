"""Every store beside the same model, through the same random operations."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import search_made
from click.testing import CliRunner
from search_store_model import DIMENSION, VECTOR_FIELDS, Dice, Model, agree, play, unit

from _servers import milvus_server
from panglot import PanglotError
from panglot.cli.index import index_command
from panglot.encoders.protocol import Vectors
from panglot.search.document import Condition, Document
from panglot.search.index import Index
from panglot.search.metadata import open_store
from panglot.search.storage import segment_writer
from panglot.search.storage.store import Store

Opened = Callable[..., Store]
opened = partial(open_store, vector_fields=VECTOR_FIELDS, dimension=DIMENSION, create=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Milvus server started for the tests."""
    pytest.importorskip("milvus", reason="the server of Milvus is in the package milvus")
    pytest.importorskip("pymilvus")
    folder = tmp_path_factory.mktemp("milvus")
    with milvus_server(folder) as (address, _):
        yield address
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["embedded", "lite", pytest.param("server", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """A function that opens each kind of store."""
    if request.param == "embedded":
        return partial(opened, "", tmp_path / "store")
    if request.param == "lite":
        pytest.importorskip("pymilvus")
        pytest.importorskip("milvus_lite")
        return partial(opened, f"milvus:{tmp_path}/lite.db/help", tmp_path)
    name = "".join(letter if letter.isalnum() else "_" for letter in request.node.name)
    return partial(opened, f"{request.getfixturevalue('server')}/{name}", tmp_path)


@pytest.mark.parametrize("seed", range(8))
def test_the_embedded_store_does_what_the_model_does(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_writer, "MERGED", 3)
    play(partial(opened, "", tmp_path), seed, steps=40)


def test_every_store_does_what_the_model_does(store: Opened) -> None:
    play(store, seed=11, steps=12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12, 16))
def test_every_store_does_what_the_model_does_for_long(store: Opened, seed: int) -> None:
    play(store, seed, steps=60)


def test_a_refused_call_writes_nothing(store: Opened) -> None:
    one = unit(np.ones((1, DIMENSION)))
    good: dict[str, Vectors] = dict.fromkeys(VECTOR_FIELDS, one)
    unfit: Any = {1, 2}
    opened_store = store()
    model = Model()
    for documents, vectors in (
        (
            [Document("a", "x"), Document("a", "y")],
            {vector_field: np.repeat(one, 2, 0) for vector_field in VECTOR_FIELDS},
        ),
        ([Document("", "x")], good),
        ([Document("a", "x")], {**good, "plain": one[:, 1:]}),
        ([Document("a", "x")], {**good, "plain": one * np.nan}),
        ([Document("a", "x")], {**good, "centered": np.full_like(one, 1e9)}),
        ([Document("a", "x")], {"plain": one}),
        ([Document("a", "x")], {**good, "other": one}),
        ([Document("a", "\ud800")], good),
        ([Document("a", "x", metadata={"bad": unfit})], good),
    ):
        with pytest.raises(PanglotError):
            opened_store.upsert(documents, vectors)
        agree(opened_store, model, Dice(0))
    opened_store.close()


def test_a_field_has_the_kinds_of_the_documents_that_are_there(store: Opened) -> None:
    opened_store = store()
    one = unit(np.ones((1, DIMENSION)))

    def put(name: str, *, same_kinds: bool = True, **metadata: Any) -> None:
        documents = [Document(name, "x", metadata=metadata)]
        opened_store.upsert(documents, dict.fromkeys(VECTOR_FIELDS, one), same_kinds=same_kinds)

    put("a", year=2024, pages=3)
    put("b", pages=5)
    with pytest.raises(PanglotError, match="`year` of 'c' must be int as in the index, got text"):
        put("c", year="soon")
    assert opened_store.get(["c"]) == [None]
    # The only document with a year is replaced, then deleted.
    put("a", year="soon", pages=3)
    assert opened_store.kinds()["year"] == "text"
    opened_store.delete(["a"])
    put("c", year=2024, pages=4)
    assert opened_store.kinds() == {"year": "int", "pages": "int"}
    # The only odd value is deleted, or replaced.
    more = Condition("pages", ">=", 4)
    for mend in (lambda: opened_store.delete(["d"]), lambda: put("d", pages=4)):
        put("d", same_kinds=False, pages="x")
        with pytest.raises(PanglotError, match="values of several kinds"):
            opened_store.matching(["a", "b", "c"], more)
        mend()
        assert opened_store.kinds()["pages"] == "int"
        assert opened_store.matching(["a", "b", "c"], more) == {"b", "c"}
    opened_store.close()


def test_a_search_that_cannot_be_is_refused(store: Opened) -> None:
    one = unit(np.ones((1, DIMENSION)))
    opened_store = store()
    for vector_field, questions, k in (
        ("other", one, 1),
        ("plain", one[:, 1:], 1),
        ("plain", one * np.inf, 1),
        ("plain", one, 0),
    ):
        with pytest.raises(PanglotError):
            opened_store.search(vector_field, questions, k)
    with pytest.raises(PanglotError):
        opened_store.vectors("other", ["a"])
    opened_store.close()


def test_many_equal_scores_come_by_rising_id(store: Opened) -> None:
    """More documents share the best score than the first pass returns."""
    one = unit(np.ones((400, DIMENSION)))
    names = [f"{number:03}" for number in np.random.default_rng(0).permutation(400)]
    documents = [Document(name, "x", language=("de", "en")[int(name) % 2]) for name in names]
    opened_store = store()
    opened_store.upsert(documents, dict.fromkeys(VECTOR_FIELDS, one))
    for vector_field in VECTOR_FIELDS:
        (found,) = opened_store.search(vector_field, one[:1], 3)
        assert [hit.id for hit in found] == ["000", "001", "002"]
        (found,) = opened_store.search(vector_field, one[:1], 3, languages={"en"})
        assert [hit.id for hit in found] == ["001", "003", "005"]
    opened_store.close()


@pytest.mark.parametrize("graph", [False, True])
def test_a_rare_language_is_found_after_a_bulk_load_and_a_deletion(store: Opened, graph: bool) -> None:
    """The graph of milvus-lite finds few of the documents that a filter leaves."""
    address = store.args[0]  # type: ignore[attr-defined]
    if graph and not address:
        pytest.skip("the embedded store has no such choice")
    rows, wide, dice = 3000, 32, np.random.default_rng(0)
    codes = np.array(["de", "en"], object)[np.arange(rows) % 2]
    codes[dice.choice(rows, 21, replace=False)] = "sw"
    # Each language is a region of its own, as in an encoder's vectors.
    places = {code: 1.5 * dice.normal(size=wide) for code in ("de", "en", "sw")}
    vectors = unit(dice.normal(size=(rows, wide)) + np.stack([places[code] for code in codes]))
    documents = [Document(f"{row:04}", "x", language=code) for row, code in enumerate(codes)]
    opened_store = partial(opened, f"{address}?index=hnsw" if graph else address, *store.args[1:])(dimension=wide)  # type: ignore[attr-defined]
    with opened_store.bulk():
        opened_store.upsert(documents, dict.fromkeys(VECTOR_FIELDS, vectors))
    queries = unit(dice.normal(size=(5, wide)) + places["de"])
    gone = [f"{row:04}" for row in range(0, rows, 3)]
    assert opened_store.delete(gone) == rows // 3
    kept = [row for row, code in enumerate(codes) if code == "sw" and row % 3]
    for vector_field in VECTOR_FIELDS:
        for query, hits in zip(queries, opened_store.search(vector_field, queries, 8, languages={"sw"}), strict=True):
            cosines = vectors[kept].astype(np.float16).astype(np.float64) @ query
            assert [hit.id for hit in hits] == [f"{kept[at]:04}" for at in np.argsort(-cosines)[:8]]
        # Deleted documents take no place of the k.
        assert all(len(hits) == 50 for hits in opened_store.search(vector_field, queries, 50))
    opened_store.close()


def test_the_store_of_another_index_is_noticed(store: Opened) -> None:
    one = unit(np.ones((1, DIMENSION)))
    first = store(build="first")
    first.upsert([Document("a", "x")], dict.fromkeys(VECTOR_FIELDS, one))
    for build in ("", "second"):
        with pytest.raises(PanglotError, match="another index"):
            store(build=build, create=False)
    assert store(build="first").counts() == {"": 1}
    first.close()


def test_milvus_refuses_to_mix_two_indexes_and_notices_a_replaced_one(tmp_path: Path) -> None:
    pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")
    one: dict[str, Vectors] = dict.fromkeys(VECTOR_FIELDS, unit(np.ones((1, DIMENSION))))
    make = partial(opened, f"milvus:{tmp_path}/lite.db/help", tmp_path)
    make(build="nobody wrote into this").close()
    reader: Any = make(build="first")
    reader.upsert([Document("a", "x")], one)
    with pytest.raises(PanglotError, match=r"has 1 documents of another index.*drop the collections help_about"):
        make(build="second")
    assert not reader.refresh()
    for collection in reader._client.list_collections():
        reader._client.drop_collection(collection)
    make(build="second").upsert([Document("b", "x")], one)
    with pytest.raises(PanglotError, match="another index was put in the place"):
        reader.refresh()


def test_a_graph_of_milvus_lite_becomes_an_exact_search(tmp_path: Path) -> None:
    pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")
    where = f"milvus:{tmp_path}/lite.db/help"
    old: Any = opened(f"{where}?index=hnsw", tmp_path)
    documents, vectors = Dice(3).documents(9)
    old.upsert(documents, vectors)
    assert old._client.describe_index("help_centered", "vector")["index_type"] == "HNSW"
    old.close()
    again: Any = opened(where, tmp_path)
    assert again._client.describe_index("help_centered", "vector")["index_type"] == "FLAT"
    model = Model()
    model.upsert(documents, vectors)
    agree(again, model, Dice(3))
    again.close()


def test_a_store_is_opened_as_it_was_made(store: Opened) -> None:
    store().close()
    for changed in (
        {"vector_fields": ("plain",)},
        {"vector_fields": VECTOR_FIELDS[::-1]},
        {"dimension": DIMENSION + 1},
    ):
        with pytest.raises(PanglotError):
            store(**changed)


@pytest.mark.parametrize("where", ["", "milvus:{}/lite.db/help", "milvus://127.0.0.1:1/help"])
def test_a_store_that_is_not_there_is_an_error_with_a_cure(where: str, tmp_path: Path) -> None:
    if where:
        pytest.importorskip("pymilvus")
        pytest.importorskip("milvus_lite")
    with pytest.raises(PanglotError) as caught:
        opened(where.format(tmp_path), tmp_path, create=False)
    assert caught.value.hint


@pytest.mark.parametrize(
    "where",
    ["qdrant://host/name", "milvus:", "milvus://host:1", "milvus://host/bad-name", "milvus:file/name", "milvus:///name",
     "milvus:a.db/x?index=ivf", "milvus+https:a.db/x"],
)  # fmt: skip
def test_an_address_that_names_no_store_is_refused(where: str, tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match="store"):
        opened(where, tmp_path)


def test_a_write_that_breaks_off_between_the_collections_of_milvus_shows_nothing(tmp_path: Path) -> None:
    pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")
    dice, model = Dice(3), Model()
    store: Any = opened(f"milvus:{tmp_path}/lite.db/help", tmp_path)
    documents, vectors = dice.documents(9)
    store.upsert(documents, vectors)
    model.upsert(documents, vectors)
    put = store._put

    def break_off(collection: str, rows: object) -> None:
        if collection.endswith(VECTOR_FIELDS[0]):
            raise KeyboardInterrupt
        put(collection, rows)

    store._put = break_off
    with pytest.raises(KeyboardInterrupt):
        store.upsert(*dice.documents(9))
    agree(store, model, dice, searches=12)
    store._put = put
    documents, vectors = dice.documents(9)
    store.upsert(documents, vectors)
    model.upsert(documents, vectors)
    agree(store, model, dice, searches=12)
    store.close()


def test_a_store_that_an_index_has_already_may_be_named_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")
    encoder = search_made.Biased()
    for name in ("panglot.search.index", "panglot.search.ingest.build"):
        monkeypatch.setattr(f"{name}.open_encoder", lambda *_, **_options: (encoder, encoder, "bundled"))
    where = f"milvus:{tmp_path}/lite.db/help"
    Index.build(search_made.documents()[:8], tmp_path / "lite", store=where).close()
    Index.build(search_made.documents()[:8], tmp_path / "folder").close()
    path = tmp_path / "more.jsonl"
    path.write_text('{"id": "new", "text": "<de> topic3 neu", "language": "de"}\n', "utf-8")

    def add(folder: str, store: str) -> str:
        command = ["--store", store, "--output", str(tmp_path / folder), str(path), "--add"]
        return CliRunner().invoke(index_command, command, catch_exceptions=False).stdout

    # As the container of deploy/compose.yaml does.
    assert "9 documents" in add("lite", where)
    for folder, store in (("lite", f"{where}2"), ("folder", where)):
        with pytest.raises(PanglotError, match="an existing index keeps its store"):
            add(folder, store)
