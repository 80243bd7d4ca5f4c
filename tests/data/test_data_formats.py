"""Formats that other tools read: TREC runs and judgements, BEIR folders, saved collections."""

import gzip
import json
from pathlib import Path

import ir_measures
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.cli.data import data
from panglot.data.collection import Collection, Text
from panglot.data.files import RowError
from panglot.data.formats import beir, trec
from panglot.datasets.check import check
from panglot.datasets.registry import read

IDS = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=6).filter(lambda s: s.split() == [s])


@pytest.fixture
def collection() -> Collection:
    return Collection.build(
        "small",
        [Text("q1", "en", "g1", "who?"), Text("q2", "zh-Hant", "g1", "誰？")],
        [
            Text("p1", "en", "h1", "she\nindeed"),
            Text("p2", "zh-Hant", "h1", "她"),
            Text("p3", "en", "h3", "he"),
        ],
        [("q1", "p1", 2), ("q1", "p2", 1), ("q2", "p2", 1), ("q2", "p3", 0)],
        {"candidates": "passage", "part": "test"},
    )


@given(st.dictionaries(IDS, st.dictionaries(IDS, st.integers(-1, 5), min_size=1), min_size=1, max_size=4))
def test_qrels_read_back(tmp_path_factory: pytest.TempPathFactory, qrels: dict[str, dict[str, int]]) -> None:
    path = tmp_path_factory.getbasetemp() / "qrels.txt"
    trec.write_qrels(path, qrels)
    assert trec.read_qrels(path) == qrels


def test_runs_read_back_bit_for_bit_and_others_read_them(tmp_path: Path) -> None:
    run = {"q1": {"b": 0.1 + 0.7, "a": 0.3, "c": 0.3}, "q2": {"a": -1e-300}}
    path = tmp_path / "run.txt"
    trec.write_run(path, run)
    assert trec.read_ranked(path)[0] == run
    assert [line.split()[2:4] for line in path.read_text().splitlines()] == [
        ["b", "1"], ["a", "2"], ["c", "3"], ["a", "1"],
    ]  # fmt: skip
    trec.write_qrels(tmp_path / "qrels.txt", {"q1": {"b": 1}, "q2": {"a": 0}})
    qrels, theirs = (
        ir_measures.read_trec_qrels(str(tmp_path / "qrels.txt")),
        ir_measures.read_trec_run(str(path)),
    )
    assert {m.query_id: m.value for m in ir_measures.iter_calc([ir_measures.RR], qrels, theirs)}["q1"] == 1.0


def test_a_gzipped_run(tmp_path: Path) -> None:
    path = tmp_path / "run.gz"
    path.write_bytes(gzip.compress(b"q Q0 p 1 0.5 x\n"))
    assert trec.read_ranked(path)[0] == {"q": {"p": 0.5}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q 0 p 1\nq 0 p\n", "line 2: expected 4 columns, got 3"),
        ("q 0 p x\n", 'line 1, field "relevance": expected a whole number'),
        ("q 0 p 40000\n", 'line 1, field "relevance": expected a whole number of at most 32,767, got .40000.'),
        ("q 0 p 1\nq 0 p 0\n", "line 2: q and p come twice: judged 1 in line 1, and 0 here"),
        ("", "empty"),
    ],
)
def test_broken_qrels(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "qrels.txt"
    path.write_text(text)
    with pytest.raises(PanglotError, match=message):
        trec.read_qrels(path)


def test_broken_runs(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    for score in ("x", "nan", "inf"):
        path.write_text(f"q Q0 p 1 {score} name\n")
        with pytest.raises(PanglotError, match='line 1, field "score": expected a finite number'):
            trec.read_ranked(path)
    with pytest.raises(PanglotError, match="holds a blank"):
        trec.write_run(path, {"q 1": {"p": 1.0}})


def test_beir_reads_back(tmp_path: Path, collection: Collection) -> None:
    beir.write(collection, tmp_path / "out", split="dev")
    again = beir.read(tmp_path / "out", name="small")
    assert again.digest == collection.digest
    assert again.metadata["part"] == "dev"
    assert read(tmp_path / "out").digest == collection.digest
    assert read(tmp_path / "out", languages=["eng"]).languages == ("en",)


def beir_folder(place: Path, corpus: list[object], queries: list[object], qrels: str) -> Path:
    (place / "qrels").mkdir(parents=True)
    (place / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    (place / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    (place / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels)
    return place


def test_all_faults_of_a_beir_folder_are_counted_and_can_be_skipped(tmp_path: Path) -> None:
    corpus: list[object] = [{"_id": 0, "text": 1984, "language": "en"}, {"_id": "b", "text": "y", "language": "xx"}]
    queries: list[object] = [
        {"_id": 1, "text": "when?", "language": "en"},
        {"_id": 2, "text": "who?", "language": "en"},
    ]
    qrels = "1\t0\t1\n1\tb\t1\n9\t0\t1\n2\t0\t1\n2\t0\t0\n"
    folder = beir_folder(tmp_path / "faulty", corpus, queries, qrels)
    with pytest.raises(PanglotError, match=r"corpus.jsonl, line 2.*unknown language code 'xx' \(3 more faults"):
        beir.read(folder)
    rejected: list[RowError] = []
    found = beir.read(folder, rejected=rejected)
    assert [(error.line, error.field) for error in rejected] == [
        (2, "language"), (3, "corpus-id"), (4, "query-id"), (6, ""),
    ]  # fmt: skip
    assert rejected[-1].problem == "2 and 0 come twice: judged 1 in line 5, and 0 here"
    assert found.questions["id"].to_pylist() == ["1"]
    assert found.passages["text"].to_pylist() == ["1984"]
    assert check(folder).rejected == rejected


def test_a_pair_with_two_grades_is_refused_in_memory_too() -> None:
    texts = [Text("q", "en", "q", "who?")], [Text("p", "en", "p", "she")]
    with pytest.raises(PanglotError, match="'q' and the passage 'p' are judged 1 and 0"):
        Collection.build("x", *texts, [("q", "p", 1), ("q", "p", 0)])
    assert Collection.build("x", *texts, [("q", "p", 1), ("q", "p", 1)]).qrels.num_rows == 1


def test_a_genuine_beir_folder_is_read_in_the_language_that_is_given(tmp_path: Path) -> None:
    folder = beir_folder(tmp_path / "genuine", [{"_id": "a", "text": "x"}], [{"_id": "1", "text": "q"}], "1\ta\t1\n")
    assert read(folder, language="en").languages == ("en",)
    assert read(f"{folder}?language=sw").languages == ("sw",)
    for command in (["show"], ["check"], ["convert", str(tmp_path / "out"), "--to", "trec"]):
        arguments = [command[0], str(folder), *command[1:], "--language", "en"]
        done = CliRunner().invoke(data, arguments, standalone_mode=False)
        assert not done.return_value, done.output
        assert done.exception is None
    assert read(tmp_path / "out").languages == ("en",)


@pytest.mark.parametrize("head", ["{}", "[]", '{"name": "x"}', '{"name": 1, "metadata": {}}'])
def test_a_folder_that_is_no_collection_is_one_error(tmp_path: Path, collection: Collection, head: str) -> None:
    collection.save(tmp_path / "saved")
    (tmp_path / "saved" / "collection.json").write_text(head)
    with pytest.raises(PanglotError, match=r"collection.json: expected `name` and `metadata`"):
        read(tmp_path / "saved")


def test_beir_as_others_write_it(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t1\n")
    (tmp_path / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n2\ta\t1\n")
    passages = [
        {"_id": "a", "title": "T", "text": "x", "metadata": {}},
        {"_id": "b", "title": "", "text": "y"},
    ]
    (tmp_path / "corpus.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, passages)).encode()))
    queries = [{"_id": "1", "text": "q"}, {"_id": "2", "text": "r"}]
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    found = beir.read(tmp_path, language="de")
    assert found.passages["text"].to_pylist() == ["T\nx", "y"]
    assert found.questions["id"].to_pylist() == ["1"]  # the other is not in this split
    assert beir.read(tmp_path, language="de", split="train").questions["id"].to_pylist() == ["2"]
    with pytest.raises(PanglotError, match=r'corpus.jsonl.gz, line 1, field "language": no language'):
        beir.read(tmp_path)


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("qrels/dev.tsv", "q1\tp9\t1", "line 6, field \"corpus-id\": no text has the id 'p9'"),
        ("qrels/dev.tsv", "q1 p1 1", "line 6: expected .query-id<TAB>corpus-id<TAB>score"),
        (
            "queries.jsonl",
            '{"_id": "q1", "text": "t", "language": "en"}',
            "line 3, field \"_id\": 'q1' is used before",
        ),
        (
            "corpus.jsonl",
            '{"_id": "p4", "text": "t", "language": "xx"}',
            'line 4, field "language": unknown language',
        ),
        ("corpus.jsonl", '{"_id": "p4", "language": "en"}', 'line 4, field "text": no text'),
        ("corpus.jsonl", "[]", "line 4: not a JSON object"),
    ],
)
def test_broken_beir(tmp_path: Path, collection: Collection, file: str, line: str, message: str) -> None:
    beir.write(collection, tmp_path / "out", split="dev")
    with (tmp_path / "out" / file).open("a") as out:
        out.write(line + "\n")
    with pytest.raises(PanglotError, match=message):
        beir.read(tmp_path / "out")


def test_saved_collections_read_back(tmp_path: Path, collection: Collection) -> None:
    collection.save(tmp_path / "saved")
    again = read(tmp_path / "saved")
    assert again.digest == collection.digest
    assert again.metadata == collection.metadata
    (tmp_path / "saved" / "passages.arrow").write_bytes(b"broken")
    with pytest.raises(PanglotError, match="not a collection"):
        read(tmp_path / "saved")
