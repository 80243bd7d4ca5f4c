"""Rows read by Ray's workers make the same collection, to the byte."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest

from panglot._errors import PanglotError
from panglot.corpus import on_ray, prepare

ROWS = [
    {"group": f"g{i // 2}", "language": ("de", "en")[i % 2], "question": f"q{i}?", "passage": f"passage {i % 700}"}
    for i in range(2000)
]


def text(rows: list[dict[str, str]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.slow
def test_the_same_bytes_and_the_same_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr(on_ray, "_STRETCH", 20_000)
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz", tmp_path / "c.jsonl"]
    paths[0].write_text(text(ROWS[:900]))
    paths[1].write_bytes(gzip.compress(text(ROWS[900:1800]).encode()))
    paths[2].write_text(text(ROWS[1800:]))
    prepare.prepare(paths, tmp_path / "plain")
    with on_ray.started(processors=1) as read:
        prepare.prepare(paths, tmp_path / "ray", read=read)
        paths[2].write_text(text(ROWS[1800:1900]) + "{oops\n" + text(ROWS[1900:]) + '{"language": 5}\n')
        with pytest.raises(PanglotError, match=r"c.jsonl, line 101: not JSON") as found:
            prepare.prepare(paths, tmp_path / "broken", read=read)
    assert found.value.cure
    for name in ("questions.arrow", "passages.arrow", "relevance.arrow", "collection.json"):
        one, other = ((tmp_path / folder / name).read_bytes() for folder in ("plain", "ray"))
        assert one == other, name


def test_ray_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PanglotError, match=r'needs Ray.*pip install "panglot\[ray\]"'), on_ray.started():
        pass
