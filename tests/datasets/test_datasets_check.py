"""`panglot data check`: every mistake, its place and its fix, and overlap with test sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from panglot._errors import PanglotError
from panglot.cli.data import data
from panglot.datasets.check import check
from panglot.datasets.registry import read


def write(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def pair(question: str, passage: str, language: str = "en", **more: object) -> dict[str, object]:
    return {"language": language, "question": question, "passage": passage, **more}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "cache"))


def test_nothing_wrong(tmp_path: Path) -> None:
    path = write(tmp_path / "fine.jsonl", pair("who came?", "she came"), pair("when?", "late at night"))
    report = check(path)
    assert (report.rejected, report.remarks, report.overlaps) == ((), (), ())
    done = CliRunner().invoke(data, ["check", str(path)], standalone_mode=False)
    assert done.return_value == 0
    assert "nothing is wrong" in done.output


def test_remarks(tmp_path: Path) -> None:
    path = write(
        tmp_path / "odd.jsonl",
        pair("who came?", "she came"),
        pair("Who  came?", "he came"),
        pair("the same", "The same"),
        pair("what?", "BarÃ§a won"),
        pair("!?", "a good answer </b>"),
        pair("nur gefragt?", "only answered", group="g") | {"passage": None, "language": "de"},
        {"language": "en", "group": "g", "passage": "the English answer"},
    )
    told = {one.what: (one.number, one.examples) for one in check(path).remarks}
    assert told["questions asked in several groups"] == (1, ("who came?",))
    assert told["questions that are their own answer"][0] == 1
    assert told["passages that were decoded wrongly"][0] == 1
    assert told["questions of fewer than 3 letters"][0] == 1
    assert told["passages with HTML tags"][0] == 1
    assert told["languages with questions, none of which has an answer in its own language"] == (1, ("de",))
    assert len(told) == 6


def test_an_answer_counts_for_the_language_of_its_question(tmp_path: Path) -> None:
    path = write(
        tmp_path / "crossed.jsonl",
        {"language": "de", "group": "1", "question": "wer kam gestern?"},
        {"language": "en", "group": "1", "passage": "she came yesterday"},
        {"language": "en", "group": "2", "question": "when did they leave?"},
        {"language": "de", "group": "2", "passage": "sie gingen spät am Abend"},
    )
    told = {one.what: one.examples for one in check(path).remarks}
    assert told["languages with questions, none of which has an answer in its own language"] == ("de", "en")


def test_overlap_with_the_test_part(data_dir: Path, tmp_path: Path) -> None:
    test = read("sib-200:test", data_dir=data_dir, languages=["en", "de"])
    taken = test.passages["text"][0].as_py()
    path = write(
        tmp_path / "mine.jsonl", pair("what?", taken, test.passages["language"][0].as_py()), pair("a b?", "c d")
    )
    report = check(path, against=["sib-200", "xquad-r"], data_dir=data_dir)
    assert [(one.test, one.equal) for one in report.overlaps] == [("sib-200:test", 1), ("xquad-r", 0)]
    arguments = ["check", str(path), "--against", "sib-200", "xquad-r", "--data-dir", str(data_dir), "--json", "-"]
    told = json.loads(CliRunner().invoke(data, arguments).output)
    assert [one["equal"] for one in told["overlaps"]] == [1, 0]


def test_what_cannot_be_compared_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", pair("who?", "she was it", "mi"))
    report = check(path, against=["xquad-r"])
    assert "none of its languages" in report.unread["xquad-r"]
    with pytest.raises(PanglotError, match="there is no data set"):
        check(path, against=["xquat"])


def test_other_forms_and_exit_statuses(tmp_path: Path) -> None:
    squad = tmp_path / "en.json"
    squad.write_text('{"data": [{"paragraphs": [{"qas": []}]}]}')
    report = check(squad)
    assert report.collection is None
    assert [error.field for error in report.rejected] == ["data[0].paragraphs[0].context", "answers"]
    path = tmp_path / "mine.jsonl"
    path.write_text('{"language": "en"\n' + json.dumps(pair("who?", "she")) + "\n")
    run = CliRunner()
    assert run.invoke(data, ["check", str(path)], standalone_mode=False).return_value == 2
    kept = run.invoke(
        data, ["check", str(path), "--on-error", "skip", "--rejected", str(tmp_path / "a")], standalone_mode=False
    )
    assert kept.return_value == 0
    assert json.loads((tmp_path / "a").read_text())["line"] == 1
    folder = tmp_path / "rows"
    folder.mkdir()
    path.rename(folder / "en.jsonl")
    run.invoke(data, ["check", f"{folder}/", "--on-error", "skip"], standalone_mode=False)
    assert [each.name for each in folder.iterdir()] == ["en.jsonl"]
    assert (tmp_path / "rows.rejected.jsonl").is_file()


ENGLISH = "Puffins nest in burrows that they dig into grassy cliffs, and otters crack shells with a stone."
GERMAN = "Papageitaucher brüten in Höhlen, die sie in grasige Klippen graben, und Otter knacken Muscheln."


def test_labels_are_compared_with_a_detector(tmp_path: Path) -> None:
    wrong = write(tmp_path / "wrong.jsonl", pair("Where do they nest?", GERMAN), pair("Who?", ENGLISH))
    (remark,) = check(wrong).remarks
    assert remark.what == "of 2 passages labelled en that are not in it, as a detector says (de)"
    assert (remark.number, remark.examples) == (1, ("en:line-0000001",))
    done = CliRunner().invoke(data, ["check", str(wrong)])
    assert "look at: 1 of 2 passages labelled en" in done.output
    assert "nothing is wrong" not in done.output


def test_labels_that_a_detector_easily_mistakes_are_left_alone(tmp_path: Path) -> None:
    croatian = "Kako da odštampam dokument na ovom računaru kada nemam pisač?"
    rows = [pair("Who?", ENGLISH, "en-GB"), pair("Kako?", croatian, "sr-Latn"), pair("Wer?", GERMAN, "gsw")]
    assert check(write(tmp_path / "close.jsonl", *rows)).remarks == ()
    maltese_label = write(tmp_path / "short.jsonl", pair("Who?", "She.", "mt"))
    assert check(maltese_label).remarks == (), "too short to tell"


def test_all_faults_of_squad_and_trec_are_found_and_the_rest_is_used(tmp_path: Path) -> None:
    good = {"id": 0, "question": "who?", "answers": [{"text": "She", "answer_start": 0}]}
    bad = [{"id": "1", "answers": []}, {"id": "2", "question": "who?", "answers": [{"text": "x"}]}]
    contents = [{"context": "She came.", "qas": [good, *bad]}, {"qas": []}, {"context": "He went.", "qas": [good]}]
    path = tmp_path / "train.en.json"
    path.write_text(json.dumps({"data": [{"paragraphs": contents}, {"title": "no paragraphs"}]}))
    report = check(path)
    assert [error.field for error in report.rejected] == [
        "data[0].paragraphs[0].qas[1].question", "data[0].paragraphs[0].qas[2].answers[0].answer_start",
        "data[0].paragraphs[1].context", "data[1].paragraphs",
    ]  # fmt: skip
    assert report.collection is not None
    assert report.collection.questions.num_rows == 2
    for part in ("documents", "topics"):
        (tmp_path / "clef" / part).mkdir(parents=True)
    documents = "<DOC><DOCNO>1</DOCNO><TEXT>a</TEXT></DOC><DOC><DOCNO>2</DOCNO></DOC><DOC><TEXT>b</TEXT></DOC>"
    (tmp_path / "clef" / "documents" / "de.xml").write_text(documents)
    (tmp_path / "clef" / "topics" / "de.txt").write_text("<top><num>7</num><title>wer</title></top><top></top>")
    (tmp_path / "clef" / "qrels.txt").write_text("7 0 1 1\n7 0 9 1\n8 0 1 1\n")
    report = check(tmp_path / "clef")
    assert len(report.rejected) == 5
    assert report.collection is not None
    assert report.collection.qrels.num_rows == 1
