"""JSON lines and Parquet: the documents of the user."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.data.collection import Collection
from panglot.data.ingest import collect, ingest
from panglot.data.language import canonical
from panglot.data.rows import FIELDS, check_row
from panglot.datasets import hub, registry

Lines = list[dict[str, object]]


def lines(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read(paths: Path | list[Path]) -> Collection:
    return ingest(paths).collection


def answers(collection: Collection) -> set[tuple[str, str]]:
    left, right = collection.pairs
    asked, found = collection.questions["text"].to_pylist(), collection.passages["text"].to_pylist()
    return {(asked[q], found[p]) for q, p in zip(left.tolist(), right.tolist(), strict=True)}


GOOD: Lines = [
    {"group": "g", "language": "eng", "question": "who?", "passage": "she"},
    {"group": "g", "language": "de", "question": "wer?", "passage": "sie"},
    {"group": "g", "language": "zh_cn", "passage": "她"},  # another version of the passage
    {"group": "g", "language": "fi", "question": "kuka?"},  # another version of the question
    {"language": "de", "question": "was?", "passage": "das"},  # alone
    {"language": "de", "passage": "niemand fragt"},  # enlarges the pool
    {"language": "de", "question": "wen?", "passage": "das"},  # the same passage
]


def test_groups_and_lone_lines(tmp_path: Path) -> None:
    collection = read(lines(tmp_path / "mine.jsonl", *GOOD))
    assert collection.name == "mine"
    assert collection.languages == ("de", "en", "fi", "zh")
    assert collection.questions.num_rows == 5
    assert sorted(collection.passages["text"].to_pylist()) == ["das", "niemand fragt", "she", "sie", "她"]
    versions = {(q, p) for q in ("who?", "wer?", "kuka?") for p in ("she", "sie", "她")}
    assert answers(collection) == versions | {("was?", "das"), ("wen?", "das")}


def test_parquet_gives_the_same(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    pq.write_table(pa.Table.from_pylist([{k: row.get(k) for k in FIELDS} for row in GOOD]), path)
    assert read(path).digest == read(lines(tmp_path / "mine.jsonl", *GOOD)).digest


def test_gzip_gives_the_same(tmp_path: Path) -> None:
    plain = lines(tmp_path / "mine.jsonl", *GOOD)
    zipped = tmp_path / "mine.jsonl.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    assert read(zipped).digest == read(plain).digest
    assert read(zipped).name == "mine"


def test_several_files_share_groups(tmp_path: Path) -> None:
    a = lines(tmp_path / "a.jsonl", {"group": 7, "language": "en", "question": "q", "passage": "p"})
    b = lines(tmp_path / "b.jsonl", {"group": "7", "language": "de", "passage": "d"})
    assert answers(read([a, b])) == {("q", "p"), ("q", "d")}


def test_equal_passages_tie_the_passage_groups(tmp_path: Path) -> None:
    rows: Lines = [
        {"group": "g1", "language": "en", "question": "a?", "passage": "shared"},
        {"group": "g1", "language": "de", "question": "b?", "passage": "geteilt"},
        {"group": "g2", "language": "en", "question": "c?", "passage": "shared"},
        {"group": "g2", "language": "fi", "question": "d?", "passage": "jaettu"},
    ]
    collection = read(lines(tmp_path / "a.jsonl", *rows))
    assert collection.passages["group"].unique().to_pylist() == ["g1"]
    assert ("a?", "jaettu") not in answers(collection)


def test_a_very_long_passage(tmp_path: Path) -> None:
    long = "wort " * 20_000
    collection = read(lines(tmp_path / "a.jsonl", {"language": "de", "question": "q", "passage": long}))
    assert collection.passages["text"][0].as_py() == long


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"question": "q", "passage": "p"}], 'line 1, field "language": the language is missing'),
        ([{"language": "en", "text": "p"}], r'"passage": neither .*language, text.*panglot data from-docs'),
        (
            [GOOD[0], {"language": "xx", "passage": "p"}],
            "line 2, field \"language\": unknown language code 'xx'",
        ),
        (
            [GOOD[0], {"language": "en", "question": "q"}],
            'line 2, field "passage": a question without a relevant',
        ),
        (
            [GOOD[0], {**GOOD[0], "passage": "he"}],
            "line 2, field \"passage\": the group 'g' has another passage in en",
        ),
        (
            [GOOD[0], {**GOOD[0], "question": "x"}],
            "line 2, field \"question\": the group 'g' has another question",
        ),
        (
            [{"id": 1, **GOOD[0]}, {"id": "1", **GOOD[4]}],
            "line 2, field \"id\": the id '1' is used before, in line 1",
        ),
        (
            [{"language": "en", "question": [3], "passage": "p"}],
            'field "question": must be a text or a number, got list',
        ),
        ([{**GOOD[0], "test_only": "perhaps"}], 'line 1, field "test_only": must be true or false'),
        ([{"language": "en", "question": " ", "passage": ""}], "line 1.*neither"),
        ([{"language": "en", "passage": "p"}], r"has no questions \(fields: language, passage\)"),
        ([{"language": "en", "query": "q", "passage": "p"}], r"fields: language, query, passage\).*`question`"),
        ([{"language": "en", "passage": "p\ud800"}], "surrogate"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, rows: Lines, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(PanglotError, match=message) as error:
        read(path)
    assert error.value.hint


def test_a_line_that_is_no_object(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"language": "en", "question": "q", "passage": "p"}\n\n[1]\n')
    with pytest.raises(PanglotError, match=r"bad.jsonl, line 3: not a JSON object"):
        read(path)


def test_bad_parquet(tmp_path: Path) -> None:
    path = tmp_path / "bad.parquet"
    path.write_bytes(b"PAR1 nonsense")
    with pytest.raises(PanglotError, match="not a readable Parquet file"):
        read(path)
    pq.write_table(pa.table({"lang": ["en"], "passage": ["p"]}), path)
    with pytest.raises(PanglotError, match=r'field "language": no such column .there are: lang, passage'):
        read(path)
    pq.write_table(
        pa.table({"language": ["en", "en"], "passage": ["p", "r"], "question": ["q", None], "group": [1, 1]}),
        path,
    )
    with pytest.raises(PanglotError, match=r"line 2.*another passage"):
        read(path)


texts = st.sampled_from(["a", "b", "c"])
made = st.lists(
    st.fixed_dictionaries(
        {
            "group": st.none() | st.sampled_from(["g", "h", "line-0000001"]),
            "language": st.sampled_from(["en", "de"]),
        },
        optional={"question": texts, "passage": texts},
    ),
    max_size=8,
)


@given(made)
def test_what_is_accepted_says_what_the_lines_say(rows: Lines) -> None:
    path = Path("f")
    try:
        found = collect("x", ((path, check_row(values, path, i)) for i, values in enumerate(rows, 1)))
    except PanglotError:
        return
    lone = [(row,) for row in rows if row["group"] is None]
    groups = [tuple(r for r in rows if r["group"] == g) for g in ("g", "h", "line-0000001")]
    expected = {
        (q["question"], q["language"], p["passage"], p["language"])
        for group in (*lone, *groups)
        for q in group
        for p in group
        if "question" in q and "passage" in p
    }
    left, right = found.pairs
    asked, told = found.questions.to_pylist(), found.passages.to_pylist()
    pairs = [(asked[q], told[p]) for q, p in zip(left.tolist(), right.tolist(), strict=True)]
    assert {(q["text"], q["language"], p["text"], p["language"]) for q, p in pairs} == expected
    pool = {(row["language"], row["passage"]) for row in rows if "passage" in row}
    assert {(p["language"], p["text"]) for p in told} == pool
    assert len(told) == len(pool)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.parquet"])
def test_values_are_values(tmp_path: Path, name: str) -> None:
    rows = [
        {"group": 0, "id": 0, "language": "en", "question": "How many?", "passage": 1984, "test_only": False},
        {"group": 0, "id": 1, "language": "de", "question": "Wie viele?", "passage": 1984, "test_only": True},
    ]
    path = tmp_path / name
    if name.endswith("parquet"):
        table = pa.Table.from_pylist(rows)
        coded = table["language"].combine_chunks().dictionary_encode()
        pq.write_table(table.set_column(2, "language", coded), path)
    else:
        lines = [json.dumps(row) for row in rows]
        path.write_text("[" + ",".join(lines) + "]" if name.endswith("json") else "\n".join(lines))
    found = read(path)
    assert found.questions["group"].to_pylist() == ["0", "0"]
    assert found.passages["text"].to_pylist() == ["1984", "1984"]
    assert found.metadata["test_only"] == "yes"


def test_a_json_array_is_read_like_lines(tmp_path: Path) -> None:
    rows = [{"language": "en", "question": "who?", "passage": "she"}, 7, {"language": "en", "passage": "x", "id": 1}]
    good = tmp_path / "array.jsonl"
    good.write_text(json.dumps([rows[0], rows[2]], indent=1))
    assert read(good).passages["text"].to_pylist() == ["she", "x"]
    (tmp_path / "bad.json").write_text(json.dumps(rows))
    with pytest.raises(PanglotError, match="line 2: not a JSON object but int"):
        read(tmp_path / "bad.json")
    (tmp_path / "lines.json").write_text("\n".join(json.dumps(row) for row in (rows[0], rows[2])))
    assert read(tmp_path / "lines.json").digest == read(good).digest


def test_rows_without_a_language_are_in_the_one_that_is_given(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"question": "who?", "passage": "she"}\n{"language": "de", "question": "wer?", "passage": "sie"}\n'
    )
    with pytest.raises(PanglotError, match="--language en"):
        read(path)
    found = registry.read(path, language="en")
    assert found.questions["language"].to_pylist() == ["en", "de"]
    assert registry.read(f"{path}?language=eng").digest == found.digest


@pytest.mark.parametrize(
    ("row", "language", "expected"),
    [
        ({"en": "who?", "de": "wer?", "language": "de", "text": "sie"}, "language", "de"),
        ({"en": "who?", "de": "wer war das?", "text": "sie"}, "de", "de"),
        ({"en": "who?", "de": "fi", "text": "sie"}, "en", "en"),
        ({"lang": "swh", "text": "yeye"}, "lang", "swh"),
    ],
)
def test_a_code_is_a_code_also_beside_a_column_of_that_name(row: dict[str, str], language: str, expected: str) -> None:
    rows = hub._select([row], {"passage": "text", "language": language}, "", 0, Path("hub:x"))
    assert [each.language for each in rows] == [canonical(expected)]
