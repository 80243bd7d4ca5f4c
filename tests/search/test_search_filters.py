"""Filters on metadata: which documents pass them, and that every search keeps to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_made import Biased, documents
from search_store_model import grouped, holds, unit

from panglot._errors import PanglotError
from panglot.search.document import LIST, MIXED, OWN_FIELDS, Condition, Document, Filter, kinds_of
from panglot.search.filter_syntax import parse_filter
from panglot.search.index import Index
from panglot.search.ranking.modes import MODES
from panglot.search.storage import columns, embedded, graph, milvus, segment_writer
from panglot.search.storage import milvus_client as client
from panglot.search.storage.embedded import EmbeddedStore

VALUES = st.one_of(
    st.none(),
    st.sampled_from(["", "a", "b", "é"]),
    st.sampled_from([0, 1, -3, 2**62, 2**62 + 1]),
    st.sampled_from([0.5, 1.0, -3.0]),
    st.booleans(),
    st.sampled_from([[], ["a"], ["a", "b"], [1], [1, -3], [0.5, 1], [True]]),
)


def as_floats(metadata: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    found = {name: value for name, value in metadata.items() if name in names and value is not None}
    return {name: [*map(float, value)] if isinstance(value, list) else float(value) for name, value in found.items()}


@given(st.data())
@settings(max_examples=60)
def test_rows_pass_filters_as_one_by_one(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Fields of all kinds, missing, widened within a segment and between segments, or of kinds that do not mix.

    Some documents are deleted, and fields then have the kinds of those that are left.
    """
    fields = data.draw(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys("abc", VALUES)), min_size=1))
    made = [Document(f"{row}", "x", group="g" * (row % 2), metadata=each) for row, each in enumerate(fields)]
    store = EmbeddedStore.create(tmp_path_factory.mktemp("rows"), vector_fields=("plain",), dimension=2)
    size = data.draw(st.integers(1, len(made)))
    for begin in range(0, len(made), size):
        part = made[begin : begin + size]
        store.upsert(part, {"plain": np.tile(np.array([1, 0], np.float32), (len(part), 1))})
    assert store.kinds() == kinds_of(made, {})
    for gone in data.draw(st.lists(st.sets(st.sampled_from([each.id for each in made])), max_size=2)):
        store.delete(gone)
        made = [each for each in made if each.id not in gone]
        assert store.kinds() == kinds_of(made, {})
        if not made:
            break
    kinds = store.kinds()
    names = [name for name, kind in kinds.items() if kind != MIXED] + ["group"]
    values: dict[str, Any] = {"text": st.sampled_from(["", "a", "b", "é"]), "bool": st.booleans()}
    numbers: Any = st.sampled_from([0, 1, -3, 2**62, 2**62 + 1, 0.5, 1.0, -2.5])

    def condition(name: str) -> Any:
        single = {**kinds, **OWN_FIELDS}[name].removeprefix("list of ")
        value = values.get(single, numbers.map(float) if single == "float" else numbers)
        operators = (
            ["="] if single in ("bool", "") or single != {**kinds, **OWN_FIELDS}[name] else ["=", "<", "<=", ">", ">="]
        )
        return st.one_of(
            st.builds(Condition, st.just(name), st.sampled_from(operators), value),
            st.builds(Condition, st.just(name), st.just("in"), st.lists(value, max_size=3).map(tuple)),
            st.builds(Condition, st.just(name), st.just("exists")),
        )  # fmt: skip

    where: Filter = data.draw(st.recursive(st.sampled_from(names).flatmap(condition), grouped, max_leaves=5))
    # Where some documents have fractions, all numbers of the field are compared as floats.
    floats = [name for name, kind in kinds.items() if kind.removeprefix(LIST) == "float"]
    compared = [replace(each, metadata={**each.metadata, **as_floats(each.metadata, floats)}) for each in made]
    assert store.matching([each.id for each in made], where) == {each.id for each in compared if holds(where, each)}
    for name, kind in kinds.items():
        if kind == MIXED:
            with pytest.raises(PanglotError, match="values of several kinds"):
                store.matching(["0"], Condition(name, "=", 1))
    store.close()


def test_where_some_documents_have_fractions_all_numbers_are_compared_as_floats(tmp_path: Path) -> None:
    store = EmbeddedStore.create(tmp_path, vector_fields=("plain",), dimension=2)
    for number, value in enumerate([2**62 + 1, 0.5]):
        store.upsert([Document(f"{number}", "x", metadata={"c": value})], {"plain": np.array([[1, 0]], np.float32)})
    assert len(store._current().segments) == 2
    assert store.matching(["0", "1"], Condition("c", "=", 2**62)) == {"0"}
    assert store.matching(["0", "1"], Condition("c", ">", 2**62)) == set()
    store.close()


def test_a_field_is_compared_where_all_its_documents_of_another_kind_are_deleted(tmp_path: Path) -> None:
    store = EmbeddedStore.create(tmp_path, vector_fields=("plain",), dimension=2)
    vectors = {"plain": np.tile(np.array([1, 0], np.float32), (2, 1))}
    store.upsert([Document("0", "x", metadata={"c": ""}), Document("1", "x")], vectors)
    store.upsert([Document("2", "x", metadata={"c": 1}), Document("3", "x")], vectors)
    store.delete(["0"])
    assert store.matching(["1", "2", "3"], Condition("c", "=", 1)) == {"2"}
    store.close()


KINDS = {
    "product": "text",
    "year": "int",
    "price": "float",
    "draft": "bool",
    "tags": "list of text",
    "none": "list of ",
}


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("yaer > 1", "no field `yaer`. Fix: write `year`, or another of `draft` \\(bool\\).*`year` \\(int\\).*`group`"),
        ("yaer is null", "no field `yaer`"),
        (
            'year >= "2024"',
            "`year` is an int, expected an int after `>=`, got text. Fix: write a number without quotes",
        ),
        ("product = 7", '`product` is text, expected text after `=`, got an int. Fix: write it in quotes: "7"'),
        (
            "product >= 7",
            "`product` is text, and texts do not compare as numbers: .* Fix: index numbers, from JSON or Parquet",
        ),
        ("product < 7.5", "texts do not compare as numbers"),
        ("product in ['a', true]", "expected text after `in`, got a bool"),
        ("draft = 1", "`draft` is a bool, expected a bool after `=`, got an int. Fix: write true or false"),
        ("draft > true", "`draft` is a bool, which `>` cannot compare"),
        ("tags > 'a'", "`tags` is a list of text, which `>` cannot compare. Fix: use `contains`"),
        ("tags contains 1", "`tags` is a list of text, expected text after `contains`, got an int"),
        ("product contains 'c'", "`contains` needs a list, but `product` is text"),
        ("year > 1e30", "has more than 64 bits"),
        ({"year": 2**70}, "has more than 64 bits"),
    ],
)
def test_a_filter_that_does_not_fit_the_documents_is_refused(where: Any, message: str) -> None:
    read = parse_filter(where)
    assert read
    with pytest.raises(PanglotError, match=message) as caught:
        read.bound(KINDS)
    assert caught.value.field == "where"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("where", "bound"),
    [
        ("year >= 2023.5", "year >= 2024"),
        ("year > 2023.5", "year > 2023"),
        ("year <= 2023.5", "year <= 2023"),
        ("year < 2023.5", "year < 2024"),
        ("year = 2023.5", "year in []"),
        ("year = 2023.0", "year = 2023"),
        ("year in [1.5, 2.0]", "year in [2]"),
        ("price = 2", "price = 2.0"),
        ("none = 'x'", "none in []"),
        # Documents have canonical codes.
        ("language = 'zh-TW'", 'language = "zh-Hant"'),
        ({"language": {"$in": ["eng", "pt_BR"]}}, 'language in ["en", "pt-BR"]'),
        ("language != 'iw'", 'not language = "he"'),
        ("language = 'klingon'", 'language = "klingon"'),
    ],
)
def test_values_are_compared_as_the_field_has_them(where: Any, bound: str) -> None:
    read = parse_filter(where)
    assert read
    assert str(read.bound(KINDS)) == bound
    assert read.bound(KINDS).bound(KINDS) == read.bound(KINDS)


def with_fields(number: int, each: Document) -> Document:
    tags = ["even"] if number // 4 % 2 == 0 else ["odd", "third"][: 1 + (number % 3 == 0)]
    fields = {"number": number, "tags": tags, **({"product": "calc"} if number % 5 == 0 else {})}
    return Document(each.id, each.text, each.title, each.language, each.group, fields)


@pytest.fixture(scope="module", params=["folder", "lite"])
def indexes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Index]]:
    """A function that opens an index of documents with metadata."""
    home = tmp_path_factory.mktemp(request.param)
    if request.param == "lite":
        pytest.importorskip("pymilvus")
        pytest.importorskip("milvus_lite")
    opened: list[Index] = []

    def make(name: str) -> Index:
        store = f"milvus:{home}/lite.db/{name}" if request.param == "lite" else ""
        made = [with_fields(number, each) for number, each in enumerate(documents())]
        opened.append(Index.build(made, home / name, model=Biased(), store=store))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def test_an_empty_field_is_missing(indexes: Callable[[str], Index]) -> None:
    index = indexes("empty")
    index.add([
        {"id": "empty", "text": "x", "language": "en", "product": "", "tags": []},
        {"id": "null", "text": "x", "language": "en", "product": None, "tags": None},
        {"id": "full", "text": "x", "language": "en", "product": "calc", "tags": ["", "odd"], "number": 0},
    ])  # fmt: skip
    names = ["empty", "full", "null"]
    for where in ("product is null", "tags is null", 'product is null and not tags contains "odd"'):
        assert index.store.matching(names, parse_filter(where)) == {"empty", "null"}, where  # type: ignore[arg-type]
    assert index.store.matching(names, parse_filter("tags is not null and number = 0")) == {"full"}  # type: ignore[arg-type]


def test_a_filtered_search_is_a_search_without_the_others(indexes: Callable[[str], Index]) -> None:
    """In all modes, and with all options, hits are those of an index from which the other documents were deleted."""
    full = indexes("full")
    where = 'tags contains "odd" and (number >= 30.5 or product = "calc") and not language = "sw"'
    allowed = full.store.matching([each.id for piece in full.documents() for each in piece], parse_filter(where))  # type: ignore[arg-type]
    assert 20 < len(allowed) < 60
    rest = indexes("rest")
    rest.delete([each.id for piece in rest.documents() for each in piece if each.id not in allowed])
    for mode in MODES:
        for options in (
            {}, {"k": 100}, {"languages": "de,ja"}, {"collapse": True, "k": 7}, {"offset": 5},
            {"preferred_languages": "ja", "boost": 0.3}, {"score_threshold": 0.1}, {"languages": "sw"},
        ):  # fmt: skip
            asked: dict[str, Any] = {"language": "de", "mode": mode, "preferred_languages": "ja", **options}
            found = full.search("<de> topic7", where=where, **asked).hits
            assert found == rest.search("<de> topic7", **asked).hits
            assert {version for hit in found for version in hit.languages.values()} <= allowed
            assert found or options.get("languages") == "sw" or "score_threshold" in options
    form = {"$and": [{"tags": {"$contains": "odd"}}, {"$or": [{"number": {"$gte": 30.5}}, {"product": "calc"}]}],
            "language": {"$ne": "sw"}}  # fmt: skip
    assert full.search("<de> topic7", where=form).hits == full.search("<de> topic7", where=where).hits


def test_filtered_hits_are_those_of_exact_products_of_the_stored_vectors(indexes: Callable[[str], Index]) -> None:
    """The truth has its own filter, products in doubles, and formulas of the modes. It asks the code for no ranking."""
    index = indexes("exact")
    rows = [with_fields(number, each) for number, each in enumerate(documents())]
    fields: list[dict[str, Any]] = [dict(each.metadata) for each in rows]
    allowed = [
        each for each, one in zip(rows, fields, strict=True)
        if "odd" in one["tags"] and each.language != "sw" and (one["number"] >= 30.5 or one.get("product") == "calc")
    ]  # fmt: skip
    ids = [each.id for each in allowed]
    codes = np.array([each.language for each in allowed])
    question = "<de> topic7"
    plain = Biased().encode([question], "question")
    queries = {"plain": plain[0], "centered": index.debiasing.apply(plain, ["de"], "question")[0]}
    halves = {
        "plain": Biased().encode([each.full_text for each in allowed], "passage").astype(np.float16),
        "centered": index.store.vectors("centered", ids).astype(np.float16),
    }
    # The store keeps what the encoder gave, in half precision, and centered vectors are differences of unit length.
    assert np.array_equal(index.store.vectors("plain", ids), halves["plain"].astype(np.float32))
    moved = halves["plain"] - index.debiasing.offset[1][[index.debiasing.languages.index(code) for code in codes]]
    moved = moved.astype(np.float64) / np.linalg.norm(moved.astype(np.float64), axis=1, keepdims=True)
    assert halves["centered"] == pytest.approx(moved, abs=2e-3)

    def truth(mode: str, kept: Any, boost: float) -> list[tuple[float, str]]:
        field = "plain" if mode in {"plain", "preferred"} else "centered"
        score = halves[field].astype(np.float64) @ queries[field].astype(np.float64)
        if mode == "balanced":
            score -= [np.sort(score[codes == code])[-5:].mean() / 2 for code in codes]
        score += boost * (codes == "ja")
        return sorted(((float(score[at]), ids[at]) for at in np.flatnonzero(kept)), key=lambda one: (-one[0], one[1]))

    where = 'tags contains "odd" and (number >= 30.5 or product = "calc") and not language = "sw"'
    for mode in MODES:
        for options, begin, end, kept in (
            ({}, 0, 10, codes != ""),
            ({"k": 100}, 0, 100, codes != ""),
            ({"languages": "de,ja", "k": 7}, 0, 7, np.isin(codes, ["de", "ja"])),
            ({"offset": 5}, 5, 15, codes != ""),
            ({"languages": "sw"}, 0, 10, codes == "sw"),
        ):
            asked: dict[str, Any] = {
                "language": "de",
                "mode": mode,
                "preferred_languages": "ja",
                "boost": 0.3,
                **options,
            }
            hits = index.search(question, where=where, **asked).hits
            expected = truth(mode, kept, 0.3)[begin:end]
            assert [hit.document.id for hit in hits] == [name for _, name in expected]
            assert [hit.score for hit in hits] == pytest.approx([score for score, _ in expected], abs=1e-7)


def test_matching_words_are_filtered_before_they_are_cut(indexes: Callable[[str], Index]) -> None:
    pytest.importorskip("icu4py", reason="pip install 'panglot[lexical]'")
    pytest.importorskip("icu4py", reason="pip install 'panglot[lexical]'")
    index = indexes("words")
    common = [Document(f"w{row:03}", "printer " * (1 + row % 7), language="en", metadata={"number": row + 1000})
              for row in range(400)]  # fmt: skip
    index.add(common)
    for mode in ("plain", "balanced"):
        hits = index.search("printer", language="en", mode=mode, hybrid=True, where="number in [1063, 1070, 7]").hits
        assert {hit.document.id for hit in hits} == {"w063", "w070", "topic1-sw"}
        assert sorted(hit.document.id for hit in hits if hit.explanation["lexical"]) == ["w063", "w070"]
    # No allowed document in the language of the query has the word, as if there were no others.
    assert index.lexical.search("topic1", "en", 9, where=parse_filter('language = "sw"')) == ["topic1-sw"]


def test_no_graph_is_walked_with_a_filter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MIN_ROWS", 100)
    monkeypatch.setattr(graph, "VISITS", 0)
    monkeypatch.setattr(graph, "RECALL", 0.5)  # So small a graph, linked by several threads, misses some.
    monkeypatch.setattr(columns, "_BATCH", 128)
    random = np.random.default_rng(0)
    vectors = unit(random.normal(size=(1200, 8)))
    store = EmbeddedStore.create(tmp_path, vector_fields=("plain",), dimension=8)
    made = [Document(f"{row:04}", "x", language=("de", "en")[row % 2], metadata={"n": row}) for row in range(1200)]
    with store.bulk():
        for begin in range(0, 1200, 300):
            store.upsert(made[begin : begin + 300], {"plain": vectors[begin : begin + 300]})
    store.delete([f"{row:04}" for row in range(0, 1200, 7)])
    query = unit(random.normal(size=(1, 8)))
    with monkeypatch.context() as patch:
        patch.setattr(graph.Graph, "near", lambda *_: pytest.fail("walked"))
        with pytest.raises(pytest.fail.Exception, match="walked"):
            store.search("plain", query, 10)
        for least in (0, 5, 600, 1000, 1150, 1195, 1199, 1200):
            for languages in (None, ("de",)):
                where = Condition("n", ">=", least)
                (found,) = store.search("plain", query, 10, languages=languages, where=where)
                allowed = [row for row in range(least, 1200) if row % 7 and (languages is None or row % 2 == 0)]
                cosines = vectors[allowed].astype(np.float16).astype(np.float64) @ query[0]
                assert [hit.id for hit in found] == [f"{allowed[at]:04}" for at in np.argsort(-cosines)[:10]]
    store.close()


def test_an_index_without_columns_is_filtered_by_its_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [with_fields(number, each) for number, each in enumerate(documents())]
    with monkeypatch.context() as patch:
        patch.setattr(columns, "write", lambda _, chunks: columns.built(chunks)[1])
        Index.build(made, tmp_path / "old", model=Biased()).close()
    old, new = Index.open(tmp_path / "old", model=Biased()), Index.build(made, tmp_path / "new", model=Biased())
    assert not list((tmp_path / "old").rglob(columns.NAME))
    assert len(list((tmp_path / "new").rglob(columns.NAME))) == 1
    where = 'number < 40 and tags contains "third" or product = "calc"'
    assert old.store.kinds() == new.store.kinds()
    assert old.search("<de> topic7", where=where).hits == new.search("<de> topic7", where=where).hits != ()
    for each in (old, new):
        each.close()


def test_a_store_of_milvus_without_metadata_is_searched_but_not_filtered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")
    make = client.create
    with monkeypatch.context() as patch:
        patch.setattr(milvus, "_FORMAT", 1)
        patch.setattr(client, "create", lambda *given, **_: make(*given))
        Index.build(documents(), tmp_path / "old", model=Biased(), store=f"milvus:{tmp_path}/lite.db/old").close()
    old = Index.open(tmp_path / "old", model=Biased())
    old.add([Document("new", "<de> topic7", language="de", metadata={"n": 2})])
    assert "new" in {hit.document.id for hit in old.search("<de> topic7", language="de").hits}
    with pytest.raises(PanglotError, match=r"made before documents could be filtered.*build the index again"):
        old.search("<de> topic7", where="n = 1")
    old.close()


def test_documents_of_another_kind_are_refused_and_a_field_of_several_kinds_is_said(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "1", "text": "a", "language": "en", "year": 2024, "tags": ["x"], "version": "7"},
        {"id": "2", "text": "b", "language": "en", "year": 2025, "version": 7},
    ]
    said: list[str] = []
    index = Index.build(rows, tmp_path / "index", model=Biased(), progress=said.append)
    assert "field version: text in 1 documents, int in 1; it cannot be filtered by" in said
    with pytest.raises(PanglotError, match="the field `version` has values of several kinds"):
        index.search("a", where="version = 7")
    more = {"id": "3", "text": "c", "language": "en"}
    for wrong, kinds in (({"year": "soon"}, "int as in the index, got text"), ({"tags": 1}, "got int"),
                         ({"year": [2024]}, "got list of int"), ({"tags": [True]}, "got list of bool")):  # fmt: skip
        with pytest.raises(PanglotError, match=kinds):
            index.add([{**more, **wrong}])
    index.add([{**more, "year": 2024.5, "tags": "x", "version": True, "new": "y"}])
    assert index.store.kinds() == {
        "year": "float", "tags": "list of text", "version": MIXED, "new": "text",
    }  # fmt: skip

    def found(where: str) -> set[str]:
        return {hit.document.id for hit in index.search("a", language="en", where=where).hits}

    assert found("year > 2024") == {"2", "3"}
    assert found("tags = 'x'") == {"1", "3"}
    assert found("new is null") == {"1", "2"}
    index.close()


@pytest.mark.parametrize("old", [False, True])
def test_kinds_are_those_of_the_documents_that_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, old: bool
) -> None:
    if old:  # Segments of older versions do not count values by kind.
        plain = segment_writer.write_segment
        monkeypatch.setattr(
            embedded, "write_segment", lambda *given, **more: replace(plain(*given, **more), kinds=None)
        )
    made = [Document(f"{number}", "x", language="de") for number in range(9)]
    index = Index.build(made, tmp_path / "index", model=Biased())

    def add(name: str, **metadata: Any) -> None:
        index.add([Document(name, "x", language="de", metadata=metadata)])

    add("0", year=2024)
    with pytest.raises(PanglotError, match="must be int as in the index, got text"):
        add("1", year="soon")
    add("0", year="soon")
    index.delete(["0"])
    assert index.store.kinds() == {}
    index.add([Document(f"a{n}", "x", language="de", metadata={"pages": pages}) for n, pages in enumerate((3, "x", 5))])
    with pytest.raises(PanglotError, match="values of several kinds"):
        index.search("x", where="pages >= 4")
    index.delete(["a1"])
    for _ in range(2):
        assert [hit.document.id for hit in index.search("x", where="pages >= 4").hits] == ["a2"]
        assert len(index.search("x", where="pages is not null").hits) == 2
        index.close()
        index = Index.open(tmp_path / "index", model=Biased())
    index.close()


def test_two_writers_give_a_field_one_kind(tmp_path: Path) -> None:
    first = Index.build([Document("0", "x", language="de")], tmp_path / "index", model=Biased())
    second = Index.open(tmp_path / "index", model=Biased())
    first.add([Document("1", "x", language="de", metadata={"year": 2024})])
    with pytest.raises(PanglotError, match="must be int as in the index, got text"):
        second.add([Document("2", "x", language="de", metadata={"year": "soon"})])
    assert len(Index.open(tmp_path / "index", model=Biased())) == 2


def many(count: int, **wrong: Any) -> list[Document]:
    metadata = [{"year": number} for number in range(count - 1)]
    return [
        Document(f"{number}", f"<de> topic{number % 7}", language="de", metadata=each)
        for number, each in enumerate([*metadata, wrong])
    ]


def test_all_documents_are_checked_before_the_first_is_added_or_changed(tmp_path: Path) -> None:
    encoder = Biased()
    index = Index.build(many(1200), tmp_path / "index", model=encoder)
    before = [each for piece in index.documents() for each in piece]
    encoder.seen.clear()
    changed = [replace(each, text=f"{each.text} new") for each in many(1200, year="soon")]
    with pytest.raises(PanglotError, match="`year` of '1199' must be int as in the documents before it, got text"):
        index.update(changed)
    new = [replace(each, id=f"new{each.id}") for each in changed]
    with pytest.raises(PanglotError, match="must be int as in the index, got text"):
        index.add(new)
    file = tmp_path / "new.jsonl"
    file.write_text("".join(f'{{"id": "n{number}", "text": "x"}}\n' for number in range(1100)) + "{broken", "utf-8")
    with pytest.raises(PanglotError, match="line 1101"):
        index.add(file)
    assert encoder.seen == []
    assert [each for piece in index.documents() for each in piece] == before
    # What a process that was killed left is removed, and nothing else is left.
    (tmp_path / "index" / ".adding-killed").mkdir()
    (tmp_path / "index" / ".adding-killed" / "lock").touch()
    assert index.add(new[:1100]) == 1100
    assert not list((tmp_path / "index").glob(".adding-*"))
    # An update may change the kind of a field in all documents.
    texts = [replace(each, metadata={"year": "soon"}) for each in many(1200)]
    assert index.update(texts) == {"added": 0, "changed": 1200, "deleted": 1100}
    assert index.store.kinds() == {"year": "text"}


def test_an_addition_that_breaks_off_says_how_many_documents_it_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Index.build(many(3), tmp_path / "index", model=Biased())
    plain = index.encoder.encode

    def fail(texts: Sequence[str], *given: Any, **more: Any) -> Any:
        return plain(texts, *given, **more) * (np.nan if any(text == "last" for text in texts) else 1)

    monkeypatch.setattr(index.encoder, "encode", fail)
    new = [Document(f"new{number}", "x", language="de") for number in range(1000)]
    with pytest.raises(PanglotError, match=r"not finite.*1,000 documents were added before"):
        index.add([*new, Document("last", "last", language="de")])
    assert len(index) == 1003
