"""The graphs of the embedded store: recall, ef_search, scale, and the copy in memory."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_store_model import WIDE, clusters, filled, unit

from panglot.encoders.protocol import Vectors
from panglot.search.document import Document
from panglot.search.filter_syntax import parse_filter
from panglot.search.storage import graph, manifest, nearest
from panglot.search.storage.embedded import EmbeddedStore
from panglot.search.storage.store import ROUNDING, scores

pytestmark = pytest.mark.usefixtures("same_graphs")


def exact(vectors: Vectors, questions: Vectors, rows: np.ndarray, k: int = 10) -> list[set[str]]:
    scores = questions @ vectors[rows].astype(np.float16).astype(np.float32).T
    return [{f"{row:05}" for row in rows[np.argsort(-line)[:k]]} for line in scores]


def test_a_graph_finds_nearly_all_of_the_ten_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MIN_ROWS", 2000)
    monkeypatch.setattr(graph, "VISITS", 10)  # A walk is cheaper than a scan of so few rows.
    vectors = clusters(6000)
    questions = unit(vectors[::60] + 0.02 * np.random.default_rng(1).normal(size=(100, WIDE)))
    store = filled(tmp_path, vectors, ("de", "en", "ja", "ja"))
    (segment,) = store._current().manifest.segments
    # Only Japanese has enough rows for a graph of its own. Its number in the order of the languages is 2.
    assert segment.own_graphs == {"plain": {"ja": segment.own_graphs["plain"]["ja"]}}
    assert {name for name in segment.files if "usearch" in name} == {"plain.usearch", "plain.2.usearch"}
    scans: list[int] = []
    compare = nearest.scan
    monkeypatch.setattr(nearest, "scan", lambda *given: scans.append(given[-1].live) or compare(*given))
    rows = np.arange(len(vectors))
    gone = np.zeros(len(vectors), np.bool_)

    def recall(wanted: np.ndarray, **chosen: Any) -> float:
        found = store.search("plain", questions, 10, **chosen)
        assert all(len(hits) == 10 for hits in found)
        right = exact(vectors, questions, rows[wanted & ~gone])
        return float(
            np.mean([len({hit.id for hit in hits} & best) / 10 for hits, best in zip(found, right, strict=True)])
        )

    assert recall(rows >= 0) >= 0.99
    assert recall(rows % 4 >= 2, languages=["ja"]) >= 0.99
    assert not scans
    assert recall(rows % 4 == 1, languages=["en"]) == 1
    assert recall(rows % 4 != 0, languages=["en", "ja"]) >= 0.99
    assert {*scans} == {1500}  # Those in English are compared, also beside the graph of Japanese.
    scans.clear()
    monkeypatch.setattr(graph, "VISITS", 0.1)  # The graph is asked again and again rather than a scan.
    assert recall(rows % 4 == 1, languages=["en"]) >= 0.99
    gone = rows % 5 < 2
    assert store.delete([f"{row:05}" for row in rows[gone]]) == np.count_nonzero(gone)
    assert recall(rows >= 0) >= 0.99
    assert recall(rows % 4 >= 2, languages=["ja"]) >= 0.99
    assert not scans


def test_many_queries_find_what_each_finds_alone(tmp_path: Path) -> None:
    """Scores of near-duplicates differ by less than rounding a query moves them."""
    dice = np.random.default_rng(0)
    vectors = unit(np.repeat(clusters(900), 5, axis=0) + 1e-4 * dice.normal(size=(4500, WIDE)))
    store = filled(tmp_path, vectors)
    store.delete([f"{row:05}" for row in range(0, 4500, 7)])
    questions = unit(vectors[:40] + 0.02 * dice.normal(size=(40, WIDE)))
    for languages in (None, ["de", "ja"]):
        alone = [store.search("plain", each[None], 10, languages=languages)[0] for each in questions]
        assert store.search("plain", questions, 10, languages=languages) == alone
        scores = [np.array([hit.score for hit in hits]) for hits in alone]
        assert min(np.abs(np.diff(each)).min() for each in scores) < 1e-6


@pytest.mark.skipif(sys.platform != "linux", reason="there are no large pages")
def test_a_graph_that_is_often_searched_is_copied_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MIN_ROWS", 1000)
    monkeypatch.setattr(graph, "VISITS", 0)
    monkeypatch.setattr(graph, "OFTEN", 3)
    vectors = clusters(1200)
    store = filled(tmp_path, vectors, ("de",))
    table = store._current().segments[0].tables["plain"].graph
    assert table
    mapped = table._graph
    wanted = store.search("plain", vectors[:2], 3)
    assert table._graph is mapped
    for path in tmp_path.rglob("plain.usearch"):
        hidden = path.rename(path.with_suffix(".hidden"))
        assert store.search("plain", vectors[:1], 3) == wanted[:1]
        assert table.copying
        table.copying.join(30)
        assert table._graph is mapped  # The file is no longer there.
        hidden.rename(path)
    reopened = EmbeddedStore(tmp_path)
    table = reopened._current().segments[0].tables["plain"].graph
    assert table
    for _ in range(3):
        assert reopened.search("plain", vectors[:2], 3) == wanted
    assert table.copying
    table.copying.join(30)
    assert table._graph.memory[:1]
    assert reopened.search("plain", vectors[:2], 3) == wanted


def test_a_segment_without_graphs_of_languages_is_searched_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "MIN_ROWS", 300)
    monkeypatch.setattr(graph, "VISITS", 0)
    # A graph of so few vectors is sometimes dropped, because threads link it in any order.
    monkeypatch.setattr(graph, "RECALL", 0.9)
    vectors = clusters(1000)
    with monkeypatch.context() as older:
        older.setattr(graph, "MOST", 0.0)
        store = filled(tmp_path, vectors)
    path = tmp_path / manifest.NAME
    values = json.loads(path.read_text("utf-8"))
    for segment in values["parts"]:
        assert segment.pop("own_graphs") == {"plain": {}}
    del values["sha256"]
    path.write_text(json.dumps({"sha256": manifest._digest(values), **values}), "utf-8")
    reopened = EmbeddedStore(tmp_path)
    assert reopened._current().segments[0].tables["plain"].own_graphs == {}
    found = reopened.search("plain", vectors[:9], 1, languages=["de", "en", "ja"])
    assert [hits[0].id for hits in found] == [hits[0].id for hits in store.search("plain", vectors[:9], 1)]


def test_where_no_ef_search_finds_enough_there_is_no_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MIN_ROWS", 2000)
    vectors = clusters(6000)
    measured: list[int] = []
    for number, enough in enumerate((0.0, 1.1)):
        monkeypatch.setattr(graph, "RECALL", enough)
        monkeypatch.setattr(graph, "EF_SEARCH", (1, 8, 64, 256))
        expected = pytest.warns(RuntimeWarning, match="and is not kept") if enough > 1 else contextlib.nullcontext()
        with expected:
            store = filled(tmp_path / str(number), vectors)
        (segment,) = store._current().manifest.segments
        measured.append(segment.graphs["plain"][1])
        assert ("plain.usearch" in segment.files) == (measured[-1] > 0)
        found = store.search("plain", vectors[:5], 1)
        assert [hits[0].id for hits in found] == [f"{row:05}" for row in range(5)]
    assert measured == [2, 0]
    with pytest.warns(RuntimeWarning, match="the graph over 3,000 vectors in ja finds"):
        filled(tmp_path / "languages", vectors, ("de", "en", "ja", "ja"))


def test_vectors_of_few_large_numbers_are_scaled_by_the_largest() -> None:
    """Clipping shortens the one large number of some vectors, so that their neighbours are lost."""

    def factors(vectors: np.ndarray[Any, Any]) -> tuple[float, float, float]:
        unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
        sizes = np.abs(unit.astype(np.float32))
        return graph.scale(unit), 127 / float(np.quantile(sizes, 0.9999)), 127 / float(sizes.max())

    generator = np.random.default_rng(0)
    chosen, clipping, _ = factors(generator.normal(size=(4000, 64)))
    assert chosen == pytest.approx(clipping)
    vectors = generator.normal(size=(4000, 384)) / np.sqrt(384)
    rows = generator.choice(4000, 120, replace=False)
    vectors[rows] *= 0.4
    vectors[rows, generator.integers(0, 5, 120)] = generator.uniform(0.5, 1.5, 120)
    chosen, clipping, largest = factors(vectors)
    assert clipping > 3 * largest
    assert chosen == pytest.approx(largest)


def test_a_filter_finds_the_best_even_where_8_bit_numbers_are_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "MIN_ROWS", 2000)
    monkeypatch.setattr(nearest, "FEW", 0)
    dice = np.random.default_rng(0)
    # Of each cluster, ten rows differ by less than a step of the 8-bit numbers. Some have numbers beyond their range.
    vectors = unit(np.repeat(clusters(400), 10, axis=0) + 2e-5 * dice.normal(size=(4000, WIDE)))
    rows = dice.choice(4000, 200, replace=False)
    vectors[rows, dice.integers(0, WIDE, 200)] += 0.5
    vectors = unit(vectors)
    store = EmbeddedStore.create(tmp_path, vector_fields=("plain",), dimension=WIDE)
    documents = [Document(f"{row:05}", "text", language="de", metadata={"number": row}) for row in range(4000)]
    with store.bulk():
        store.upsert(documents, {"plain": vectors})
    (segment,) = store._current().segments
    small = segment.tables["plain"].small
    assert small
    assert len(np.unique(small.numbers, axis=0)) < 3500
    queries = np.vstack([vectors[rows[:5]], unit(vectors[::200] + 0.02 * dice.normal(size=(20, WIDE)))])
    products = np.stack([scores(vectors.astype(np.float16), query) for query in queries])
    for below in (40, 1000, 2500, 4000):  # The first two are copied out of the others.
        for number, query in enumerate(queries):
            found = store.search("plain", query[None], 7, where=parse_filter(f"number < {below}"))[0]
            best = np.argsort(-products[number, :below], kind="stable")[:7]
            assert [hit.id for hit in found] == [f"{row:05}" for row in best]
            assert [hit.score for hit in found] == products[number, best].tolist()
    off = products - np.vstack([small.scores(query, slice(None))[0] for query in queries])
    most = np.stack([small.scores(query, slice(None))[1] for query in queries])
    assert (np.abs(off) <= most).all()
    assert (np.abs(off) > 2 * ROUNDING).any()
    assert most.max() < 0.5
