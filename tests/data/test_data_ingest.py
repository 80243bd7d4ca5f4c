"""Reading rows in pieces, as columns, gives the same as the plain version that reads them one by one."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plain_ingest import plain_ingest

from panglot._errors import PanglotError
from panglot.data import collection, columns, files, ingest
from panglot.data.ingest import Ingested, OnError
from panglot.datasets.registry import read_usable

Row = Mapping[str, object]

texts = st.sampled_from(["a", "b", "c", "ü " * 3])
groups = st.none() | st.sampled_from(["g", "h", "i", "line-0000001", "line-0000002", "line-0000001-"])
sound = st.fixed_dictionaries(
    {"language": st.sampled_from(["en", "eng", "de", "zh_cn"]), "passage": texts},
    optional={"group": groups, "question": texts, "id": st.integers(0, 10**6)},
)
# Rows in which anything may be wrong: absent, blank, of another type, of no language, repeated.
odd = st.dictionaries(
    st.sampled_from(["language", "group", "question", "passage", "id", "test_only", "other"]),
    st.sampled_from([None, "en", "de", "xx-nope", "", " ", "g", "yes", 1, 2.5, True, "\ud800", "a"]),
    max_size=6,
)
# Rows that can be read and often disagree.
clashing = st.fixed_dictionaries(
    {"language": st.sampled_from(["en", "eng", "de"])},
    optional={"group": st.sampled_from(["g", "h"]), "question": st.sampled_from(["q", "r"]),
              "passage": st.sampled_from(["a", "b"]), "id": st.sampled_from(["1", "2", "3"])},
)  # fmt: skip
unreadable = st.sampled_from(
    [b"", b"  ", b"[1]", b"{", b'{"language": "en", "passage": "\xe9"}', b"\xef\xbb\xbf{}", b"7\r", b"\xc2\xa0"]
)


def encoded(values: Row) -> bytes:
    return json.dumps(values).encode()


lines = (
    st.lists(sound.map(encoded), min_size=1, max_size=9)
    | st.lists((sound | odd).map(encoded), min_size=1, max_size=5)
    | st.lists((clashing | odd).map(encoded) | unreadable, min_size=1, max_size=9)
)
number = itertools.count()


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pieces so small that a few rows fill many."""
    monkeypatch.setattr(files, "_PIECE", 90)
    monkeypatch.setattr(ingest, "_PIECE", 2)
    monkeypatch.setattr(ingest, "BATCH", 3)
    monkeypatch.setattr(ingest, "_SPOOLED", 50)
    monkeypatch.setattr(columns, "BATCH", 3)


def write(path: Path, values: Sequence[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in values), encoding="utf-8")
    return path


def outcome(make: Callable[[], Ingested]) -> tuple[object, ...]:
    try:
        found, rejected = make()
    except PanglotError as error:
        return "error", str(error)
    tables = [each.to_pylist() for each in (found.questions, found.passages, found.qrels)]
    return found.name, dict(found.metadata), found.digest, *tables, list(rejected)


def agrees(paths: list[Path] | Path, folder: Path, on_error: OnError) -> tuple[object, ...]:
    """Check that reading into memory and into a folder agrees with the plain version; return its result."""
    expected = outcome(lambda: plain_ingest(paths, on_error=on_error))
    assert outcome(lambda: ingest.ingest(paths, on_error=on_error)) == expected
    assert outcome(lambda: ingest.ingest(paths, folder, on_error=on_error)) == expected
    return expected


@pytest.mark.usefixtures("small_pieces")
@given(lines, lines, st.booleans(), st.sampled_from(["raise", "skip"]))
@example([], [b'{"language": "en", "question": "q", "test_only": "yes"}'], False, "skip")
@settings(max_examples=250)
def test_the_same_collection_rejected_rows_and_error(
    tmp_path: Path, one: list[bytes], two: list[bytes], ended: bool, on_error: OnError
) -> None:
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for path, found in zip(paths, (one, two), strict=True):
        path.write_bytes(b"\n".join(found) + (b"\n" if ended else b""))
    agrees(paths, tmp_path / "out", on_error)
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_gzip_and_parquet(tmp_path: Path, on_error: OnError) -> None:
    values: list[Row] = [
        {"group": f"g{i // 2}", "language": ("de", "en")[i % 2], "question": f"q{i}", "passage": f"p{i}"}
        for i in range(11)
    ]
    plain = write(tmp_path / "mine.jsonl", values)
    zipped = tmp_path / "mine.jsonl.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    table = tmp_path / "mine.parquet"
    pq.write_table(pa.Table.from_pylist(values), table)
    expected = agrees(plain, tmp_path / "out", on_error)
    assert agrees(zipped, tmp_path / "out", on_error) == expected
    assert agrees(table, tmp_path / "out", on_error) == expected
    zipped.write_bytes(zipped.read_bytes()[:-12])
    assert "cut short" in str(agrees(zipped, tmp_path / "out", on_error))


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_table_with_rows_that_cannot_be_used(tmp_path: Path, on_error: OnError) -> None:
    values: list[Row] = [{"language": "en", "group": f"g{n // 2}", "question": f"q{n}", "passage": f"p{n}"}
                         for n in range(40)]  # fmt: skip
    values += [{"language": "de", "group": "g0", "question": "alone?", "passage": None}] * 2
    values += [{"language": "de", "group": "other", "question": "alone?", "passage": None}]
    table = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(values), table)
    found = agrees(table, tmp_path / "out", on_error)
    assert found[0] == "error" if on_error == "raise" else len(found[-1]) == 21  # type: ignore[arg-type]
    pq.write_table(pa.table({"language": ["en", "nope"], "passage": ["p", "r"], "question": ["q", None],
                             "group": [1, 2]}), table)  # fmt: skip
    assert "unknown language code" in str(agrees(table, tmp_path / "out", on_error))


def test_a_wrong_line_before_an_unreadable_one_is_named_first(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"language": "en", "passage": "p"}\n{oops\n{"language": "en", "passage": "\xe9"}\n')
    assert "line 2" in str(agrees(path, tmp_path / "out", "raise"))


def test_of_a_question_and_its_answer_that_disagrees_the_answer_is_named(tmp_path: Path) -> None:
    values: list[Row] = [
        {"language": "en", "id": 1, "question": "q", "passage": "p"},
        {"language": "en", "group": "g", "question": "r"},
        {"language": "en", "group": "g", "id": 1, "passage": "s"},
    ]
    assert "line 3" in str(agrees(write(tmp_path / "a.jsonl", values), tmp_path / "out", "raise"))


@pytest.fixture
def all_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make any file a large one, which is kept in the cache."""
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ingest, "LARGE", 0)


@pytest.mark.usefixtures("small_pieces", "all_large")
@given(lines)
@settings(max_examples=60)
def test_a_large_file_keeps_its_rejected_rows_in_the_cache(tmp_path: Path, found: list[bytes]) -> None:
    # A separate file: the cache cannot distinguish two files of the same size and time.
    path = tmp_path / f"{next(number)}.jsonl"
    path.write_bytes(b"\n".join(found))
    if not path.read_bytes().strip():
        return
    expected, rejected = plain_ingest(path, on_error="skip")
    for _ in range(2):
        usable, others = read_usable(path)
        assert list(others) == rejected or (not rejected and usable is None)
        assert (usable is None) == (not expected.questions.num_rows)
        if usable is not None:
            assert (usable.digest, usable.name, usable.metadata) == (expected.digest, expected.name, expected.metadata)
            assert usable.folder is not None


@pytest.mark.usefixtures("all_large")
def test_without_a_cache_a_large_file_is_read_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"language": "en", "question": "q", "passage": "p"}\n{\n')
    monkeypatch.setattr(collection, "_writable", lambda _: False)
    monkeypatch.setenv("PANGLOT_CACHE", str(path / "no folder"))
    found, rejected = read_usable(path)
    assert found is not None
    assert (found.questions.num_rows, found.folder, [error.line for error in rejected]) == (1, None, [2])
    with pytest.raises(PanglotError, match="no such file"):
        read_usable(tmp_path / "absent.jsonl")


@pytest.mark.usefixtures("all_large")
def test_a_folder_of_files_is_read_without_its_wrong_rows(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    write(folder / "a.jsonl", [{"language": "en", "group": "g", "question": "q"}, {"language": "en"}])
    write(folder / "b.jsonl", [{"language": "en", "group": "g", "passage": "p"}, {"language": "xx", "passage": "p"}])
    found, rejected = read_usable(folder)
    assert found is not None
    assert found.name == "parts"
    assert [(Path(error.file).name, error.line) for error in rejected] == [("a.jsonl", 2), ("b.jsonl", 2)]
    assert rejected[1:] == [rejected[1]]
