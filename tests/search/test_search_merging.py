"""The embedded store: segments are merged while others write, and within bulk loads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_store_model import DIMENSION, VECTOR_FIELDS, Dice, Model, agree, clusters, filled, unit

from panglot._files import lock
from panglot.search.document import Document
from panglot.search.storage import graph, manifest, segment_writer
from panglot.search.storage.embedded import EmbeddedStore


class Merging:
    """A store whose merge has begun in another thread and waits, before its result takes the place of the segments."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(segment_writer, "MERGED", 2)
        monkeypatch.setattr(graph, "MIN_ROWS", 21)
        monkeypatch.setattr(graph, "VISITS", 0)
        self.model, written, self._free = Model(), threading.Event(), threading.Event()
        merging = EmbeddedStore.create(folder, vector_fields=VECTOR_FIELDS, dimension=DIMENSION)
        write = merging._write

        def slow(name: str, *given: Any, **more: Any) -> Any:
            found = write(name, *given, **more)
            if name.startswith(manifest.MERGING):
                written.set()
                assert self._free.wait(60)
            return found

        monkeypatch.setattr(merging, "_write", slow)
        self.other = EmbeddedStore(folder)
        self.write(merging, "a", 0)
        self._thread = threading.Thread(target=self.write, args=(merging, "b", 1))
        self._thread.start()
        assert written.wait(60)

    def write(self, store: EmbeddedStore, name: str, seed: int, rows: int = 20) -> None:
        documents = [Document(f"{name}{row}", f"{seed}", "", ("de", "en")[row % 2]) for row in range(rows)]
        vectors = {field: Dice(seed).vectors(rows) for field in VECTOR_FIELDS}
        self.model.upsert(documents, vectors)
        store.upsert(documents, vectors)

    def delete(self, *ids: str) -> None:
        assert self.other.delete(ids) == self.model.delete(ids) == len(ids)

    def finish(self) -> None:
        self._free.set()
        self._thread.join(60)
        assert not self._thread.is_alive()


def test_others_write_while_segments_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    merging = Merging(tmp_path, monkeypatch)
    merging.delete("a3", "b4")
    merging.write(merging.other, "a", 2, rows=2)  # They replace two.
    merging.write(merging.other, "c", 3, rows=3)
    agree(merging.other, merging.model, Dice(4))
    merging.finish()
    for store in (merging.other, EmbeddedStore(tmp_path)):
        store.refresh()
        store.check()
        agree(store, merging.model, Dice(5))
    (merged,) = (each for each in store._current().segments if each.tables["plain"].graph)
    assert merged.live == 36
    assert {path.name for path in (tmp_path / "segments").iterdir()} == {
        each.name for each in store._current().manifest.segments
    }


def test_a_merge_is_given_up_if_a_segment_of_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    merging = Merging(tmp_path, monkeypatch)
    merging.delete(*(f"a{row}" for row in range(20)))
    merging.finish()
    store = EmbeddedStore(tmp_path)
    agree(store, merging.model, Dice(5))
    assert [each.live for each in store._current().segments] == [20]
    merging.other.refresh()
    merging.delete("b0")
    assert len(list((tmp_path / "segments").iterdir())) == 1


def test_what_a_killed_merge_leaves_is_removed_by_the_next_write(tmp_path: Path) -> None:
    store = EmbeddedStore.create(tmp_path, vector_fields=VECTOR_FIELDS, dimension=DIMENSION)
    left = tmp_path / "segments" / f"{manifest.MERGING}-dead"
    left.mkdir(parents=True)
    with lock(tmp_path / manifest.MERGING):
        store.upsert(*Dice(7).documents(6))
        assert left.exists()
    store.upsert(*Dice(8).documents(6))
    assert not left.exists()


def test_many_writers_lose_nothing_while_all_merge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_writer, "MERGED", 2)
    EmbeddedStore.create(tmp_path, vector_fields=("plain",), dimension=DIMENSION)
    one = unit(np.ones((1, DIMENSION)))

    def write(name: str) -> set[str]:
        store, dice, left = EmbeddedStore(tmp_path), np.random.default_rng(ord(name)), set[str]()
        for _ in range(15):
            if dice.random() < 0.3 and left:
                left.remove(gone := min(left))
                assert store.delete([gone]) == 1
            else:
                left.add(new := f"{name}{dice.integers(8)}")
                store.upsert([Document(new, "x")], {"plain": one})
        return left

    with ThreadPoolExecutor(3) as pool:
        left = set().union(*pool.map(write, "abc"))
    store = EmbeddedStore(tmp_path)
    store.check()
    assert {name for names in store.ids() for name in names} == left
    assert len(store._current().segments) < 8


def test_what_is_added_in_bulk_becomes_one_segment(tmp_path: Path) -> None:
    store = filled(tmp_path, clusters(4000)[:, :8])
    assert [len(segment.texts) for segment in store._current().segments] == [4000]
    assert [language for language, _ in store._current().manifest.segments[0].languages] == ["de", "en", "ja"]


@pytest.mark.parametrize(("smallest", "versions"), [(30, 2), (31, 1)])
def test_one_piece_in_bulk_is_written_again_for_its_graph_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, smallest: int, versions: int
) -> None:
    monkeypatch.setattr(graph, "MIN_ROWS", smallest)
    monkeypatch.setattr(graph, "VISITS", 0)
    store = EmbeddedStore.create(tmp_path, vector_fields=("plain",), dimension=DIMENSION)
    before = store._current().manifest.version
    with store.bulk():
        store.upsert([Document(str(row), "x") for row in range(30)], {"plain": Dice(0).vectors(30)})
    assert store._current().manifest.version == before + versions
    assert bool(store._current().segments[0].tables["plain"].graph) == (versions == 2)


def test_segments_stay_few_within_a_bulk_load_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MIN_ROWS", 100)
    monkeypatch.setattr(graph, "VISITS", 0)
    vectors = Dice(0).vectors(200)
    store = EmbeddedStore.create(tmp_path, vector_fields=("plain",), dimension=DIMENSION)
    with store.bulk():
        for number in range(200):
            store.upsert([Document(str(number), "x")], {"plain": vectors[number : number + 1]})
            assert len(store._current().segments) < 3 * segment_writer.MERGED
            assert not any(segment.tables["plain"].graph for segment in store._current().segments)
    (segment,) = store._current().segments
    assert segment.tables["plain"].graph
    np.testing.assert_array_equal(store.vectors("plain", [str(row) for row in range(200)]), vectors.astype(np.float16))


def test_what_a_broken_bulk_load_leaves_gets_its_graph_at_the_next_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "MIN_ROWS", 30)
    monkeypatch.setattr(graph, "VISITS", 0)
    store = EmbeddedStore.create(tmp_path, vector_fields=("plain",), dimension=DIMENSION)

    def load() -> None:
        with store.bulk():
            store.upsert([Document(str(row), "x") for row in range(30)], {"plain": Dice(0).vectors(30)})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load()
    assert not store._current().segments[0].tables["plain"].graph
    store.upsert([Document("more", "x")], {"plain": Dice(1).vectors(1)})
    assert [(len(each.texts), bool(each.tables["plain"].graph)) for each in store._current().segments] == [
        (1, False),
        (30, True),
    ]


def test_segments_stay_few(tmp_path: Path) -> None:
    store = EmbeddedStore.create(tmp_path, vector_fields=("plain",), dimension=DIMENSION)
    one = unit(np.ones((1, DIMENSION)))
    for number in range(40):
        store.upsert([Document(str(number % 30), "x")], {"plain": one})
        assert len(store._current().segments) < 2 * segment_writer.MERGED
        # What was merged again, too, is off the disk.
        assert len(list((tmp_path / "segments").iterdir())) == len(store._current().segments)
    assert store.counts() == {"": 30}
