"""The embedded store: crashes, damage, readers beside writers."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_store_model import DIMENSION, VECTOR_FIELDS, Dice, Model, agree, clusters, filled, unit
from search_store_writer import operations

from panglot import PanglotError
from panglot.search.document import Document
from panglot.search.storage import embedded, graph, manifest, segment_writer
from panglot.search.storage.embedded import EmbeddedStore
from panglot.search.storage.manifest import Manifest
from panglot.search.storage.segments import Version


def made(folder: Path, seed: int = 0, calls: int = 6) -> tuple[EmbeddedStore, Model]:
    store, model = EmbeddedStore.create(folder, vector_fields=VECTOR_FIELDS, dimension=DIMENSION), Model()
    for _ in islice(zip(operations(seed, store), operations(seed, model), strict=True), calls):
        pass
    return store, model


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_a_kill_loses_nothing_that_was_acknowledged_and_keeps_nothing_by_half(kills: int, tmp_path: Path) -> None:
    dice = random.Random(kills)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    for seed in range(kills):
        folder = tmp_path / "store"
        shutil.rmtree(folder, ignore_errors=True)
        EmbeddedStore.create(folder, vector_fields=VECTOR_FIELDS, dimension=DIMENSION)
        command = [sys.executable, str(Path(__file__).with_name("search_store_writer.py")), str(folder), str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as child:
            assert child.stdout
            done = [int(child.stdout.readline())]
            time.sleep(dice.random() * 0.3)
            child.kill()
            done += [int(line) for line in child.stdout if line.endswith("\n")]
        store, model = EmbeddedStore(folder), Model()
        steps = operations(seed, model)
        while next(steps) < done[-1]:
            pass
        try:
            agree(store, model, Dice(seed))
        except AssertionError:
            next(steps)  # The call that was killed had been carried out.
            agree(store, model, Dice(seed))
        store.upsert(*Dice(99).documents(6))
        model.upsert(*Dice(99).documents(6))
        agree(store, model, Dice(seed))
        assert len(list((folder / "segments").iterdir())) == len(Manifest.read(folder).segments)


@pytest.mark.parametrize("step", range(14))
def test_a_call_that_fails_at_any_file_is_carried_out_as_a_whole_or_not_at_all(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_writer, "MERGED", 2)
    store, model = made(tmp_path, seed=5)
    documents, vectors = Dice(7).documents(6)
    left = step
    sync = manifest.sync

    def full(path: Path) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device")
        sync(path)

    monkeypatch.setattr(manifest, "sync", full)
    version = store._current().manifest.version
    refused = ""
    try:
        store.upsert(documents, vectors)
    except PanglotError as error:
        refused = str(error)
    monkeypatch.setattr(manifest, "sync", sync)
    assert not refused or "No space" in refused
    if not refused or EmbeddedStore(tmp_path)._current().manifest.version > version:
        model.upsert(documents, vectors)
    for each in (EmbeddedStore(tmp_path), store):
        each.refresh()
        agree(each, model, Dice(1))
    assert store.delete(["nobody", *model.documents]) == len(model.documents)
    assert store.counts() == {}


def test_a_write_that_fails_leaves_nothing_and_a_deletion_works_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, model = made(tmp_path)
    reserve, described = tmp_path / embedded.RESERVE, manifest.describe_file

    def full(path: Path) -> tuple[int, str]:
        if reserve.exists():
            raise OSError(28, "No space left on device")
        return described(path)

    monkeypatch.setattr(manifest, "describe_file", full)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(PanglotError, match=r"No space left.*free some space"):
        store.upsert(*Dice(7).documents(6))
    assert set(tmp_path.rglob("*")) == before
    some = sorted(model.documents)[:1]
    assert store.delete(some) == model.delete(some) == 1
    agree(store, model, Dice(1))
    assert reserve.exists()


def test_a_merge_that_fails_does_not_fail_the_write_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_writer, "MERGED", 2)
    store, model = made(tmp_path, calls=1)
    write = Manifest.write
    merging: list[bool] = []

    def full(self: Manifest, folder: Path) -> None:
        if merging:
            raise PanglotError("cannot write: No space left on device")
        merging.append(True)
        write(self, folder)

    monkeypatch.setattr(Manifest, "write", full)
    documents, vectors = Dice(7).documents(6)
    store.upsert(documents, vectors)
    model.upsert(documents, vectors)
    agree(store, model, Dice(1))


def test_a_reader_notices_a_store_that_another_index_put_there(tmp_path: Path) -> None:
    for build in ("a", ""):  # Stores of the first version have no build, but begin with a lower version.
        folder = tmp_path / f"store{build}"
        store = EmbeddedStore.create(folder, vector_fields=VECTOR_FIELDS, dimension=DIMENSION, build=build)
        store.upsert(*Dice(1).documents(3))
        found = store.counts()
        shutil.rmtree(folder)
        other = EmbeddedStore.create(folder, vector_fields=VECTOR_FIELDS, dimension=DIMENSION, build=build and "b")
        with pytest.raises(PanglotError, match="another index was put in the place of the one that is open"):
            store.refresh()
        with pytest.raises(PanglotError, match="another index"):
            store.delete(["d1"])
        assert store.counts() == found
        assert other.counts() == {}


def test_a_reader_keeps_its_version_until_it_asks_for_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_writer, "MERGED", 3)
    writer, model = made(tmp_path)
    reader, old = EmbeddedStore(tmp_path), Model()
    old.upsert(list(model.documents.values()), {
        field: np.stack([model.kept[field][each] for each in model.documents]) for field in VECTOR_FIELDS
    })  # fmt: skip
    assert not reader.refresh()
    dice = Dice(21)
    for _ in range(8):
        documents, vectors = dice.documents(6)
        writer.upsert(documents, vectors)
        model.upsert(documents, vectors)
        agree(reader, old, Dice(2), searches=1)
    assert reader.refresh()
    assert not reader.refresh()
    agree(reader, model, Dice(2))


def test_a_refresh_that_began_before_a_write_does_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = EmbeddedStore.create(tmp_path, vector_fields=("plain",), dimension=DIMENSION)
    open_version, entered, free = Version.open, threading.Event(), threading.Event()

    def slow(*given: Any) -> Any:
        found = open_version(*given)
        if threading.current_thread().name == "reader":
            entered.set()
            assert free.wait(30)
        return found

    monkeypatch.setattr(Version, "open", slow)
    reader = threading.Thread(target=store.refresh, name="reader")
    one = unit(np.ones((1, DIMENSION)))
    writer = threading.Thread(target=store.upsert, args=([Document("new", "x")], {"plain": one}))
    reader.start()
    assert entered.wait(30)
    writer.start()
    writer.join(2)  # It waits for the reader. If it did not, it would be done now.
    free.set()
    for thread in (reader, writer):
        thread.join(30)
    assert store.get(["new"]) == [Document("new", "x")]


def test_two_writers_take_turns(tmp_path: Path) -> None:
    """Neither loses the writes of the other, from threads with separate stores."""
    EmbeddedStore.create(tmp_path, vector_fields=("plain",), dimension=DIMENSION)
    one = unit(np.ones((1, DIMENSION)))

    def write(name: str) -> None:
        store = EmbeddedStore(tmp_path)
        for number in range(8):
            store.upsert([Document(f"{name}{number}", "x")], {"plain": one})

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, "abc"))
    assert EmbeddedStore(tmp_path).counts() == {"": 24}


@pytest.mark.usefixtures("same_graphs")
def test_many_threads_search_while_one_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MIN_ROWS", 2000)
    monkeypatch.setattr(graph, "VISITS", 0)
    vectors = clusters(3000)
    store = filled(tmp_path, vectors)
    assert store._current().segments[0].tables["plain"].graph
    wanted = store.search("plain", vectors[:16], 3)
    stop = threading.Event()

    def read(row: int) -> int:
        rounds = 0
        while not stop.is_set() or not rounds:
            assert store.search("plain", vectors[row : row + 1], 3) == wanted[row : row + 1]
            rounds += 1
        return rounds

    with ThreadPoolExecutor(16) as pool:
        read_by = [pool.submit(read, row) for row in range(16)]
        far = unit(-vectors[:1].sum(0, keepdims=True))
        for number in range(10):
            store.upsert([Document(f"new {number}", "x")], {"plain": far})
        stop.set()
        assert all(each.result() for each in read_by)


def test_damage_is_an_error_that_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MIN_ROWS", 10)
    monkeypatch.setattr(graph, "VISITS", 0)
    vectors = {vector_field: Dice(0).vectors(30) for vector_field in VECTOR_FIELDS}
    store = EmbeddedStore.create(tmp_path / "store", vector_fields=VECTOR_FIELDS, dimension=DIMENSION)
    store.upsert([Document(str(number), "x") for number in range(30)], vectors)
    store.delete(["3"])
    store.close()
    names = {path.name for path in (tmp_path / "store").rglob("*.*")}
    assert {"current.json", "documents.arrow", "keys.npy", "plain.npy", "plain.usearch", "deleted-4.npy"} <= names
    for path in sorted((tmp_path / "store").rglob("*.*")):
        whole = path.read_bytes()
        for damaged in (
            whole[:-2],
            b"",
            whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 4]) + whole[len(whole) // 2 + 1 :],
            None,
        ):
            path.unlink() if damaged is None else path.write_bytes(damaged)
            with pytest.raises(PanglotError) as caught:
                EmbeddedStore(tmp_path / "store")
            assert str(caught.value.file).endswith(path.name)
            assert caught.value.hint
            path.write_bytes(whole)
    assert EmbeddedStore(tmp_path / "store").counts() == {"": 29}


def test_large_files_are_read_to_check_them_only_on_demand_and_before_a_merge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EmbeddedStore.create(tmp_path, vector_fields=("plain",), dimension=DIMENSION)
    store.upsert([Document(str(number), "x") for number in range(300)], {"plain": Dice(0).vectors(300)})
    store.check()
    (segment,) = Manifest.read(tmp_path).segments
    monkeypatch.setattr(manifest, "READ", segment.files["plain.npy"][0] - 1)
    (path,) = tmp_path.glob("segments/*/plain.npy")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(PanglotError, match="truncated"):
        EmbeddedStore(tmp_path)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 4]))
    store = EmbeddedStore(tmp_path)  # It is not read.
    with pytest.raises(PanglotError, match="the checksum differs") as caught:
        store.check()
    assert caught.value.file == path
    # Most rows are deleted, so that the segment is due to be rewritten.
    with pytest.warns(RuntimeWarning, match=r"plain\.npy: damaged: the checksum differs\. Its segment is not merged"):
        store.delete([str(number) for number in range(200)])
    assert path.exists()
    assert store.counts() == {"": 100}
    path.write_bytes(whole)
    assert store.delete(["299"]) == 1
    assert not path.exists()


def test_a_newer_format_and_a_closed_store_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = made(tmp_path, calls=1)
    store.close()
    with pytest.raises(PanglotError, match="closed"):
        store.counts()
    monkeypatch.setattr(manifest, "FORMAT", 2)
    Manifest.read(tmp_path).write(tmp_path)
    monkeypatch.setattr(manifest, "FORMAT", 1)
    with pytest.raises(PanglotError, match="the format is 2"):
        EmbeddedStore(tmp_path)
