from collections import Counter
from pathlib import Path

import pytest

from panglot.datasets.catalog import CARDS

QUESTIONS = {
    "ar": 921,
    "bn": 113,
    "en": 440,
    "fi": 782,
    "id": 565,
    "ko": 276,
    "ru": 812,
    "sw": 499,
    "te": 669,
}
PASSAGES = {"ar": 842, "bn": 105, "en": 429, "fi": 634, "id": 514, "ko": 228, "ru": 778, "sw": 357, "te": 601}


def test_dev(data_dir: Path) -> None:
    dev = CARDS["tydiqa-goldp"].read(data_dir / "tydiqa-goldp")
    assert Counter(dev.questions["language"].to_pylist()) == QUESTIONS
    assert Counter(dev.passages["language"].to_pylist()) == PASSAGES
    assert dev.questions.num_rows == 5077
    assert dev.passages.num_rows == 4488
    left, right = dev.pairs
    assert sorted(left.tolist()) == list(range(5077))
    assert (dev.question_language[left] == dev.passage_language[right]).all()
    assert len(dev.questions["group"].unique()) == 5077  # not parallel


def test_train_has_the_original_ids(data_dir: Path) -> None:
    train = CARDS["tydiqa-goldp"].read(data_dir / "tydiqa-goldp", part="train")
    assert Counter(train.questions["language"].to_pylist()) == {"en": 3696, "ko": 1625, "sw": 2755}
    ids = train.questions["id"].to_pylist()
    assert "en-english--9041575374418655524-12" in ids
    assert not any("~" in identity for identity in ids)


def test_xtreme_ids_are_made_unique(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "train").symlink_to(data_dir / "tydiqa-goldp" / "train")
    train = CARDS["tydiqa-goldp"].read(tmp_path, part="train")
    ids = train.select(["en"]).questions["id"].to_pylist()
    assert len(ids) == len(set(ids)) == 3696
    assert len({identity.split("~")[0] for identity in ids}) == 89


@pytest.mark.parametrize("candidates", ["paragraph", "sentence"])
def test_stray_marks_are_gone(data_dir: Path, candidates: str) -> None:
    train = CARDS["tydiqa-goldp"].read(data_dir / "tydiqa-goldp", part="train", candidates=candidates)
    assert not any("</b>" in text for text in train.passages["text"].to_pylist())
