"""The sets with one reader each that are parallel text: squad2-en-fi, XOR questions, help pages."""

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from panglot._errors import PanglotError
from panglot.datasets import translations
from panglot.datasets.catalog import CARDS
from panglot.datasets.registry import read


def test_squad_en_fi(data_dir: Path) -> None:
    collection = read("squad2-en-fi", data_dir=data_dir)
    assert Counter(collection.questions["language"].to_pylist()) == {"en": 130_319, "fi": 130_319}
    assert Counter(collection.passages["language"].to_pylist()) == {"en": 19_035, "fi": 19_035}
    assert set(Counter(collection.questions["group"].to_pylist()).values()) == {2}
    assert set(Counter(collection.passages["group"].to_pylist()).values()) == {2}
    left, right = collection.pairs
    asked, found = collection.questions["group"].to_pylist(), collection.passages["group"].to_pylist()
    assert len(left) == 4 * 130_319
    some = np.random.default_rng(0).integers(len(left), size=5000)
    assert all(asked[left[i]].rpartition("-q")[0] == found[right[i]] for i in some)


def test_xor_questions(data_dir: Path) -> None:
    collection = CARDS["xor-questions"].read(data_dir / "xor-tydi")
    metadata = collection.metadata
    assert metadata["left out, in dev"] == "48"  # 19 Bengali and 21 Korean questions, some in several lines
    assert metadata["left out, empty"] == "1"
    kept = collection.questions.num_rows // 2
    assert kept + sum(int(value) for key, value in metadata.items() if key.startswith("left out")) == 32_877
    assert collection.languages == CARDS["xor-questions"].languages
    left, right = collection.pairs
    assert (collection.question_language[left] != collection.passage_language[right]).all()
    assert Counter(left.tolist()) == dict.fromkeys(range(2 * kept), 1)
    groups = Counter(collection.questions["group"].to_pylist())
    assert set(groups.values()) == {2}
    assert "ar-00428" not in groups  # its English is empty


def test_xor_sides_of_different_length(tmp_path: Path) -> None:
    folder = tmp_path / "question-translation" / "ar-en"
    folder.mkdir(parents=True)
    (folder / "en.txt").write_text("a\nb\n")
    (folder / "ar.txt").write_bytes(gzip.compress("ا\n".encode()))
    with pytest.raises(PanglotError, match=r"en.txt has 2 lines, got 1"):
        CARDS["xor-questions"].read(tmp_path)


def test_libreoffice_help(data_dir: Path) -> None:
    collection = CARDS["libreoffice-help"].read(data_dir / "libreoffice-help")
    assert collection.passages.num_rows == 54_377
    assert len(collection.passages["group"].unique()) == 1_748
    later = [group for group in collection.passages["group"].unique().to_pylist() if "/" in group.split("#")[1]]
    assert len(later) == 349
    assert len(collection.questions["group"].unique()) == 1_482  # the first part of 83 sections is missing
    assert collection.languages == CARDS["libreoffice-help"].languages
    assert {"en", "zh", "zh-Hant", "pt", "pt-BR", "ca-valencia"} <= set(collection.languages)
    left, right = collection.pairs
    sections = [translations.section_of(group) for group in collection.passages["group"].to_pylist()]
    asked = collection.questions["group"].to_pylist()
    some = np.random.default_rng(0).integers(len(left), size=5000)
    assert all(asked[left[i]] == sections[right[i]] for i in some)
    versions, parts = Counter(asked), Counter(sections)
    assert len(left) == sum(versions[section] * number for section, number in parts.items())
    train, test = (
        CARDS["libreoffice-help"].read(data_dir / "libreoffice-help", part=part) for part in ("train", "test")
    )
    pages = [{group.partition("#")[0] for group in part.passages["group"].to_pylist()} for part in (train, test)]
    assert not pages[0] & pages[1]
    assert pages[0] | pages[1] == {group.partition("#")[0] for group in collection.passages["group"].to_pylist()}
    assert 0.1 < test.passages.num_rows / collection.passages.num_rows < 0.3


def test_khmer_keeps_its_word_breaks(data_dir: Path) -> None:
    khmer = CARDS["libreoffice-help"].read(data_dir / "libreoffice-help").select(["km"])
    assert any("\u200b" in text for text in khmer.passages["text"].to_pylist())


def test_help_without_a_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"group": ["a"], "lang": ["en"], "title": ["b"]}), tmp_path / "x.parquet")
    with pytest.raises(PanglotError, match=r'x.parquet, field "text": no such column .there are: group, lang, title'):
        CARDS["libreoffice-help"].read(tmp_path)


def test_ntrex_documents_are_in_one_part_and_sentences_find_their_translations(data_dir: Path) -> None:
    wanted = ["deu", "en", "zh", "th"]
    train, test = (read("ntrex-128", data_dir=data_dir, part=part, languages=wanted) for part in ("train", "test"))
    assert train.questions.num_rows + test.questions.num_rows == 4 * 1_997
    documents = [{group.rpartition("-")[0] for group in c.questions["group"].to_pylist()} for c in (train, test)]
    assert not documents[0] & documents[1]
    assert len(documents[0] | documents[1]) == 123
    assert test.metadata["test_only"] == "yes"
    assert train.metadata["test_only"] == "no"
    left, right = train.pairs
    assert len(left) == train.questions.num_rows * 3
    assert (train.question_language[left] != train.passage_language[right]).all()
    groups = [table["group"].to_pylist() for table in (train.questions, train.passages)]
    assert all(groups[0][q] == groups[1][p] for q, p in zip(left.tolist(), right.tolist(), strict=True))
