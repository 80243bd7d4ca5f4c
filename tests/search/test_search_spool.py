"""Documents are read once, then again from a spool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from search_made import Biased, documents, use_memory

from panglot import PanglotError
from panglot.encoders.protocol import Side, Vectors
from panglot.search.document import Document
from panglot.search.index import Index
from panglot.search.ingest.build import digest_of, spool, spooled
from panglot.search.metadata import IndexMetadata


def test_what_is_kept_comes_again_in_its_pieces(tmp_path: Path) -> None:
    pieces = [documents(("de",)), [Document("a", "x\n", metadata={"n": 1, "ok": True, "s": "ü"})], documents(("ja",))]
    path = tmp_path / "new" / "documents.arrows"
    count, digest = digest_of(spool(pieces, path))
    assert count == sum(map(len, pieces))
    assert list(spooled(path)) == pieces
    # The digest is that of the documents, however they come.
    assert digest_of([each] for piece in pieces for each in piece) == (count, digest)
    assert digest_of(pieces[:2])[1] != digest


def test_all_documents_are_checked_before_one_is_encoded(tmp_path: Path) -> None:
    model = Biased()
    rows = [*documents(), {"id": "last", "text": [7]}]
    with pytest.raises(PanglotError, match="must be a text or a number, got list"):
        Index.build(rows, tmp_path / "index", model=model)
    assert len(model.seen) == 1  # the probe


class Opposite(Biased):
    """Another model."""

    def __init__(self) -> None:
        super().__init__()
        self.fingerprint = "opposite"

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        return -super().encode(texts, side, ids=ids)


def test_a_finished_build_is_repeated_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_memory(monkeypatch)
    folder, model, told = tmp_path / "index", Biased(), list[str]()
    Index.build(documents(), folder, model=model)
    before, seen = (folder / "index.json").read_bytes(), len(model.seen)
    assert len(Index.build(documents(), folder, model=model, progress=told.append)) == 120
    assert (folder / "index.json").read_bytes() == before
    assert len(model.seen) == seen
    assert told == [f"{folder} was built from these documents already"]
    with pytest.raises(PanglotError, match="an index already, of other documents"):
        Index.build(documents()[1:], folder, model=model)
    with pytest.raises(PanglotError, match="is not a copy of it"):
        Index.build(documents(), folder, model=Opposite())


def test_an_index_that_was_changed_is_not_taken_for_the_one_that_was_built(tmp_path: Path) -> None:
    folder, model = tmp_path / "index", Biased()
    changes: tuple[Callable[[Index], object], ...] = (
        lambda index: index.add([Document("new", "<de> more", language="de")]),
        lambda index: index.delete(["topic3-de"]),
    )
    index = Index.build(documents(), folder, model=model)
    index.delete(["nothing"])
    assert IndexMetadata.open(folder).digest
    for change in changes:
        change(index)
        with pytest.raises(PanglotError, match=r"an index already\. Fix: add to it"):
            Index.build(documents(), folder, model=model)
        # Now it holds them again, and that is known.
        index.update(documents())
        assert len(Index.build(documents(), folder, model=model)) == 120


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PanglotError, match="cannot write"):
        digest_of(spool([documents()], tmp_path / "file" / "documents.arrows"))


def test_an_index_reads_its_documents_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_memory(monkeypatch)
    assert len(Index.build(iter(documents()), tmp_path / "index", model=Biased())) == 120
    assert not (tmp_path / "index" / "shards").exists()
