"""Files of documents and rows: one format for every command, with columns under any names."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from panglot._errors import PanglotError
from panglot.data.rows import document_rows
from panglot.datasets.registry import read_path

ROWS = [{"nr": "1", "body": "a text", "page": "7"}, {"nr": "2", "body": "another", "page": "8"}]
COLUMNS = {"id": "nr", "text": "body"}
FOUND = [{"id": "1", "text": "a text", "page": "7"}, {"id": "2", "text": "another", "page": "8"}]


def written(folder: Path, name: str) -> Path:
    path = folder / name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif name.endswith("json"):
        path.write_text(json.dumps(ROWS))
    elif "sv" in name:
        mark = "\t" if name.endswith(".tsv") else ","
        path.write_text("\n".join(mark.join(cells) for cells in (ROWS[0].keys(), *(row.values() for row in ROWS))))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.ndjson", "a.json", "a.parquet"])
def test_columns_may_have_other_names_in_every_form(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name)
    assert [values for _, values in document_rows(path, ("id", "text"), COLUMNS)] == FOUND
    with pytest.raises(PanglotError, match=r'field "boddy".*--column text=NAME'):
        list(document_rows(path, ("id", "text"), {"id": "nr", "text": "boddy"}))
    with pytest.raises(PanglotError, match=r"unknown field of documents: 'body'.*use id, text"):
        document_rows(path, ("id", "text"), {"body": "text"})


def test_a_column_that_is_named_hides_the_one_with_the_name_of_the_field(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text,long\n1,short,the long text\n")
    assert list(document_rows(path, ("id", "text"), {"text": "long"})) == [(2, {"id": "1", "text": "the long text"})]


def test_the_id_of_beir_is_an_id(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"_id": "d1", "title": "T", "text": "x"}\n')
    assert list(document_rows(path, ("id", "text"))) == [(1, {"id": "d1", "title": "T", "text": "x"})]
    table = tmp_path / "corpus.csv"
    table.write_text("_id,text\nd1,x\n")
    assert list(document_rows(table, ("id", "text"))) == [(2, {"id": "d1", "text": "x"})]


@pytest.mark.parametrize(("ending", "mark"), [("csv", ","), ("csv", ";"), ("tsv", "\t")])
def test_a_table_of_rows_is_a_data_set(tmp_path: Path, ending: str, mark: str) -> None:
    rows = ["group language question passage", "1 en When? Now.", '1 de Wann? "Jetzt\noder nie."', "2 en How? So."]
    path = tmp_path / f"rows.{ending}"
    path.write_text("\n".join(row.replace(" ", mark, 3) for row in rows))
    found = read_path(path)
    assert found.languages == ["de", "en"] or set(found.languages) == {"de", "en"}
    assert sorted(found.passages["text"].to_pylist()) == ["Jetzt\noder nie.", "Now.", "So."]
    assert found.questions.num_rows == 3


def test_a_wrong_row_of_a_table_has_its_line_and_columns_that_are_missing_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('language,question,passage\nen,When?,"Now,\nor never."\nklingonese,How?,So.\n')
    with pytest.raises(PanglotError, match=r'line 4, field "language": unknown language code'):
        read_path(path)
    path.write_text("question,answer\nWhen?,Now.\n")
    with pytest.raises(PanglotError, match=r"there are: question, answer.*from-docs --column"):
        read_path(path)


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "sep=;\r"])
def test_a_table_may_state_what_separates_its_cells(tmp_path: Path, first: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(f"\ufeff{first}\nid;text\n1;one, two\n2;three;four\n".encode())
    rows = document_rows(path, ("id", "text"))
    assert next(rows) == (3, {"id": "1", "text": "one, two"})
    with pytest.raises(PanglotError, match="line 4: 3 cells, expected 2"):
        next(rows)
