"""LangChain, LlamaIndex and Haystack, with the real packages."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

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
        for found in called(**where):
            assert len(found) == 4
            assert {str(each).partition("-")[0] for each in found} <= {"topic7", "topic9"}
    filtered = PanglotRetriever(index, **OPTIONS, filter={"language": "ja", "n": {"$gte": 1}})
    assert {each.metadata["language"] for each in filtered.invoke("<de> topic3")} == {"ja"}
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
        with pytest.raises(PanglotError, match=message):
            retriever.run("x", options=wrong)
        with pytest.raises(PanglotError, match=message):
            PanglotRetriever(index, **{"top_k" if name == "k" else name: value for name, value in wrong.items()})


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
