import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from panglot._errors import PanglotError
from panglot.batching import TrainingTable
from panglot.data.formats import squad
from panglot.data.formats.squad import Paragraph, Question


def qa(identity: object, question: str, *answers: tuple[str, int], **more: object) -> dict[str, object]:
    found = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": identity, "question": question, "answers": found, **more}


def write(path: Path, context: str, *qas: dict[str, object]) -> Path:
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": [{"context": context, "qas": qas}]}]}))
    return path


def test_answerable_questions_of_version_2(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.json",
        "𝒳 is one. Two came later.",
        qa("a", "one?", ("one", 5)),
        qa("b", "two?", ("Two", 10), is_impossible=False),
        qa("c", "never?", is_impossible=True, plausible_answers=[{"text": "Two", "answer_start": 10}]),
        qa("d", "none?"),
    )
    paragraphs = squad.collect("x", [(path, "en")])
    assert paragraphs.questions["id"].to_pylist() == ["en-a", "en-b"]
    assert paragraphs.passages.num_rows == 1
    assert paragraphs.metadata["left out, unanswerable"] == "2"
    sentences = squad.collect("x", [(path, "en")], candidates="sentence")
    left, right = sentences.pairs
    asked, texts = sentences.questions["text"].to_pylist(), sentences.passages["text"].to_pylist()
    assert {asked[q]: texts[p] for q, p in zip(left.tolist(), right.tolist(), strict=True)} == {
        "one?": "𝒳 is one.",
        "two?": "Two came later.",
    }
    judged = {(asked[j["question"]], texts[j["passage"]]): j["relevance"] for j in sentences.qrels.to_pylist()}
    assert judged == {(q, p): int(q[:3] == p.lower()[:3] or (q, p[0]) == ("one?", "𝒳")) for q in asked for p in texts}
    context = squad.collect("x", [(path, "en")], candidates="sentence", context=True)
    assert context.passages["text"][0].as_py() == "𝒳 is one.\n𝒳 is one. Two came later."


def test_the_nearest_occurrence_mends_a_wrong_offset() -> None:
    def place(start: int, words: str = "cat") -> int | None:
        question = Question("q", "?", words, start, False)
        return squad.answer_place(Paragraph(0, 0, "", "cat and cat and dog", (), (), (), ""), question)

    assert [place(start) for start in (0, 8, 1, 6, 9, 500, -4)] == [0, 8, 0, 8, 8, 8, 0]
    assert place(3, "bird") is None


def test_turkish_ids_repeat_and_offsets_are_wrong(data_dir: Path) -> None:
    paths = sorted((data_dir / "enelpi-tr").glob("*.json.gz"))
    published = Counter(
        str(q["id"])
        for path in paths
        for article in json.loads(gzip.decompress(path.read_bytes()))["data"]
        for paragraph in article["paragraphs"]
        for q in paragraph["qas"]
    )
    assert max(published.values()) > 1
    collection = squad.collect("tr", [(path, "tr") for path in paths], candidates="sentence")
    ids = collection.questions["id"].to_pylist()
    assert len(set(ids)) == len(ids)
    reasons = ("misplaced", "unanswerable", "questions answered by a sentence without words")
    left_out = sum(int(collection.metadata.get(f"left out, {why}", 0)) for why in reasons)
    assert not {"II.", "III.", "16."} & set(collection.passages["text"].to_pylist())
    assert collection.metadata["left out, sentences without words"] != "0"
    # Three names of sultans, cut off at their numbers, made one block of 318 rows.
    assert TrainingTable.from_collection(collection).largest_conflict_group < 60
    assert len(ids) + left_out == published.total()
    assert left_out < 0.1 * published.total()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"context": None}, "paragraphs\\[0\\].context"),
        ({"qas": None}, "paragraphs\\[0\\].qas"),
        ({"qas": [{"id": "a"}]}, "qas\\[0\\].question"),
        ({"qas": [{"question": "a"}]}, "qas\\[0\\].id"),
        ({"qas": ["a"]}, "qas\\[0\\].question"),
        ({"qas": [{"id": 1, "question": "a", "answers": [{"text": "a"}]}]}, "answers\\[0\\].answer_start"),
        ({"qas": [{"id": 1, "question": "a", "answers": {"text": ["a"]}}]}, "answers\\[0\\].text"),
    ],
)
def test_missing_fields_are_named(tmp_path: Path, change: dict[str, object], field: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": "c", "qas": [], **change}]}]}))
    with pytest.raises(PanglotError, match=rf'a.json, field "data\[0\].*{field}"'):
        squad.collect("x", [(path, "en")])


@pytest.mark.parametrize("content", ["[]", '{"a": 1}', '{"data": 3}', '{"data": [3]}'])
def test_not_squad(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(PanglotError, match=r"a.json"):
        squad.collect("x", [(path, "en")])


def test_no_answerable_question(tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match="no answerable question"):
        squad.collect("x", [(write(tmp_path / "a.json", "c", qa("a", "b?")), "en")])
