"""Every part and kind of passages of every real set: read without a warning, with the published counts."""

from __future__ import annotations

import logging
import re
import warnings
from collections import Counter
from pathlib import Path

import pytest

from panglot._errors import PanglotError
from panglot.data.collection import Collection
from panglot.datasets.catalog import CARDS
from panglot.datasets.registry import find, read

DOCS = Path(__file__).parents[2] / "docs" / "datasets.md"
#: The languages to read from sets that are too large for a test.
FEW = ("en", "de", "sw", "zh-Hant")
#: Sets that take seconds.
SLOW = {"squad2-en-fi", "mlqa", "ntrex-128", "sib-200", "tydiqa-goldp-large", "xor-questions"}


def readings() -> list[tuple[str, str, str]]:
    return [
        (
            card.name,
            f"{card.name}:de" if card.pairs else f"{card.name}:{part}@{kind}" if part else f"{card.name}@{kind}",
            kind,
        )
        for card in CARDS.values()
        for part in card.parts or ("",)
        for kind in card.candidates
    ]


@pytest.mark.parametrize(
    ("card", "name", "kind"),
    [pytest.param(*each, marks=pytest.mark.slow if each[0] in SLOW else ()) for each in readings()],
    ids=lambda value: value,
)
def test_every_part_and_kind_is_read_without_a_warning(
    card: str,
    name: str,
    kind: str,
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path))
    if find(CARDS[card], data_dir) is None:
        pytest.skip(f"{card} is not at hand")
    languages = [code for code in FEW if code in CARDS[card].languages] if CARDS[card].selects_languages else None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if card in {"miracl", "mrtydi"} and kind != "topics":
            with pytest.raises(PanglotError, match=r"but no passages in"):
                read(name, data_dir=data_dir, languages=languages)
            return
        found = read(name, data_dir=data_dir, languages=languages)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert set(found.languages) <= set(CARDS[card].languages)
    assert found.questions.num_rows > 0
    if kind != "topics":
        assert set(found.pairs[0].tolist()) == set(range(found.questions.num_rows)), "a question without an answer"


def groups(collection: Collection) -> int:
    return len(collection.questions["group"].unique())


def test_xquad_r_has_its_sentences_and_paragraphs(data_dir: Path) -> None:
    sentences, paragraphs = (read(f"xquad-r@{kind}", data_dir=data_dir) for kind in ("sentence", "paragraph"))
    assert (sentences.questions.num_rows, sentences.passages.num_rows, groups(sentences)) == (13_090, 13_014, 1_190)
    assert (paragraphs.passages.num_rows, len(paragraphs.languages)) == (240 * 11, 11)
    # Contexts with blanks at their ends, and none between the sentences of Chinese.
    texts = [*sentences.passages["text"].to_pylist(), *paragraphs.passages["text"].to_pylist()]
    assert all(texts)


def test_tydi_dev_and_train_by_language(data_dir: Path) -> None:
    assert read("tydiqa-goldp:dev", data_dir=data_dir).questions.num_rows == 5_077
    train = read("tydiqa-goldp:train", data_dir=data_dir)
    assert Counter(train.questions["language"].to_pylist()) == {"en": 3_696, "ko": 1_625, "sw": 2_755}


def test_tydi_dev_is_nearly_all_in_mr_tydi_test(data_dir: Path) -> None:
    mine = read("tydiqa-goldp:dev", data_dir=data_dir, languages=["sw", "fi"])
    theirs = set(read("mrtydi:test@topics", data_dir=data_dir, languages=["sw", "fi"]).questions["text"].to_pylist())
    texts = mine.questions["text"].to_pylist()
    assert sum(text in theirs for text in texts) > 0.9 * len(texts)


def test_topics_are_in_all_languages(data_dir: Path) -> None:
    for name, number in (("miracl", 18), ("mrtydi", 11)):
        asked = read(f"{name}@topics", data_dir=data_dir).questions["language"].unique().to_pylist()
        assert sorted(asked) == list(CARDS[name].languages)
        assert len(asked) == number


@pytest.mark.slow
def test_parallel_sets_have_every_row_and_language(data_dir: Path) -> None:
    parts = [read(f"ntrex-128:{part}", data_dir=data_dir, languages=["en", "de"]) for part in ("train", "test")]
    assert sum(map(groups, parts)) == 1_997
    documents = [{group.rpartition("-")[0] for group in part.questions["group"].to_pylist()} for part in parts]
    assert len(documents[0] | documents[1]) == 123
    assert not documents[0] & documents[1]
    parts = [read(f"sib-200:{part}", data_dir=data_dir, languages=["en", "de"]) for part in ("train", "dev", "test")]
    assert [groups(part) for part in parts] == [701, 99, 204]
    assert len(CARDS["sib-200"].languages) == 205
    assert len(CARDS["tatoeba-112"].languages) == 112 + 1


@pytest.mark.parametrize(
    "name",
    [
        "WikiQA", "DuoRC", "NewsQA", "Yahoo QA", "EntityQuestions", "MFAQ", "mMARCO", "Natural Questions", "Mr. TyDi",
        "XQuAD-R", "MLQA-R", "MIRACL", "SQuADShifts",
    ],
)  # fmt: skip
def test_every_set_of_the_hybrid_paper_is_mapped(name: str) -> None:
    """2408.10536 trains on nine sets and tests on four (ours too: MLQA-R)."""
    text = DOCS.read_text("utf-8")
    by_name = re.search(rf"(?m)^\| [^|]*\b{re.escape(name)}[^|]*\| \|.*by name", text)
    row = re.search(rf"(?m)^\| {re.escape(name)} \|([^|]+\|){{6}}$", text)
    assert by_name or row, name
    card = name.lower().replace(". ", "").replace(" ", "-")
    if by_name:
        assert card in CARDS
