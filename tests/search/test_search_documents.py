"""Documents are read completely, in order, checked, each with a language."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.data.language import NO_LANGUAGE
from panglot.search.document import Document
from panglot.search.ingest import documents as reading
from panglot.search.ingest.documents import IdSet, read_documents

GERMAN = "Klicken Sie auf Drucken, um das ganze Dokument auf dem Drucker auszugeben."
ROWS = [
    {"id": "1", "text": 'Click "Print",\nthen OK.', "title": "Printing", "language": "eng", "group": "g", "page": "7"},
    {"id": "2", "text": "  Drucken, dann OK. ", "language": "de", "group": "g"},
    {"id": "3", "text": "ตกลง\u200b", "title": "พิมพ์", "language": "th_TH", "page": "9"},
]
DOCUMENTS = [
    Document("1", 'Click "Print",\nthen OK.', "Printing", "en", "g", {"page": "7"}),
    Document("2", "  Drucken, dann OK. ", "", "de", "g"),
    Document("3", "ตกลง\u200b", "พิมพ์", "th-TH", "", {"page": "9"}),
]


def lines(rows: Iterable[object]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def table(rows: list[dict[str, str]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def parquet(rows: list[dict[str, str]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def read(source: str | Path | Iterable[Document]) -> list[Document]:
    return [document for piece in read_documents(source) for document in piece]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_cells_of_a_table_may_be_separated_otherwise(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"id{delimiter}text\n1{delimiter}a text\n")
    assert [(each.id, each.text) for each in read(path)] == [("1", "a text")]


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.ndjson", "a.jsonl.gz", "A.JSONL", "a.csv", "a.csv.gz", "a.parquet", "mark.jsonl", "mark.csv"]
)
def test_every_form_gives_the_same_documents(tmp_path: Path, name: str) -> None:
    make = {"csv": table, "parq": parquet}.get(name.split(".")[1][:4].rstrip("."), lines)
    # Parquet has the columns of the first row only.
    data = make([{**dict.fromkeys(ROWS[0]), **row} for row in ROWS])  # type: ignore[arg-type,list-item]
    path = written(tmp_path, name, b"\xef\xbb\xbf" + data if name.startswith("mark") else data)
    assert read(path) == read(str(path)) == DOCUMENTS
    assert read(DOCUMENTS) == DOCUMENTS


ROW = st.fixed_dictionaries(
    {"text": st.text(min_size=1).filter(str.strip), "language": st.sampled_from(["en", "zh", "pt-BR"])},
    optional={
        "title": st.text(min_size=1).filter(str.strip),
        "group": st.text(min_size=1).filter(str.strip),
        "note": st.text(min_size=1),
        "count": st.integers(-(2**63), 2**63 - 1),
        "share": st.floats(allow_nan=False, allow_infinity=False),
        "draft": st.booleans(),
        "tags": st.lists(st.text(), max_size=3),
        "years": st.lists(st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)),
    },
)


@given(rows=st.lists(ROW, min_size=1, max_size=12), piece=st.integers(1, 5))
@settings(max_examples=40)
def test_what_is_written_as_json_lines_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]], piece: int
) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.jsonl"
    rows = [{"id": f"d{number}", **row} for number, row in enumerate(rows)]
    path.write_text("".join(json.dumps(row) + "\n\n" for row in rows), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "PIECE", piece)
        pieces = list(read_documents(path))
        assert list(read_documents(document for part in pieces for document in part)) == pieces
    assert all(len(part) == piece for part in pieces[:-1])
    named = ("id", "text", "title", "language", "group")
    for document, row in zip((each for part in pieces for each in part), rows, strict=True):
        assert [getattr(document, name) for name in named] == [row.get(name, "") for name in named]
        assert document.metadata == {name: value for name, value in row.items() if name not in named and value != []}
        assert [type(value) for value in document.metadata.values()] == [type(row[name]) for name in document.metadata]


def test_a_language_is_detected_where_nobody_says_it(tmp_path: Path) -> None:
    rows = [{"id": code or "none", "text": GERMAN, "language": code} for code in ("", *sorted(NO_LANGUAGE))]
    told: list[str] = []
    path = written(tmp_path, "a.jsonl", lines([*rows, {"id": "en", "text": GERMAN, "language": "en"}]))
    found = [document for piece in read_documents(path, progress=told.append) for document in piece]
    assert [document.language for document in found] == ["de"] * 5 + ["en"]
    assert told == ["6 documents; languages detected: de 5"]
    assert read([Document("1", "x", "Das Dokument wird jetzt auf dem Drucker gedruckt")])[0].language == "de"
    # Without letters there is no language.
    assert read([Document("1", "12")])[0].language == "und"


def test_lang_is_the_language_of_a_row_without_another_one(tmp_path: Path) -> None:
    rows: list[Any] = [
        {"id": "1", "text": GERMAN, "lang": "sw"},
        {"id": "2", "text": GERMAN, "lang": "sw", "language": ""},
        {"id": "3", "text": GERMAN, "lang": "python", "language": "en"},
        {"id": "4", "text": GERMAN, "lang": "und"},
        {"id": "5", "text": GERMAN, "lang": ["sw", "de"]},
    ]
    found = read(written(tmp_path, "a.jsonl", lines(rows)))
    assert found == read(rows)
    assert [each.language for each in found] == ["sw", "sw", "en", "de", "de"]
    assert [dict(each.metadata) for each in found] == [{}, {}, {"lang": "python"}, {}, {"lang": ["sw", "de"]}]
    with pytest.raises(PanglotError, match=r'a.jsonl, line 1, field "lang": unknown language code .python.'):
        read(written(tmp_path, "a.jsonl", lines([{"id": "1", "text": "print(1)", "lang": "python"}])))


def test_metadata_that_is_spelt_almost_like_a_field_is_said() -> None:
    told: list[str] = []
    row = {"id": "1", "text": "x", "language": "en", "Title": "T", "group ": "g", "titles": "U"}
    ((found,),) = read_documents([row], progress=told.append)
    assert (found.title, found.group) == ("", "")
    assert told == [
        "field Title: kept as metadata; if it is the title, call it `title`",
        "field group : kept as metadata; if it is the group, call it `group`",
        "1 documents",
    ]


def test_fields_of_several_kinds_are_counted_and_said() -> None:
    rows = [
        {"id": f"{number}", "text": "x", "language": "en", **fields}
        for number, fields in enumerate([
            {"year": 2024, "price": 1, "tags": ["a"], "version": "7"},
            {"year": 2025, "price": 2.5, "tags": "b", "version": 7},
            {"year": None, "price": 3, "tags": [], "version": "8"},
        ])
    ]  # fmt: skip
    told: list[str] = []
    assert len(list(read_documents(rows, progress=told.append))) == 1
    assert told == [
        "field price: int in 2 documents, float in 1; filters compare it as float",
        "field tags: list of text in 1 documents, text in 1; filters compare it as list of text",
        "field version: text in 2 documents, int in 1; it cannot be filtered by",
        "3 documents",
    ]


def test_numbers_may_be_ids_and_dates_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    day = dt.date(2026, 11, 26)
    pq.write_table(
        pa.table({"id": [7], "group": [1], "text": ["x"], "language": ["en"], "day": [day], "none": pa.nulls(1)}), path
    )
    assert read(path) == [Document("7", "x", language="en", group="1", metadata={"day": "2026-11-26"})]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"text": "x"}, r'field "id": `id` is missing or empty \(fields: text\)'),
        ({"id": "", "text": "x"}, r'field "id": `id` is missing'),
        ({"id": "b"}, r'field "text": `text` is missing or empty \(fields: id\)'),
        ({"id": "b", "text": " \n"}, r'field "text": `text` is missing'),
        ({"id": "b", "text": [5]}, r'field "text": must be a text or a number, got list'),
        ({"id": True, "text": "x"}, r'field "id": must be a text or a number, got bool'),
        ({"id": "b", "text": "x", "title": ["y"]}, r'field "title": must be a text or a number, got list'),
        ({"id": "b", "text": "\ud800"}, r'field "text": the text has half of a surrogate pair'),
        ({"id": "b", "text": "x", "language": "klingonese"}, r'field "language": unknown language code'),
        (
            {"id": "b", "text": "x", "tags": ["y", 1]},
            r'field "tags": the values of a list must be of one kind, got int and text',
        ),
        ({"id": "b", "text": "x", "tags": ["y", None]}, r'field "tags": a list must hold texts.*got null'),
        ({"id": "b", "text": "x", "tags": [["y"]]}, r'field "tags": a list must hold texts.*got a list'),
        ({"id": "b", "text": "x", "tags": [float("inf")]}, r'field "tags": inf is not a number'),
        (
            {"id": "b", "text": "x", "tags": {"y": 1}},
            r'field "tags": must be a text, a number.*got dict.*leave it out',
        ),
        (
            {"id": "b", "text": "x", "more": {"y": 1}},
            r'field "more": must be a text, a number.*got dict',
        ),
        ({"id": "b", "text": "x", "share": float("nan")}, r'field "share": nan is not a number'),
        ({"id": "b", "text": "x", "count": 2**63}, r'field "count": the number has more than 64 bits'),
        ({"id": "a", "text": "x"}, r'field "id": the id \'a\' is used before, in line 1.*each document its own id'),
        (["b", "x"], r"not a JSON object"),
    ],
)
def test_a_wrong_row_is_told_with_its_place(tmp_path: Path, values: object, message: str) -> None:
    good = [{"id": name, "text": "good", "language": "en"} for name in "ac"]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [good[0], values, good[1]]))
    with pytest.raises(PanglotError, match=rf"(?s)a\.jsonl, line 2.*{message}") as found:
        read(path)
    assert (found.value.file, found.value.line) == (path, 2)
    assert found.value.hint


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"x", "the name of the file has no known ending"),
        ("a.jsonl", b"", "the file is empty"),
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"id,text\n", "the file has no document"),
        ("a.jsonl", b'{"id": "1", "text": "x", "language": "en"}\n{"id": "2",\n', "line 2: not JSON"),
        ("a.jsonl", b'{"id": "1", "text": "\xff"}\n', "line 1: not UTF-8"),
        ("a.parquet", b"PAR1 no", "not a readable Parquet file"),
        (
            "a.csv",
            b"key;text\n1;x\n",
            r'line 1, field "id": there is no such column \(there are: key, text\)',
        ),
        ("a.csv", b"id,text,id\n1,x,1\n", 'line 1, field "id": each column needs a name of its own'),
        ("a.csv", b"id,text,a,a\n1,x,1,2\n", 'line 1, field "a": each column needs a name of its own'),
        ("a.csv", b'id,text\n1,"x\ny"\n2,x,y\n', "line 4: 3 cells, expected 2"),
        ("a.csv", b'id,text\n1,x\n2,"x\ny\n', "line 3: the row that begins here cannot be read"),
        ("a.csv", b'id,text\n1,"x" y\n', "line 2: the row that begins here cannot be read"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    with pytest.raises(PanglotError, match=rf"{name}.*{message}.*Fix"):
        read(written(tmp_path, name, data))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.parquet", "a.csv"):
        with pytest.raises(PanglotError, match=name):
            read(tmp_path / name)
    pq.write_table(pa.table({"id": ["1"], "body": ["x"]}), tmp_path / "b.parquet")
    with pytest.raises(PanglotError, match=r'field "text": there is no such column \(there are: id, body\)'):
        read(tmp_path / "b.parquet")


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv.gz"])
def test_a_truncated_gzip_is_told_after_what_it_holds(tmp_path: Path, name: str) -> None:
    rows = [{"id": str(n), "text": f"{n * 7919 % 1000} text {n}", "language": "en"} for n in range(3000)]
    path = written(tmp_path, name, (table if ".csv" in name else lines)(rows))
    path.write_bytes(path.read_bytes()[:-2000])
    pieces = read_documents(path)
    assert next(pieces)[0] == Document("0", "0 text 0", language="en")
    with pytest.raises(PanglotError, match=r"line \d+: the gzip data are damaged or cut short.*fetch the file again"):
        list(pieces)


def test_made_documents_are_checked_too() -> None:
    good = Document("1", "x", language="en")
    for made, message in (
        ([good, good], r'document 2, field "id": the id \'1\' is used before\. '),
        ([good, Document("2", "")], 'document 2, field "text": `text` is missing'),
        ([good, Document("2", "x", language="xx-nonsense")], 'document 2, field "language": unknown'),
        ([good, Document("2", "x", metadata={"text": "y"})], 'document 2, field "text": metadata must not'),
        ([good, Document("2", "x", metadata={"tags": {"y"}})], 'document 2, field "tags": must be a text, a number'),  # type: ignore[dict-item]
        ([good, {"id": "2"}], 'document 2, field "text"'),
        ([good, "x"], "document 2: not a document but str.*mapping such as"),
    ):
        with pytest.raises(PanglotError, match=message):
            read(made)  # type: ignore[arg-type]
    assert read([]) == []


def test_an_id_that_only_shares_its_hash_is_no_twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IdSet, "add", lambda _self, ids: [len(ids) - 1])
    rows = [{"id": str(n), "text": "x", "language": "en"} for n in range(3)]
    assert len(read(written(tmp_path, "a.jsonl", lines(rows)))) == 3


@given(st.lists(st.lists(st.integers(0, 40).map(str), max_size=8), max_size=12))
def test_seen_knows_what_came_before(pieces: list[list[str]]) -> None:
    seen, known = IdSet(), set[str]()
    for piece in pieces:
        expected: list[int] = []
        for place, name in enumerate(piece):
            if name in known:
                expected.append(place)
            known.add(name)
        assert seen.add(piece) == expected
    assert sum(map(len, seen._runs)) == sum(map(len, pieces))


def test_reading_is_lazy_and_the_name_is_checked_at_once(tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match="no known ending"):
        read_documents(tmp_path / "a.docx")
    taken: list[int] = []

    def endless() -> Iterable[Document]:
        while True:
            taken.append(1)
            yield Document(str(len(taken)), "x", language="en")

    assert len(next(read_documents(endless()))) == len(taken) == reading.PIECE


def test_numbers_are_values() -> None:
    rows = [{"id": 0, "text": 1984, "title": 7, "group": 0.0, "language": "en"}]
    (piece,) = read_documents(rows)
    assert piece == [Document("0", "1984", "7", "en", "0")]
