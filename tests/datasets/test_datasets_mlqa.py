import gzip
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from panglot._errors import PanglotError
from panglot.data.collection import Collection
from panglot.datasets.catalog import CARDS


def by_setting(collection: Collection) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    left, right = collection.pairs
    names = collection.languages
    asked, found = collection.question_language[left], collection.passage_language[right]
    pairs = Counter((names[x], names[y]) for x, y in zip(asked.tolist(), found.tolist(), strict=True))
    return Counter({x: n for (x, y), n in pairs.items() if x == y}), Counter(
        {p: n for p, n in pairs.items() if p[0] != p[1]}
    )


@pytest.mark.parametrize("candidates", ["sentence", "paragraph"])
def test_dev_pairs(data_dir: Path, candidates: str) -> None:
    mono, cross = by_setting(CARDS["mlqa"].read(data_dir / "mlqa", candidates=candidates))
    assert mono == {"en": 1148, "ar": 517, "de": 512, "vi": 511, "hi": 507, "zh": 504, "es": 500}
    assert (sum(mono.values()), sum(cross.values())) == (4199, 11548)


def test_joined_pairs(data_dir: Path) -> None:
    mono, cross = by_setting(CARDS["mlqa"].read(data_dir / "mlqa", part="both"))
    assert mono == {"de": 4333, "es": 3783, "zh": 3632, "vi": 2186, "en": 1148, "ar": 517, "hi": 507}
    assert sum(mono.values()) == 16_106
    assert sum(cross.values()) == 41_545
    assert len(cross) == 42


def test_the_sentence_holds_the_first_character_of_the_answer(data_dir: Path) -> None:
    collection = CARDS["mlqa"].read(data_dir / "mlqa")
    left, right = collection.pairs
    questions, passages = collection.questions["id"].to_pylist(), collection.passages.to_pylist()
    found = {
        (questions[q].split("-", 1)[1], passages[p]["language"]): passages[p]["text"]
        for q, p in zip(left.tolist(), right.tolist(), strict=True)
    }
    checked = whole = 0
    for language in ("en", "ar", "zh", "hi"):
        path = data_dir / "mlqa" / "dev" / f"dev-context-{language}-question-{language}.json.gz"
        for article in json.loads(gzip.decompress(path.read_bytes()))["data"]:
            for paragraph in article["paragraphs"]:
                for qa in paragraph["qas"]:
                    sentence = found[qa["id"], language]
                    answer = qa["answers"][0]
                    assert sentence in paragraph["context"]
                    assert answer["text"][0] in sentence
                    checked += 1
                    whole += answer["text"] in sentence
    assert checked == 1148 + 517 + 504 + 507
    assert whole / checked > 0.98  # the rest crosses a sentence end


def test_passages_are_distinct_and_questions_of_a_group_are_versions(data_dir: Path) -> None:
    collection = CARDS["mlqa"].read(data_dir / "mlqa", candidates="paragraph")
    texts = Counter(
        zip(collection.passages["language"].to_pylist(), collection.passages["text"].to_pylist(), strict=True)
    )
    assert max(texts.values()) == 1
    versions = Counter(
        zip(
            collection.questions["group"].to_pylist(),
            collection.questions["language"].to_pylist(),
            strict=True,
        )
    )
    assert max(versions.values()) == 1
    languages = Counter(collection.questions["group"].to_pylist())
    assert set(languages.values()) <= {2, 3, 4, 5, 6, 7}
    assert all(re.fullmatch(r"[0-9a-f]{40}", group) for group in languages)


def write(folder: Path, name: str, context: str, question: str, start: int = 0) -> None:
    (folder / "dev").mkdir(exist_ok=True)
    qa = {"id": "f00", "question": question, "answers": [{"text": "x", "answer_start": start}]}
    data = {"version": 1.0, "data": [{"title": "", "paragraphs": [{"context": context, "qas": [qa]}]}]}
    (folder / "dev" / name).write_text(json.dumps(data))


def test_files_that_disagree(tmp_path: Path) -> None:
    write(tmp_path, "dev-context-en-question-de.json", "A. B.", "wer?")
    write(tmp_path, "dev-context-en-question-en.json", "A. B.", "who?")
    assert CARDS["mlqa"].read(tmp_path).qrels.num_rows == 2
    write(tmp_path, "dev-context-de-question-de.json", "C.", "was?")
    with pytest.raises(PanglotError, match="another file has other text for 'f00'"):
        CARDS["mlqa"].read(tmp_path)


def test_both_plain_and_gzipped_is_one_file(tmp_path: Path) -> None:
    write(tmp_path, "dev-context-en-question-en.json", "Aa. Bb.", "who?", 4)
    plain = tmp_path / "dev" / "dev-context-en-question-en.json"
    plain.with_name(plain.name + ".gz").write_bytes(gzip.compress(plain.read_bytes()))
    collection = CARDS["mlqa"].read(tmp_path, context=True)
    assert sorted(collection.passages["text"].to_pylist()) == ["Aa.\nAa. Bb.", "Bb.\nAa. Bb."]
    judged = {
        collection.passages["text"][row["passage"]].as_py(): row["relevance"] for row in collection.qrels.to_pylist()
    }
    assert judged == {"Bb.\nAa. Bb.": 1, "Aa.\nAa. Bb.": 0}
