"""Documents are read once, then again from a spool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from search_made import Biased, documents, use_memory

from panglot import PanglotError
from panglot.search.document import Document
from panglot.search.index import Index
from panglot.search.ingest.build import spool, spooled


def test_what_is_kept_comes_again_in_its_pieces(tmp_path: Path) -> None:
    pieces = [documents(("de",)), [Document("a", "x\n", metadata={"n": 1, "ok": True, "s": "ü"})], documents(("ja",))]
    path = tmp_path / "new" / "documents.arrows"
    assert list(spool(pieces, path)) == pieces
    assert list(spooled(path)) == pieces


def test_no_more_is_read_than_is_asked_for(tmp_path: Path) -> None:
    taken: list[int] = []

    def endless() -> Iterator[list[Document]]:
        while True:
            taken.append(1)
            yield [Document("a", "x")]

    done = spool(endless(), tmp_path / "documents.arrows")
    next(done)
    next(done)
    assert len(taken) == 2


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PanglotError, match="cannot write"):
        list(spool([documents()], tmp_path / "file" / "documents.arrows"))


def test_an_index_reads_its_documents_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_memory(monkeypatch)
    assert len(Index.build(iter(documents()), tmp_path / "index", model=Biased())) == 120
    assert not (tmp_path / "index" / "shards").exists()
