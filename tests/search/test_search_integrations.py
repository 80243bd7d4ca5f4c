"""LangChain, LlamaIndex and Haystack, with the real packages."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_made import Biased, documents, use_memory

from panglot._errors import PanglotError
from panglot.search.document import Document
from panglot.search.index import Index

OPTIONS: dict[str, Any] = {"k": 4, "language": "de", "mode": "centered"}
WANTED = {f"topic3-{code}" for code in ("de", "en", "ja", "sw")}


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Index:
    use_memory(monkeypatch)
    return Index.build(documents(), tmp_path / "index", model=Biased())


def test_langchain_finds_documents(index: Index) -> None:
    pytest.importorskip("langchain_core", reason="pip install 'panglot[langchain]'")
    from panglot.search.integrations.langchain import PanglotRetriever

    found = PanglotRetriever(index, **OPTIONS).invoke("<de> topic3")
    assert {each.id for each in found} == WANTED
    assert found[0].page_content.startswith("<")
    assert found[0].metadata["group"] == "topic3"
    assert found[0].metadata["score"] >= found[-1].metadata["score"]
    assert found[0].metadata["n"] == 1


def test_langchain_passes_arguments_of_a_call_on_or_refuses_them(index: Index) -> None:
    pytest.importorskip("langchain_core", reason="pip install 'panglot[langchain]'")
    from panglot.search.integrations.langchain import PanglotRetriever

    retriever = PanglotRetriever(index, **OPTIONS, tags=["help"])
    assert retriever.tags == ["help"]

    def called(**options: Any) -> list[list[str | None]]:
        one = retriever.invoke("<de> topic3", **options)
        (batch,) = retriever.batch(["<de> topic3"], **options)
        other = asyncio.run(retriever.ainvoke("<de> topic3", **options))
        return [
            [each.id for each in found]
            for found in (one, batch, retriever.bind(**options).invoke("<de> topic3"), other)
        ]

    for found in called(k=2, languages=["ja", "sw"]):
        assert len(found) == 2
        assert set(found) <= {f"topic{number}-{code}" for number in range(30) for code in ("ja", "sw")}
    assert all(len(found) == 4 for found in called())
    for where in ({"filter": {"group": {"$in": ["topic7", "topic9"]}}}, {"where": 'group in ("topic7", "topic9")'}):
        # The ranking of all documents, without the others.
        wide: dict[str, Any] = OPTIONS | {"k": 120}
        every = [hit.document for hit in index.search("<de> topic3", **wide).hits]
        allowed = [each.id for each in every if each.group in ("topic7", "topic9")]
        assert len(allowed) == 8
        assert called(**where) == [allowed[:4]] * 4
        assert called(**where, k=9) == [allowed] * 4
    filtered = PanglotRetriever(index, **OPTIONS, filter={"language": "ja", "n": {"$gte": 1}})
    assert {each.metadata["language"] for each in filtered.invoke("<de> topic3")} == {"ja"}
    others: tuple[dict[str, Any], ...] = (
        {"filter": 'language = "de"'}, {"where": {"language": "de"}}, {"filter": None}, {"filter": ""},
    )  # fmt: skip
    for opened in others:
        kept = {each.metadata["language"] for each in filtered.invoke("<de> topic3", **opened)}
        assert kept == (set() if any(opened.values()) else {"ja"}), opened
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"nonsense": 1}, "no option `nonsense`. Fix: use one of k, offset, language"),
        ({"filter": {"language": {"$eqq": "de"}}}, "`$eqq` of `language` is not an operator"),
        ({"filter": "n = 1", "where": "n = 1"}, "`where` and `filter` are one option"),
        ({"metadata_filter": {}}, "no option `metadata_filter`. Fix: use `where`"),
        ({"search_kwargs": {"k": 3}}, "no option `search_kwargs`"),
        ({"k": 0}, "`k` must be between 1 and 1000, got 0"),
        ({"languages": ["nonsense"]}, "unknown language code"),
    )
    for options, message in wrong:
        for call in (
            lambda options=options: retriever.invoke("<de> topic3", **options),
            lambda options=options: asyncio.run(retriever.ainvoke("<de> topic3", **options)),
            lambda options=options: PanglotRetriever(index, **options),
        ):
            with pytest.raises(PanglotError) as caught:
                call()
            assert message in str(caught.value)


def test_llamaindex_finds_nodes(index: Index) -> None:
    pytest.importorskip("llama_index.core", reason="pip install 'panglot[llama-index]'")
    from panglot.search.integrations.llamaindex import PanglotRetriever

    found = PanglotRetriever(index, **OPTIONS).retrieve("<de> topic3")
    assert {each.node.node_id for each in found} == WANTED
    assert found[0].node.metadata["language"] in {"de", "en", "ja", "sw"}
    assert found[0].score is not None


def test_llamaindex_refuses_what_it_would_drop(index: Index) -> None:
    pytest.importorskip("llama_index.core", reason="pip install 'panglot[llama-index]'")
    from llama_index.core.schema import QueryBundle

    from panglot.search.integrations.llamaindex import PanglotRetriever

    with pytest.raises(PanglotError, match=r"`filters` must be MetadataFilters of LlamaIndex, got dict"):
        PanglotRetriever(index, filters={"n": 1})
    with pytest.raises(PanglotError, match=r"no option `similarity_top_k`.*use one of k, offset, language"):
        PanglotRetriever(index, similarity_top_k=3)
    retriever = PanglotRetriever(index, **OPTIONS, verbose=True)
    for bundle in (
        QueryBundle("<de> topic3", custom_embedding_strs=["a made-up answer"]),
        QueryBundle("<de> topic3", embedding=[0.5, 0.5]),
    ):
        with pytest.raises(PanglotError, match="panglot searches for its text alone"):
            retriever.retrieve(bundle)
    assert retriever.retrieve(QueryBundle("<de> topic3", custom_embedding_strs=["<de> topic3"]))


def test_retrievers_carry_all_versions(index: Index) -> None:
    asked: dict[str, Any] = {"k": 2, "language": "de", "mode": "balanced", "collapse": True}
    result = index.search("<de> topic3", **asked, preferred_languages="sw", boost=0)
    versions = [[each.as_json() for each in hit.versions] for hit in result.hits]
    assert [len(each) for each in versions] == [4, 4]
    asked |= {"preferred_languages": "sw", "boost": 0}
    pytest.importorskip("langchain_core", reason="pip install 'panglot[langchain]'")
    from panglot.search.integrations.langchain import PanglotRetriever

    found = PanglotRetriever(index, **asked).invoke("<de> topic3")
    assert [each.metadata["versions"] for each in found] == versions
    assert found[0].metadata["languages"] == {code: f"topic3-{code}" for code in ("sw", "de", "en", "ja")}
    assert found[0].metadata["matched"] in found[0].metadata["languages"].values()
    assert "versions" not in PanglotRetriever(index, **OPTIONS).invoke("<de> topic3")[0].metadata
    pytest.importorskip("llama_index.core", reason="pip install 'panglot[llama-index]'")
    from llama_index.core.schema import MetadataMode

    from panglot.search.integrations.llamaindex import PanglotRetriever as Nodes

    nodes = Nodes(index, **asked).retrieve("<de> topic3")
    assert [each.node.metadata["versions"] for each in nodes] == versions
    read = nodes[0].node.get_content(MetadataMode.LLM)
    assert "topic3-ja" not in read
    assert "language: sw" in read


def test_fields_of_documents_stay_as_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for package in ("langchain_core", "llama_index.core", "haystack"):
        pytest.importorskip(package)
    from panglot.search.integrations import haystack, langchain, llamaindex

    use_memory(monkeypatch)
    own = {"score": 3, "languages": ["x"], "matched": "m", "versions": "v2"}
    made = Index.build([Document("1", "<de> topic3", "", "de", "g", own)], tmp_path / "own", model=Biased())
    (first,) = langchain.PanglotRetriever(made, collapse=True).invoke("<de> topic3")
    (second,) = llamaindex.PanglotRetriever(made, collapse=True).retrieve("<de> topic3")
    (third,) = haystack.PanglotRetriever(made, collapse=True).run("<de> topic3")["documents"]
    # LangChain has no other place for the score of a hit.
    assert first.metadata["score"] == second.score == third.score != own["score"]
    for found in (first.metadata | {"score": own["score"]}, second.node.metadata, third.meta):
        assert {name: found[name] for name in own} == own


def test_llamaindex_does_its_work_beside_the_event_loop(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llama_index.core", reason="pip install 'panglot[llama-index]'")
    from panglot.search.integrations.llamaindex import PanglotEmbedding, PanglotRetriever

    threads: set[int] = set()
    encode = Biased.encode

    def noted(self: Biased, *given: Any, **options: Any) -> Any:
        threads.add(threading.get_ident())
        return encode(self, *given, **options)

    monkeypatch.setattr(Biased, "encode", noted)
    embedding = PanglotEmbedding(Biased())

    async def work() -> tuple[Any, ...]:
        return await asyncio.gather(
            embedding.aget_text_embedding("<de> topic3"),
            embedding.aget_text_embedding_batch(["<de> topic3"]),
            embedding.aget_query_embedding("<de> topic3"),
            PanglotRetriever(index, **OPTIONS).aretrieve("<de> topic3"),
        )

    text, (same,), _, nodes = asyncio.run(work())
    assert text == same
    assert {each.node.node_id for each in nodes} == WANTED
    assert threads
    assert threading.get_ident() not in threads


def test_haystack_finds_documents(index: Index) -> None:
    pytest.importorskip("haystack", reason="pip install 'panglot[haystack]'")
    from panglot.search.integrations.haystack import PanglotRetriever

    retriever = PanglotRetriever(index, top_k=4, language="de", mode="centered")
    found = retriever.run("<de> topic3")["documents"]
    assert {each.id for each in found} == WANTED
    assert found[0].content.startswith("<")
    assert (found[0].meta["group"], found[0].meta["n"]) == ("topic3", 1)
    assert set(found[0].meta["languages"]) == {found[0].meta["language"]}
    assert found[0].score >= found[-1].score
    two = retriever.run("<de> topic3", top_k=2, options={"languages": ["ja", "sw"], "collapse": True})["documents"]
    assert [each.meta["language"] in ("ja", "sw") for each in two] == [True, True]
    assert set(two[0].meta["languages"]) == {"ja", "sw"}
    for wrong, message in (({"nonsense": 1}, "no option `nonsense`"), ({"k": 0}, "`k` must be between 1 and 1000")):
        named: dict[str, Any] = {"top_k" if name == "k" else name: value for name, value in wrong.items()}
        with pytest.raises(PanglotError, match=message):
            retriever.run("x", options=wrong)
        with pytest.raises(PanglotError, match=message):
            PanglotRetriever(index, **named)


HAYSTACK: tuple[dict[str, Any], ...] = (
    {"field": "meta.row", "operator": "==", "value": 3},
    {"field": "meta.row", "operator": "!=", "value": 3},
    {"field": "meta.row", "operator": ">", "value": 4.5},
    {"field": "meta.row", "operator": ">=", "value": 4},
    {"field": "meta.row", "operator": "<", "value": 4},
    {"field": "meta.row", "operator": "<=", "value": 4},
    {"field": "meta.row", "operator": "in", "value": [1, 5, 90]},
    {"field": "meta.kind", "operator": "not in", "value": ["even"]},
    {"field": "meta.row", "operator": "==", "value": None},
    {"field": "meta.row", "operator": "!=", "value": None},
    {"field": "kind", "operator": "==", "value": "odd"},
    {"field": "id", "operator": "in", "value": ["topic3-de", "2"]},
    {"field": "meta.language", "operator": "==", "value": "sw"},
    {"field": "meta.day", "operator": ">=", "value": "2024-01-05"},
    {"operator": "AND", "conditions": [
        {"field": "meta.row", "operator": ">", "value": 1},
        {"operator": "OR", "conditions": [{"field": "meta.kind", "operator": "==", "value": "odd"},
                                          {"field": "meta.row", "operator": "==", "value": 6}]}]},
    {"operator": "NOT", "conditions": [{"field": "meta.row", "operator": ">", "value": 1},
                                       {"field": "meta.kind", "operator": "==", "value": "odd"}]},
)  # fmt: skip


def test_haystack_filters_as_its_own_store_does(index: Index) -> None:
    pytest.importorskip("haystack", reason="pip install 'panglot[haystack]'")
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    from panglot.search.integrations.haystack import PanglotRetriever

    index.add([
        Document(f"{row}", f"<de> topic{row}", language="de",
                 metadata={"row": row, "kind": ("even", "odd")[row % 2], "day": f"2024-01-0{row + 1}"})
        for row in range(9)
    ])  # fmt: skip
    store = InMemoryDocumentStore()
    store.write_documents(PanglotRetriever(index, top_k=200).run("topic")["documents"])
    assert store.count_documents() == 129
    plain = PanglotRetriever(index, top_k=200)
    for filters in HAYSTACK:
        expected = {each.id for each in store.filter_documents(filters)}
        assert 0 < len(expected) < 129
        at_run = plain.run("topic", filters=filters)["documents"]
        assert {each.id for each in at_run} == expected, filters
        assert [each.id for each in PanglotRetriever(index, filters, top_k=200).run("topic")["documents"]] == [
            each.id for each in at_run
        ]


@pytest.mark.parametrize("policy", ["merge", "replace"])
def test_haystack_keeps_an_access_rule_whatever_the_filters_are(index: Index, policy: str) -> None:
    pytest.importorskip("haystack", reason="pip install 'panglot[haystack]'")
    from panglot.search.integrations.haystack import PanglotRetriever

    def found(retriever: PanglotRetriever, **options: Any) -> set[str]:
        return {each.id for each in retriever.run("topic", **options)["documents"]}

    language = {"field": "meta.language", "operator": "==", "value": "sw"}
    group = {"field": "meta.group", "operator": "in", "value": ["topic3", "topic4"]}
    rule = PanglotRetriever(index, top_k=200, filter_policy=policy, where='language != "sw"')
    assert len(found(rule)) == 90
    assert not found(rule, filters=language)
    assert found(rule, filters=group) == {f"topic{n}-{code}" for n in (3, 4) for code in ("de", "en", "ja")}
    assert not found(rule, options={"where": {"language": "sw"}})
    assert len(found(rule, options={"where": None})) == 90
    both = PanglotRetriever(index, filters=group, top_k=200, filter_policy=policy, where={"language": "ja"})
    assert found(both) == {"topic3-ja", "topic4-ja"}
    assert found(both, filters={"field": "meta.group", "operator": "==", "value": "topic3"}) == {"topic3-ja"}


def test_haystack_filters_of_a_call_replace_or_merge(index: Index) -> None:
    pytest.importorskip("haystack", reason="pip install 'panglot[haystack]'")
    from panglot.search.integrations.haystack import PanglotRetriever

    group, language = ({"field": f"meta.{name}", "operator": "==", "value": value}
                       for name, value in (("group", "topic3"), ("language", "sw")))  # fmt: skip

    def found(retriever: PanglotRetriever, **options: Any) -> set[str]:
        return {each.id for each in retriever.run("topic", **options)["documents"]}

    replace = PanglotRetriever(index, filters=group, top_k=50)
    assert found(replace) == WANTED
    assert len(found(replace, filters=language)) == 30
    assert found(replace, filters={}) == WANTED
    merge = PanglotRetriever(index, filters=group, top_k=50, filter_policy="merge")
    assert found(merge, filters=language) == {"topic3-sw"}
    again = PanglotRetriever(**merge.to_dict()["init_parameters"] | {"index": index})
    assert found(again, filters=language) == {"topic3-sw"}
    wrong: tuple[tuple[Any, str], ...] = (
        ({"n": 1}, "this is not a filter of Haystack"),
        ({"field": "meta.n", "operator": "like", "value": 1}, "no filter `like`, got it for `meta.n`"),
        ({"field": "content", "operator": "==", "value": "x"}, "no filter on `content`"),
        ({"field": "meta.n", "operator": "==", "value": [1]}, r"no filter `meta.n == \[1\]`"),
        ({"field": "meta.n", "operator": "in", "value": 1}, "no filter `meta.n in 1`"),
        ({"field": "meta.n", "operator": "in", "value": [None]}, r"no filter `meta.n in \[None\]`"),
        ({"field": "meta.n", "operator": ">", "value": None}, "no filter `meta.n > None`"),
        ({"field": "meta.n", "operator": ">"}, "on `meta.n` has no `value`"),
        ({"field": "meta.m", "operator": "==", "value": 1}, "no field `m`"),
        ({"operator": "XOR", "conditions": [group]}, "`XOR` does not join conditions"),
        ({"operator": "AND", "conditions": []}, "`conditions` of `AND` must be a list"),
    )
    for filters, message in wrong:
        with pytest.raises(PanglotError, match=message):
            replace.run("topic", filters=filters)
    with pytest.raises(PanglotError, match="must be replace or merge, got 'both'"):
        PanglotRetriever(index, filter_policy="both")


_EMBED = """
import sys, json
from panglot.search.integrations.{module} import {name}
print(json.dumps([{call}, "torch" in sys.modules, "transformers" in sys.modules]))
"""


@pytest.mark.parametrize(
    ("module", "name", "call"),
    [
        ("langchain", "PanglotEmbeddings", '{name}("bundled").embed_query("Click Print.")'),
        ("llamaindex", "PanglotEmbedding", '{name}("bundled").get_query_embedding("Click Print.")'),
    ],
)
def test_embeddings_of_a_few_texts_come_without_torch(module: str, name: str, call: str) -> None:
    package = {"langchain": "langchain_core", "llamaindex": "llama_index.core"}[module]
    pytest.importorskip(package, reason=f"pip install 'panglot[{module}]'")
    import panglot

    code = _EMBED.format(module=module, name=name, call=call.format(name=name))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    vector, *heavy = json.loads(done.stdout)
    expected = panglot.load("bundled", precision="fp32").encode(["Click Print."], "question")[0]
    assert float(np.dot(vector, expected)) > 0.999  # bfloat16, where the processor has it
    assert heavy == [False, False]


def test_haystack_encodes_queries_and_documents_each_in_their_way() -> None:
    pytest.importorskip("haystack", reason="pip install 'panglot[haystack]'")
    from haystack import Document

    import panglot
    from panglot.search.integrations.haystack import PanglotDocumentEmbedder, PanglotTextEmbedder

    encoder = panglot.load("bundled")
    text = "Click Print."
    assert PanglotTextEmbedder(encoder).run(text)["embedding"] == encoder.encode([text], "question")[0].tolist()
    given = [Document(id="1", content=text, meta={"title": "Printing"})]
    (plain,) = PanglotDocumentEmbedder(encoder).run(given)["documents"]
    assert plain.embedding == encoder.encode([text], "passage")[0].tolist()
    assert (plain.id, given[0].embedding) == ("1", None)
    (titled,) = PanglotDocumentEmbedder(encoder, meta_fields_to_embed=["title"]).run(given)["documents"]
    assert titled.embedding == encoder.encode([f"Printing\n{text}"], "passage")[0].tolist()
    assert PanglotDocumentEmbedder(encoder).run([])["documents"] == []


def test_haystack_pipelines_are_written_and_read(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("haystack", reason="pip install 'panglot[haystack]'")
    from haystack import Pipeline

    from panglot.search.integrations import haystack

    pipeline = Pipeline()
    pipeline.add_component("embedder", haystack.PanglotTextEmbedder("bundled"))
    pipeline.add_component("documents", haystack.PanglotDocumentEmbedder("bundled", ["title"]))
    pipeline.add_component("retriever", haystack.PanglotRetriever(index, top_k=3, mode="balanced"))
    # Haystack makes only components of modules that its user trusts.
    monkeypatch.setenv("HAYSTACK_DESERIALIZATION_ALLOWLIST", haystack.__name__)
    again = Pipeline.loads(pipeline.dumps())
    monkeypatch.setattr(haystack.Index, "open", lambda folder: {index.folder: index}[folder])
    embedder: Any = again.get_component("documents")
    assert embedder.meta_fields_to_embed == ("title",)
    again.remove_component("documents")
    again.remove_component("embedder")
    found = again.run({"retriever": {"query": "<de> topic3"}})["retriever"]["documents"]
    assert [each.id for each in found] == [
        hit.document.id for hit in index.search("<de> topic3", k=3, mode="balanced").hits
    ]
    with pytest.raises(PanglotError, match="has no name to be written"):
        haystack.PanglotTextEmbedder(Biased()).to_dict()


def test_llamaindex_filters_by_metadata(index: Index) -> None:
    pytest.importorskip("llama_index.core", reason="pip install 'panglot[llama-index]'")
    from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

    from panglot.search.integrations.llamaindex import PanglotRetriever

    fields: list[dict[str, Any]] = [{"row": row, "tags": ["a", "b"][: row % 3]} for row in range(9)]
    index.add([Document(f"{row}", f"<de> topic{row}", language="de", metadata=each) for row, each in enumerate(fields)])

    def found(*filters: Any, condition: Any = FilterCondition.AND, **options: Any) -> set[str]:
        given = MetadataFilters(filters=list(filters), condition=condition)
        return {each.node.node_id for each in PanglotRetriever(index, k=20, filters=given, **options).retrieve("topic")}

    def one(key: str, operator: str, value: Any) -> MetadataFilter:
        return MetadataFilter(key=key, operator=FilterOperator(operator), value=value)

    assert found(one("row", ">=", 3), one("row", "<", 5), one("row", "!=", 3)) == {"4"}
    assert found(one("row", "<=", 0), one("row", ">", 7), condition=FilterCondition.OR) == {"0", "8"}
    assert found(one("tags", "contains", "b"), one("row", "in", [2, 4, 5])) == {"2", "5"}
    assert found(one("tags", "all", ["a", "b"]), one("row", "nin", [2, 5])) == {"8"}
    assert found(one("tags", "any", ["b"]), one("row", "==", 5)) == {"5"}
    assert found(one("row", "is_empty", None), one("group", "==", "topic3")) == WANTED
    inner = MetadataFilters(filters=[one("row", ">", 1), one("row", "is_empty", None)], condition=FilterCondition.OR)
    assert found(inner, condition=FilterCondition.NOT) == {"0", "1"}
    assert len(found()) == 20
    with pytest.raises(PanglotError, match="panglot has no filter `text_match`"):
        found(one("row", "text_match", "x"))
    with pytest.raises(PanglotError, match="`where` and `filters` are one option"):
        found(where="row = 1")
