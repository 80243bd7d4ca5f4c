import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from panglot._errors import PanglotError
from panglot.data.collection import Collection
from panglot.datasets.catalog import CARDS

POOL = {"ar": 1222, "de": 1276, "el": 1234, "en": 1180, "es": 1215, "hi": 1244, "ru": 1219, "th": 852,
        "tr": 1167, "vi": 1209, "zh": 1196}  # fmt: skip


@pytest.fixture(scope="module")
def sentences(data_dir: Path) -> Collection:
    return CARDS["xquad-r"].read(data_dir / "xquad-r")


@pytest.fixture(scope="module")
def published(data_dir: Path) -> dict[str, Any]:
    return {
        path.name[:2]: json.loads(gzip.decompress(path.read_bytes())) for path in (data_dir / "xquad-r").glob("*.gz")
    }


def test_pools_and_questions(sentences: Collection) -> None:
    assert Counter(sentences.passages["language"].to_pylist()) == POOL
    assert Counter(sentences.questions["language"].to_pylist()) == dict.fromkeys(POOL, 1190)
    assert len(sentences.questions["group"].unique()) == 1190


def test_every_question_has_one_relevant_sentence_in_each_language(sentences: Collection) -> None:
    left, right = sentences.pairs
    languages = sentences.passage_language[right]
    seen = Counter(zip(left.tolist(), languages.tolist(), strict=True))
    assert len(seen) == 13090 * 11
    assert set(seen.values()) == {1}


def test_relevance_against_the_published_offsets(sentences: Collection, published: dict[str, Any]) -> None:
    """As an oracle, read the file again and find the sentence that contains answer_start, a code point."""
    text = dict(zip(sentences.passages["id"].to_pylist(), sentences.passages["text"].to_pylist(), strict=True))
    ids = sentences.passages["id"].to_pylist()
    left, right = sentences.pairs
    asked = sentences.questions["id"].to_pylist()
    found = {}
    for q, p in zip(left.tolist(), right.tolist(), strict=True):
        if asked[q].startswith("en-"):
            found[ids[p][:2], asked[q][3:]] = ids[p]
    crossing = Counter()
    for language, file in published.items():
        for a, article in enumerate(file["data"]):
            for p, paragraph in enumerate(article["paragraphs"]):
                for qa in paragraph["qas"]:
                    start = qa["answers"][0]["answer_start"]
                    place = [i for i, (s, e) in enumerate(paragraph["sentence_breaks"]) if s <= start < e]
                    assert len(place) == 1
                    label = f"{language}-{a:03d}-{p:02d}-{place[0]:02d}"
                    assert found[language, qa["id"]] == label
                    assert text[label] == paragraph["sentences"][place[0]]
                    end = start + len(qa["answers"][0]["text"])
                    crossing[language] += end > paragraph["sentence_breaks"][place[0]][1]
    assert min(crossing.values()) == 2
    assert max(crossing.values()) == 20


def test_identical_sentences_stay_apart(sentences: Collection) -> None:
    texts = Counter(
        zip(sentences.passages["language"].to_pylist(), sentences.passages["text"].to_pylist(), strict=True)
    )
    assert {language for (language, _), times in texts.items() if times > 1} == {"ar", "hi", "ru", "tr", "zh"}


def test_the_field_sentences_counts_where_it_differs_from_the_slice(
    sentences: Collection, published: dict[str, Any]
) -> None:
    text = set(sentences.select(["tr"]).passages["text"].to_pylist())
    differ = [
        (sentence, paragraph["context"][start:end])
        for article in published["tr"]["data"]
        for paragraph in article["paragraphs"]
        for sentence, (start, end) in zip(paragraph["sentences"], paragraph["sentence_breaks"], strict=True)
        if paragraph["context"][start:end] != sentence
    ]
    assert len(differ) == 2
    assert all(sentence in text for sentence, _ in differ)


def test_ids_keep_the_order_of_the_files(sentences: Collection) -> None:
    german = sentences.select(["de"]).passages["id"].to_pylist()
    assert german == sorted(german)
    assert german[0] == "de-000-00-00"


def test_passage_groups_tie_translations(sentences: Collection) -> None:
    group = dict(zip(sentences.passages["id"].to_pylist(), sentences.passages["group"].to_pylist(), strict=True))
    left, right = sentences.pairs
    ids = sentences.passages["id"].to_pylist()
    by_question: dict[int, set[str]] = {}
    for q, p in zip(left.tolist(), right.tolist(), strict=True):
        by_question.setdefault(q, set()).add(group[ids[p]])
    assert all(len(groups) == 1 for groups in by_question.values())
    # A group never reaches beyond its paragraph.
    paragraphs = {}
    for label, key in group.items():
        paragraphs.setdefault(key, set()).add(label[3:9])
    assert all(len(found) == 1 for found in paragraphs.values())


def test_context_puts_the_paragraph_behind_the_sentence(data_dir: Path, published: dict[str, Any]) -> None:
    with_context = CARDS["xquad-r"].read(data_dir / "xquad-r", context=True)
    paragraph = published["zh"]["data"][3]["paragraphs"][0]
    row = with_context.passages["id"].to_pylist().index("zh-003-00-02")
    assert with_context.passages["text"][row].as_py() == f"{paragraph['sentences'][2]}\n{paragraph['context']}"
    assert with_context.passages.num_rows == sum(POOL.values())


def test_paragraphs(data_dir: Path, published: dict[str, Any]) -> None:
    collection = CARDS["xquad-r"].read(data_dir / "xquad-r", candidates="paragraph")
    assert Counter(collection.passages["language"].to_pylist()) == dict.fromkeys(POOL, 240)
    assert set(Counter(collection.passages["group"].to_pylist()).values()) == {11}
    row = collection.passages["id"].to_pylist().index("ru-000-00")
    # Spaces at the ends of a paragraph are kept, because offsets count them.
    assert collection.passages["text"][row].as_py() == published["ru"]["data"][0]["paragraphs"][0]["context"]


def made(sentences: list[str], asked: dict[str, int]) -> dict[str, object]:
    context = "".join(sentences)
    starts = [sum(map(len, sentences[:i])) for i in range(len(sentences) + 1)]
    return {
        "context": context,
        "sentences": sentences,
        "sentence_breaks": [[starts[i], starts[i + 1]] for i in range(len(sentences))],
        "qas": [
            {"id": key, "question": f"{key}?", "answers": [{"answer_start": start, "text": context[start]}]}
            for key, start in asked.items()
        ],
    }


def write(path: Path, *paragraphs: dict[str, object]) -> None:
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": list(paragraphs)}]}), encoding="utf-8")


def test_mlqa_r_questions_need_not_be_in_every_language(tmp_path: Path) -> None:
    write(tmp_path / "mlqa-r-en.json", made(["𝒳a. ", "b. "], {"q1": 4, "q2": 0}))
    write(tmp_path / "mlqa-r-de.json", made(["c. ", "d. ", "e."], {"q1": 3}))
    found = CARDS["xquad-r"].read(tmp_path)
    left, right = found.pairs
    questions, passages = found.questions["id"].to_pylist(), found.passages["id"].to_pylist()
    assert {(questions[q], passages[p]) for q, p in zip(left.tolist(), right.tolist(), strict=True)} == {
        ("en-q1", "en-000-00-01"), ("en-q1", "de-000-00-01"), ("de-q1", "en-000-00-01"),
        ("de-q1", "de-000-00-01"),
        ("en-q2", "en-000-00-00"),
    }  # fmt: skip


def test_broken_files(tmp_path: Path) -> None:
    path = tmp_path / "en.json"
    paragraph = made(["a. "], {"q": 0})
    write(path, {**paragraph, "sentences": ["a. ", "b"]})
    with pytest.raises(PanglotError, match=r"en.json, field .data\[0\].paragraphs\[0\].sentences.: sentences and"):
        CARDS["xquad-r"].read(tmp_path)
    write(path, {key: value for key, value in paragraph.items() if not key.startswith("sentence")})
    with pytest.raises(PanglotError, match="has no list of sentences"):
        CARDS["xquad-r"].read(tmp_path)
    write(path, {**paragraph, "qas": [{"id": "q", "question": "a?", "answers": []}]})
    with pytest.raises(PanglotError, match="has no answer"):
        CARDS["xquad-r"].read(tmp_path)
    with pytest.raises(PanglotError, match="no file"):
        CARDS["xquad-r"].read(tmp_path / "nothing")
    path.unlink()
    write(tmp_path / "xx.json", paragraph)
    with pytest.raises(PanglotError, match="unknown language code 'xx'"):
        CARDS["xquad-r"].read(tmp_path)
