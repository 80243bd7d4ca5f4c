"""Rows read by Ray's workers make the same collection, to the byte."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from panglot._errors import PanglotError
from panglot.data import files, ray
from panglot.data.ingest import Reader, ingest
from panglot.data.row_columns import Piece, read_pieces

ROWS = [
    {"group": f"g{i // 2}", "language": ("de", "en")[i % 2], "question": f"q{i}?", "passage": f"passage {i % 700}"}
    for i in range(2000)
]


def text(rows: list[dict[str, str]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A plain file of many stretches, a gzipped one, and one with a mark at its start."""
    monkeypatch.setattr(files, "_PIECE", 20_000)
    found = [tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz", tmp_path / "c.jsonl"]
    found[0].write_text(text(ROWS[:900]))
    found[1].write_bytes(gzip.compress(text(ROWS[900:1800]).encode()))
    found[2].write_bytes(b"\xef\xbb\xbf" + text(ROWS[1800:]).encode())
    return found


def agrees(paths: list[Path], folder: Path, read: Reader) -> None:
    """Check that this way of reading makes the same files, and reports the first of two mistakes."""
    ingest(paths, folder / "plain")
    ingest(paths, folder / "ray", read=read)
    for name in ("questions.arrow", "passages.arrow", "qrels.arrow", "collection.json"):
        assert (folder / "plain" / name).read_bytes() == (folder / "ray" / name).read_bytes(), name
    paths[0].write_text(text(ROWS[:700]) + "{oops\n" + text(ROWS[700:900]) + '{"language": 5}\n')
    with pytest.raises(PanglotError, match=r"a.jsonl, line 701: not JSON") as found:
        ingest(paths, folder / "broken", read=read)
    assert found.value.hint
    plain, rayed = (ingest(paths, on_error="skip", read=each) for each in (read_pieces, read))
    assert [error.line for error in plain.rejected] == [701, 902]
    assert (rayed.collection.digest, rayed.rejected) == (plain.collection.digest, plain.rejected)
    with pytest.raises(PanglotError, match=r"absent.jsonl: cannot read"):
        ingest([*paths[1:], folder / "absent.jsonl"], read=read)


def test_tasks_make_the_same_bytes(paths: list[Path], tmp_path: Path) -> None:
    """Run the tasks of Ray's workers here, one after the other."""

    def read(path: Path) -> Iterator[Piece]:
        tasks = [pa.table({"task": [json.dumps(task)]}) for task in ray._tasks(path)]
        assert len(tasks) == 1 or path.name == "a.jsonl"
        return ray._pieces(table for task in tasks for table in ray._do(task))

    agrees(paths, tmp_path, read)


@pytest.mark.slow
def test_ray_makes_the_same_bytes(paths: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with ray.ray_reader(processors=1) as read:
        agrees(paths, tmp_path, read)


def test_ray_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PanglotError, match=r"needs ray.*pip install '.*\[ray\]'"), ray.ray_reader():
        pass


def test_a_cluster_is_not_asked_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://127.0.0.1:10001")
    with pytest.raises(PanglotError, match=r"outside a cluster.*RAY_ADDRESS=auto"), ray.ray_reader():
        pass
