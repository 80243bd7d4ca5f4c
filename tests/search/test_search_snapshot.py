"""Snapshots: copies of an index that others use."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from search_made import Biased, documents

from panglot._errors import PanglotError
from panglot.cli.index import index_command
from panglot.search.document import Document
from panglot.search.index import Index
from panglot.search.metadata import NAME, snapshot


def test_a_snapshot_is_as_the_index_was_and_independent_of_it(tmp_path: Path) -> None:
    index = Index.build(documents(), tmp_path / "index", model=Biased())
    index.delete(["topic1-de"])
    before = index.search("<de> topic3", k=200, language="de", mode="balanced").hits
    runner = CliRunner()
    command = ["--output", str(tmp_path / "index"), "--snapshot", str(tmp_path / "copy")]
    done = runner.invoke(index_command, command, catch_exceptions=False)
    assert done.output == f"{tmp_path}/copy: a copy of {tmp_path}/index\n"
    links = [path.stat().st_nlink for path in (tmp_path / "copy" / "store" / "segments").rglob("*.npy")]
    assert links
    assert set(links) == {2}
    # Writes to either change nothing of the other.
    index.delete([each.id for each in documents()[:60]])
    index.add([Document("new", "<de> topic3", "", "de")])
    copy = Index.open(tmp_path / "copy", model=Biased())
    assert copy.search("<de> topic3", k=200, language="de", mode="balanced").hits == before
    copy.delete([each.id for each in documents()])
    assert (len(copy), len(index)) == (0, 61)
    index.close()
    assert len(Index.open(tmp_path / "index", model=Biased())) == 61
    for wrong, message in (
        (command, "there is something already"),
        ([*command, "--delete", "x"], "--delete does nothing for a snapshot"),
        ([*command, "docs.jsonl"], "documents does nothing for a snapshot"),
        ([*command, "--hybrid"], "--hybrid does nothing for a snapshot"),
        (["--output", str(tmp_path / "nothing"), "--snapshot", str(tmp_path / "other")], "no index here"),
    ):
        with pytest.raises(PanglotError, match=message):
            runner.invoke(index_command, wrong, catch_exceptions=False)
    assert not (tmp_path / "other").exists()


def test_a_snapshot_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Index.build(documents(), tmp_path / "index", model=Biased()).close()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "hardlink_to", full)
    monkeypatch.setattr("panglot.search.storage.manifest.shutil.copy2", full)
    with pytest.raises(PanglotError, match="No space left"):
        snapshot(tmp_path / "index", tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["index"]
    monkeypatch.undo()
    # On another disk there are no links.
    monkeypatch.setattr(Path, "hardlink_to", full)
    snapshot(tmp_path / "index", tmp_path / "copy")
    assert len(Index.open(tmp_path / "copy", model=Biased())) == 120


def test_a_snapshot_says_to_be_built_from_the_documents_that_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process writes while the files are copied."""
    writer = Index.build(documents()[1:], tmp_path / "index", model=Biased())
    threads: list[threading.Thread] = []

    def copy(source: Path, target: Path) -> None:
        shutil.copy(source, target)
        if source.name == NAME:
            threads.append(threading.Thread(target=writer.add, args=(documents()[:1],)))
            threads[0].start()
            threads[0].join(1)  # It waits for the lock.

    with monkeypatch.context() as patch:
        patch.setattr("panglot.search.metadata.shutil.copy2", copy)
        snapshot(tmp_path / "index", tmp_path / "copy")
    threads[0].join()
    assert len(writer) == 120
    assert len(Index.build(documents()[1:], tmp_path / "copy", model=Biased())) == 119
    # A write that begins earlier has forgotten the digest.
    snapshot(tmp_path / "index", tmp_path / "later")
    with pytest.raises(PanglotError, match="contains an index already"):
        Index.build(documents()[1:], tmp_path / "later", model=Biased())


def test_a_snapshot_that_is_put_in_the_place_of_its_index_is_its_successor(tmp_path: Path) -> None:
    served = Index.build(documents()[1:], tmp_path / "index", model=Biased())
    snapshot(tmp_path / "index", tmp_path / "copy")
    assert served.successor() is None
    served.add(documents()[:1])
    assert served.successor() is None
    (tmp_path / "index").rename(tmp_path / "old")
    (tmp_path / "copy").rename(tmp_path / "index")
    with pytest.raises(PanglotError, match="put in the place"):
        served.add(documents()[:1])
    restored = served.successor()
    assert restored is not None
    assert (len(served), len(restored)) == (120, 119)
    restored.add(documents()[:1])
    assert len(restored) == 120
    assert restored.successor() is None
