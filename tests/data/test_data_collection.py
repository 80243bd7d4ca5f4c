"""Collections: digests, parts, and walks over their tables."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panglot._files import digest
from panglot.data import collection, columns
from panglot.data.collection import Collection, Text

values = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@given(st.lists(st.tuples(values, values, values), max_size=6), st.integers(1, 4), st.integers(0, 9))
def test_the_digest_is_that_of_all_values(rows: list[tuple[str, str, str]], size: int, relevance: int) -> None:
    made = [Text(f"{i}{a}", b, c, a) for i, (a, b, c) in enumerate(rows)]
    whole = Collection.build("x", made, made, [(text.id, text.id, relevance) for text in made])
    tables = [pa.concat_tables(table.slice(start, size) for start in range(0, max(1, table.num_rows), size))
              for table in (whole.questions, whole.passages, whole.qrels)]  # fmt: skip
    columns = [column.to_pylist() for table in tables for column in table.itercolumns()]
    assert Collection("x", *tables).digest == digest(*(str(value) for column in columns for value in column))


@given(
    st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=4), st.lists(st.integers(0, 99), max_size=9)
)
def test_take(parts: list[list[int]], wanted: list[int]) -> None:
    column = pa.chunked_array(parts, pa.int64())
    rows = np.array([row % len(column) for row in wanted] if len(column) else [], np.int64)
    assert columns.take(column, rows).to_pylist() == [column[int(row)].as_py() for row in rows]


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
    columns.release()
    assert Collection.open(facts_folder).digest == before


def test_the_digest_of_a_large_collection_is_remembered_until_its_files_change(
    tmp_path: Path, facts: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(collection, "_LARGE", 1)
    facts.save(tmp_path / "facts")
    assert Collection.open(tmp_path / "facts").digest == facts.digest
    other = facts.select(["de"])
    other.save(tmp_path / "facts")
    assert Collection.open(tmp_path / "facts").digest == other.digest != facts.digest
    monkeypatch.setattr(Collection, "_digest", None)
    assert Collection.open(tmp_path / "facts").digest == other.digest
