"""Readers of question sets: on real files if present, else on made ones in the publisher's format."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from panglot._errors import PanglotError
from panglot.data.collection import Collection
from panglot.datasets import (
    hub,  # fmt: skip
)
from panglot.datasets.catalog import CARDS
from panglot.datasets.decontaminate import exclude
from panglot.datasets.registry import read


def put(path: Path, *lines: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def answers(collection: Collection) -> dict[str, set[str]]:
    """The texts of the relevant passages by question id."""
    questions, passages = collection.questions["id"].to_pylist(), collection.passages["text"].to_pylist()
    found: dict[str, set[str]] = {question: set() for question in questions}
    for question, passage in zip(*(side.tolist() for side in collection.pairs), strict=True):
        found[questions[question]].add(passages[passage])
    return found


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "cache"))


def test_real_counts(data_dir: Path) -> None:
    for name, questions, passages in (
        ("miracl@topics", 13_495, 0),
        ("mrtydi@topics", 8_661, 0),
        ("mkqa", 1_758 * 12, 1_758 * 12),
        ("xor-tydi", 2_110 - 182, None),
        ("xor-tydi:train", 15_250 - 1_214, None),
        ("iapp-wiki-qa-th:train", 5_761, 1_523),
        ("iapp-wiki-qa-th:dev", 742, 190),
        ("iapp-wiki-qa-th:test", 739, 192),
        ("enelpi-tr", 5_870, None),
        ("enelpi-tr:test", 405, None),
    ):
        found = read(name, data_dir=data_dir)
        assert found.questions.num_rows == questions, name
        assert passages in (None, found.passages.num_rows), name


def test_mkqa_ids(data_dir: Path) -> None:
    found = read("mkqa", data_dir=data_dir, languages=["zh", "en"])
    ids = set(found.questions["id"].to_pylist())
    assert {"zh:-4767536963343233422", "en:-4767536963343233422", "zh:563260143484355911"} <= ids
    assert len(found.questions["group"].unique()) == 1_758
    short = answers(read("mkqa@answer", data_dir=data_dir, languages=["en"]))
    assert short["en:563260143484355911"] == {"Dave Edmunds"}


def test_xor_languages_and_answers(data_dir: Path) -> None:
    found = read("xor-tydi:train", data_dir=data_dir)
    assert set(found.questions["language"].to_pylist()) == {"ar", "bn", "fi", "ja", "ko", "ru", "te"}
    assert found.passages["language"].unique().to_pylist() == ["en"]
    assert answers(found)["bn:-2745676532874802308"] == {"2006"}


def test_enelpi_ids_and_offsets(data_dir: Path) -> None:
    found = read("enelpi-tr@sentence", data_dir=data_dir)
    assert any("~" in identity for identity in found.questions["id"].to_pylist())
    assert found.metadata["left out, misplaced"] == "22"


def test_tydi_train_is_in_miracl_dev(data_dir: Path) -> None:
    """The overlap guard finds it from the questions alone."""
    train = read("tydiqa-goldp:train", data_dir=data_dir, languages=["sw"])
    dev = read("miracl@topics", data_dir=data_dir, languages=["sw"])
    _, (overlap,) = exclude(train, [dev])
    assert overlap.equal > 300


def test_miracl_without_and_with_passages(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match=r"but no passages in sw.*miracl-corpus-v1\.0-sw"):
        read("miracl", data_dir=data_dir, languages=["sw"])
    for kind in ("topics", "qrels"):
        name = f"{kind}.miracl-v1.0-sw-dev.tsv.gz"
        (tmp_path / name).write_bytes((data_dir / "miracl" / name).read_bytes())
    judged = dict.fromkeys(
        line.split("\t")[2] for line in gzip.decompress((tmp_path / name).read_bytes()).decode().splitlines()
    )
    docs = [{"docid": identity, "title": "T", "text": f"text {identity}"} for identity in (*judged, "x#1")]
    corpus = tmp_path / "miracl-corpus-v1.0-sw"
    put(corpus / "docs-0.jsonl.gz", *docs[:100])
    with pytest.raises(PanglotError, match="corpus lacks"):
        CARDS["miracl"].read(tmp_path)
    put(corpus / "docs-10.jsonl.gz", *docs[200:])
    put(corpus / "docs-2.jsonl.gz", *docs[100:200])
    found = CARDS["miracl"].read(tmp_path)
    assert found.questions.num_rows == 482
    assert found.passages.num_rows == len(docs)
    assert found.passages["id"][150].as_py() == f"sw:{docs[150]['docid']}"
    assert {0, 1} == set(found.qrels["relevance"].to_pylist())
    assert all(text.startswith("T\ntext ") for texts in answers(found).values() for text in texts)
    assert CARDS["miracl"].read(tmp_path, candidates="judged").passages.num_rows == len(judged)


def test_mrtydi_in_both_releases(tmp_path: Path) -> None:
    put(tmp_path / "topics.mrtydi-v1.1-fi.test.txt", "7\tMikä?")
    put(tmp_path / "qrels.mrtydi-v1.1-fi.test.txt", "7\tQ0\t9#1\t1")
    put(tmp_path / "topics.mrtydi-v1.1-sw.test.txt", "8\tNini?")
    put(tmp_path / "qrels.mrtydi-v1.1-sw.test.txt", "8\tQ0\t9#1\t1")
    home = tmp_path / "mrtydi-v1.1-finnish"
    put(home / "collection" / "docs.jsonl.gz", {"id": "9#1", "contents": "A\n\nB"}, {"id": "9#2", "contents": "C"})
    found = CARDS["mrtydi"].read(tmp_path)
    assert answers(found) == {"fi:7": {"A\n\nB"}}
    assert found.metadata["left out, no passages at hand"] == "sw"
    put(home / "corpus.jsonl", {"docid": "9#1", "title": "A", "text": "B"})
    assert answers(CARDS["mrtydi"].read(tmp_path, languages=["fi"])) == {"fi:7": {"A\nB"}}
    with pytest.raises(PanglotError, match=r"mrtydi-v1\.1-swahili"):
        CARDS["mrtydi"].read(tmp_path, languages=["fi", "sw"])


def test_mmarco_is_parallel_by_id(tmp_path: Path) -> None:
    home = tmp_path / "data" / "google"
    for spelled, code in (("german", "de"), ("english", "en")):
        put(home / "collections" / f"{spelled}_collection.tsv", *(f"{i}\t{code} passage {i}" for i in range(4)))
        put(home / "queries" / "dev" / f"{spelled}_queries.dev.small.tsv", f"11\t{code}?", f"12\t{code} unjudged?")
    put(tmp_path / "qrels.dev.small.tsv", "11\t0\t2\t1")
    found = CARDS["mmarco"].read(tmp_path)
    assert answers(found) == {q: {"de passage 2", "en passage 2"} for q in ("de:11", "en:11")}
    assert found.passages.num_rows == 8
    assert found.passages["group"].to_pylist()[:2] == ["0", "1"]
    assert CARDS["mmarco"].read(tmp_path, candidates="judged", languages=["de"]).passages["text"].to_pylist() == [
        "de passage 2"
    ]
    put(home / "collections" / "german_collection.tsv", "no tab")
    with pytest.raises(PanglotError, match=r"german_collection\.tsv, line 1"):
        CARDS["mmarco"].read(tmp_path)


def test_belebele_ties_questions_and_passages(tmp_path: Path) -> None:
    def row(link: str, number: int, passage: str, question: str) -> dict[str, object]:
        return {"link": link, "question_number": number, "flores_passage": passage, "question": question,
                "mc_answer1": "a", "correct_answer_num": "1", "dialect": "x", "ds": "2023-05-03"}  # fmt: skip

    rows = [("u", 1, "A", "a1?"), ("u", 2, "A", "a2?"), ("u", 1, "B", "b1?"), ("v", 1, "C", "c1?")]
    for code in ("eng_Latn", "zho_Hant"):
        put(tmp_path / f"{code}.jsonl", *(row(u, n, f"{p} {code}", f"{q} {code}") for u, n, p, q in rows))
    found = CARDS["belebele"].read(tmp_path)
    both = {f"A {code}" for code in ("eng_Latn", "zho_Hant")}
    told = answers(found)
    assert told["en:u#1"] == told["zh-Hant:u#2"] == both
    assert told["en:u#1~2"] == {"B eng_Latn", "B zho_Hant"}
    assert len(set(found.questions["group"].to_pylist())) == 4
    assert len(set(found.passages["group"].to_pylist())) == 3
    assert CARDS["belebele"].read(tmp_path, languages=["en"]).passages.num_rows == 3


def test_afriqa(tmp_path: Path) -> None:
    line = {"id": 5, "question_lang": "Ǹjẹ́?", "question_translated": "Is it?", "title": "T", "context": "It is.",
            "answer_pivot": {"answer_start": [0], "text": ["It"]}}  # fmt: skip
    put(tmp_path / "yor" / "gold_span_passages.afriqa.yor.en.test.json", line, {**line, "id": 6})
    put(tmp_path / "twi" / "gold_span_passages.afriqa.twi.en.test.json", line)
    found = CARDS["afriqa"].read(tmp_path)
    assert answers(found).keys() == {"yo:yo-5", "en:yo-5", "yo:yo-6", "en:yo-6", "ak:ak-5", "en:ak-5"}
    assert found.passages["text"].to_pylist() == ["It is."]
    put(tmp_path / "gold_span_passages.afriqa.hau.en.test.json", {"id": 1})
    with pytest.raises(PanglotError, match=r"hau.*line 1, field \"question_lang\""):
        CARDS["afriqa"].read(tmp_path)


def test_tydiqa_primary_counts_bytes(tmp_path: Path) -> None:
    article = "Ää on. Öö ei."
    spans = [(0, len("Ää on.".encode())), (len("Ää on. ".encode()), len(article.encode()))]

    def line(*found: int) -> dict[str, Any]:
        return {"language": "finnish", "document_plaintext": article, "question_text": "Mikä?", "example_id": -3,
                "passage_answer_candidates": [{"plaintext_start_byte": s, "plaintext_end_byte": e} for s, e in spans],
                "annotations": [{"passage_answer": {"candidate_index": place}} for place in found]}  # fmt: skip

    put(tmp_path / "tydiqa-v1.0-dev.jsonl.gz", line(1, 1, -1), line(0, -1, -1), line(0))
    found = CARDS["tydiqa-primary"].read(tmp_path)
    assert answers(found) == {"fi:-3": {"Öö ei."}, "fi:-3~2": {"Ää on."}}
    assert found.passages.num_rows == 2
    assert found.metadata["left out, unanswerable"] == "1"
    put(tmp_path / "tydiqa-v1.0-dev.jsonl.gz", line(7))
    with pytest.raises(PanglotError, match="line 1: a candidate or an annotation"):
        CARDS["tydiqa-primary"].read(tmp_path)


def test_natural_questions_in_mrqas_form(tmp_path: Path) -> None:
    context = "<P> Rome fell . </P> <P> It was late . </P>"
    qas = [
        {"qid": "a", "question": "what fell", "detected_answers": [{"text": "Rome", "char_spans": [[4, 7]]}]},
        {"qid": "b", "question": "why", "detected_answers": []},
    ]
    header = {"header": {"dataset": "NaturalQuestionsShort", "split": "dev"}}
    put(tmp_path / "dev" / "NaturalQuestionsShort.jsonl.gz", header, {"context": context, "qas": qas})
    found = CARDS["natural-questions"].read(tmp_path, part="dev")
    assert answers(found) == {"en-a": {"Rome fell . It was late ."}}
    assert found.metadata["left out, unanswerable"] == "1"
    put(tmp_path / "dev" / "NaturalQuestionsShort.jsonl.gz", header, {"context": context})
    with pytest.raises(PanglotError, match='line 2, field "qas": not in MRQA\'s form'):
        CARDS["natural-questions"].read(tmp_path, part="dev")


def test_flores(tmp_path: Path) -> None:
    put(tmp_path / "devtest" / "eng_Latn.devtest", "One.", "Two.")
    put(tmp_path / "devtest" / "deu_Latn.devtest", "Eins.", "Zwei.")
    assert answers(CARDS["flores-200"].read(tmp_path)) == {
        "en:1": {"Eins."}, "en:2": {"Zwei."}, "de:1": {"One."}, "de:2": {"Two."},
    }  # fmt: skip
    put(tmp_path / "devtest" / "fin_Latn.devtest", "Yksi.")
    with pytest.raises(PanglotError, match=r"have 2 lines, got 1|have 1 lines, got 2"):
        CARDS["flores-200"].read(tmp_path)


def test_hub_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [{"q": "who?", "a": {"text": ["she"]}, "label": 1}, {"q": "who?", "a": {"text": ["he"]}, "label": 0}]

    def fake(name: str, config: str | None, *, split: str, streaming: bool) -> Iterable[dict[str, Any]]:
        assert (name, config, split, streaming) == ("owner/set", None, "dev", True)
        return datasets.Dataset.from_list(rows)

    monkeypatch.setattr(datasets, "load_dataset", fake)
    found = read("hub:owner/set?question=q&passage=a.text&language=en&where=label=1&split=dev")
    assert answers(found) == {"en:line-0000001": {"she"}}
    with pytest.raises(PanglotError, match=r'field "b": there is no such column \(there are: q, a, label\)'):
        hub.read("owner/set", {"passage": "b", "language": "en"}, split="dev")
    with pytest.raises(PanglotError, match="`passage` and `language` are required"):
        hub.read("owner/set", {"question": "q"}, split="dev")
    with pytest.raises(PanglotError, match="unknown setting 'colour'"):
        read("hub:owner/set?colour=red")
