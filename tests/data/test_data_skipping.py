"""A large file with broken lines: read in pieces, it gives what reading it whole gives."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.data import arrow, cache, chunks, skipping
from panglot.data.formats import detect
from panglot.datasets import check

values = st.sampled_from([None, "en", "de", "nope", "g", "h", "", " ", "x", "y", 1, 2.5, "yes"])
names = st.sampled_from(["language", "group", "question", "passage", "id", "test_only"])
fine = st.fixed_dictionaries(
    {"language": st.sampled_from(["en", "eng", "de"]), "passage": st.sampled_from(["a", "b"])},
    optional={"group": st.sampled_from(["g", "h"]), "question": st.sampled_from(["q", "r"]),
              "id": st.sampled_from(["1", "2", "3"])},
)  # fmt: skip
asking = st.fixed_dictionaries(
    {"language": st.sampled_from(["en", "de"]), "question": st.sampled_from(["q", "r"])},
    optional={"group": st.sampled_from(["g", "h"]), "id": st.sampled_from(["1", "2", "3"])},
)
objects = (fine | asking | st.dictionaries(names, values, max_size=5)).map(lambda row: json.dumps(row).encode())
odd = st.sampled_from([b"", b"  ", b"[1]", b"{", b'{"language": "en", "passage": "\xe9"}', b"\xef\xbb\xbf{}", b"7\r"])
number = itertools.count()


@pytest.fixture(autouse=True)
def pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make any file a large one, and pieces so small that a few lines are many of them."""
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(detect, "LARGE", 0)
    monkeypatch.setattr(chunks, "_STRETCH", 90)
    monkeypatch.setattr(arrow, "BATCH", 3)


def _alike(path: Path) -> None:
    expected, lines = check.read(path)
    found, broken = skipping.read(path)
    assert list(broken) == lines
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert (found.digest, found.name, found.about) == (expected.digest, expected.name, expected.about)
        assert found.folder is not None
    assert list(skipping.read(path)[1]) == lines


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(objects | odd, min_size=1, max_size=9), st.booleans())
def test_the_same_rows_stay_and_the_same_lines_go(tmp_path: Path, lines: list[bytes], ended: bool) -> None:
    # A file of its own: two of one size within a tick of the clock are one to the cache.
    path = tmp_path / f"{next(number)}.jsonl"
    path.write_bytes(b"\n".join(lines) + (b"\n" if ended else b""))
    if path.read_bytes().strip():
        _alike(path)


def test_a_cut_gzip_and_a_table(tmp_path: Path) -> None:
    rows = [{"language": "en", "group": f"g{n // 2}", "question": f"q{n}", "passage": f"p{n}"} for n in range(40)]
    rows += [{"language": "de", "group": "g0", "question": "alone?", "passage": None}] * 2
    rows += [{"language": "de", "group": "other", "question": "alone?", "passage": None}]
    whole = gzip.compress("\n".join(map(json.dumps, rows)).encode(), mtime=0)
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(whole[: len(whole) - 30])
    _alike(cut)
    assert list(skipping.read(cut)[1])[-1].problem == "the gzip data are damaged or cut short"
    table = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), table)
    _alike(table)
    assert len(skipping.read(table)[1]) == 21


def test_what_a_kill_left_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"language": "en", "question": "q", "passage": "p"}\n{\n')
    (kept,) = skipping.read(path)[1]
    assert kept.line == 2
    for aside in cache.folder().glob("*.broken.jsonl"):
        aside.unlink()
    assert list(skipping.read(path)[1]) == [kept]
    monkeypatch.setattr(cache, "writable", lambda _: False)
    for aside in cache.folder().glob("*.broken.jsonl"):
        aside.unlink()
    for head in cache.folder().glob("*/collection.json"):
        head.unlink()
    found, broken = skipping.read(path)
    assert found is not None
    assert (found.questions.num_rows, list(broken)) == (1, [kept])
    with pytest.raises(PanglotError, match="no such file"):
        skipping.read(tmp_path / "absent.jsonl")
