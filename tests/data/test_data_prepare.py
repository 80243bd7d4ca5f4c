"""Preparing files of rows piece by piece gives what reading them whole gives."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot._files import digest
from panglot.data import arrow, chunks, ingest, keys
from panglot.data import rows as jsonl
from panglot.data import rows as parquet
from panglot.data.collection import Collection, Text

Row = dict[str, object]

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
lines = st.lists(sound, min_size=1, max_size=9) | st.lists(sound | odd, min_size=1, max_size=5)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pieces so small that a few rows are many of them."""
    monkeypatch.setattr(chunks, "_STRETCH", 90)
    monkeypatch.setattr(ingest, "_PIECE", 2)
    monkeypatch.setattr(ingest, "BATCH", 3)
    monkeypatch.setattr(arrow, "BATCH", 3)


def write(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def outcome(make: object) -> tuple[object, ...]:
    try:
        found: Collection = make()  # type: ignore[operator]
    except PanglotError as error:
        return "error", str(error)
    tables = [each.to_pylist() for each in (found.questions, found.passages, found.relevance)]
    return found.name, found.about, found.digest, *tables


@pytest.mark.usefixtures("small_pieces")
@given(lines, lines)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_collection_or_the_same_error(tmp_path: Path, one: list[Row], two: list[Row]) -> None:
    paths = [write(tmp_path / "a.jsonl", one), write(tmp_path / "b.jsonl", two)]
    assert outcome(lambda: ingest.prepare(paths, tmp_path / "out")) == outcome(lambda: jsonl.read_jsonl(paths))
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


@pytest.mark.usefixtures("small_pieces")
def test_gzip_and_parquet(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"group": f"g{i // 2}", "language": ("de", "en")[i % 2], "question": f"q{i}", "passage": f"p{i}"}
        for i in range(11)
    ]
    plain = write(tmp_path / "mine.jsonl", rows)
    zipped = tmp_path / "mine.jsonl.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    table = tmp_path / "mine.parquet"
    pq.write_table(pa.Table.from_pylist(rows), table)
    expected = outcome(lambda: jsonl.read_jsonl(plain))
    for path in (plain, zipped, table):
        assert outcome(lambda path=path: ingest.prepare(path, tmp_path / "out")) == expected
    assert outcome(lambda: parquet.read_parquet(table)) == expected
    zipped.write_bytes(zipped.read_bytes()[:-12])
    broken = outcome(lambda: ingest.prepare(zipped, tmp_path / "out"))
    assert broken == outcome(lambda: jsonl.read_jsonl(zipped))
    assert broken[0] == "error"


def test_a_wrong_line_before_an_unreadable_one_is_named_first(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"language": "en", "passage": "p"}\n{oops\n{"language": "en", "passage": "\xe9"}\n')
    told = outcome(lambda: ingest.prepare(path, tmp_path / "out"))
    assert told == outcome(lambda: jsonl.read_jsonl(path))
    assert "line 2" in str(told)


def test_keys_of_one_hash_are_told_apart() -> None:
    made = keys.Keys(np.array([7, 7, 7, 1, 7]), np.array([1, 2, 1, 1, 2], np.uint32))
    assert keys.first_of(made).tolist() == [0, 1, 0, 3, 1]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=20))
@settings(deadline=None)
def test_what_hangs_together(pairs: list[tuple[int, int]]) -> None:
    from panglot.data.keys import DisjointSets

    ties = DisjointSets[int]()
    for member in range(13):
        ties.first(member)
    for pair in pairs:
        ties.join(pair)
    left, right = (np.array([pair[side] for pair in pairs], np.int32) for side in (0, 1))
    assert keys.smallest_together(13, left, right).tolist() == [ties.first(member) for member in range(13)]


values = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@given(st.lists(st.tuples(values, values, values), max_size=6), st.integers(1, 4), st.integers(0, 9))
@settings(deadline=None)
def test_the_digest_is_that_of_all_values(rows: list[tuple[str, str, str]], size: int, grade: int) -> None:
    made = [Text(f"{i}{a}", b, c, a) for i, (a, b, c) in enumerate(rows)]
    whole = Collection.build("x", made, made, [(text.id, text.id, grade) for text in made])
    tables = [pa.concat_tables(table.slice(start, size) for start in range(0, max(1, table.num_rows), size))
              for table in (whole.questions, whole.passages, whole.relevance)]  # fmt: skip
    columns = [column.to_pylist() for table in tables for column in table.itercolumns()]
    assert Collection("x", *tables).digest == digest(*(str(value) for column in columns for value in column))


@given(
    st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=4), st.lists(st.integers(0, 99), max_size=9)
)
@settings(deadline=None)
def test_take(parts: list[list[int]], wanted: list[int]) -> None:
    column = pa.chunked_array(parts, pa.int64())
    rows = np.array([row % len(column) for row in wanted] if len(column) else [], np.int64)
    assert arrow.take(column, rows).to_pylist() == [column[int(row)].as_py() for row in rows]


def test_keeping_into_a_folder(tmp_path: Path, facts: Collection) -> None:
    chance = np.random.default_rng(3)
    questions, passages = (chance.random(table.num_rows) < 0.5 for table in (facts.questions, facts.passages))
    held = facts.keep(questions, passages)
    kept = facts.keep(questions, passages, tmp_path / "kept")
    assert (kept.digest, kept.name, kept.folder) == (held.digest, "facts", tmp_path / "kept")
    assert held.folder is None
    assert facts.select(["de"], tmp_path / "de").digest == facts.select(["de"]).digest
    again = pickle.loads(pickle.dumps(kept))
    assert (again.digest, again.folder) == (kept.digest, kept.folder)
    assert len(pickle.dumps(kept)) < 1000
    assert pickle.loads(pickle.dumps(held)).digest == held.digest


def test_pages_given_back_are_read_again(facts_folder: Path) -> None:
    found = Collection.open(facts_folder)
    before = found.digest
    arrow.release()
    assert Collection.open(facts_folder).digest == before
