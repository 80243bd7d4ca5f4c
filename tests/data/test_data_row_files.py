"""Files of rows, small and large: read by their path, and converted by the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from panglot._errors import PanglotError
from panglot.batching import table
from panglot.cli.data import data
from panglot.data import collection
from panglot.data import ingest as ingest_module
from panglot.data.collection import Collection
from panglot.data.ingest import ingest
from panglot.datasets.registry import read

ROWS = [
    {
        "group": f"g{i // 2}",
        "language": ("de", "en")[i % 2],
        "question": f"q{i}?",
        "passage": f"passage {i}" * (1 + i % 3),
    }
    for i in range(40)
]


@pytest.fixture
def big(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files of rows in a folder that count as large."""
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ingest_module, "LARGE", 1)
    monkeypatch.setattr(collection, "MANY", 1)
    folder = tmp_path / "parts"
    folder.mkdir()
    for name, rows in (("a.jsonl", ROWS[::2]), ("b.jsonl", ROWS[1::2])):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_large_files_are_read_in_pieces_and_kept(big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = sorted(big.iterdir())
    whole = ingest(paths, name="parts").collection
    found = read(big)
    assert (found.name, found.digest, found.metadata) == ("parts", whole.digest, whole.metadata)
    assert found.folder is not None
    single = read(paths[0])
    assert (single.name, single.digest) == ("a", ingest(paths[0]).collection.digest)
    german = read(big, languages=["deu"])
    assert german.folder is not None
    assert german.digest == whole.select(["de"]).digest
    with monkeypatch.context() as patch:
        patch.setattr(ingest_module, "ingest", None)
        assert read(big).digest == whole.digest
    monkeypatch.setattr(collection, "_writable", lambda _: False)
    paths[0].touch()
    assert read(paths[0]).digest == single.digest


def test_small_files_of_a_folder(big: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ingest_module, "LARGE", 10**6)
    assert read(big).digest == ingest(sorted(big.iterdir())).collection.digest
    assert not (tmp_path / "cache").exists()


def test_a_large_set_that_was_converted_is_ready_to_train_on(
    big: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "LARGE", 1)
    done = CliRunner().invoke(data, ["convert", str(big), str(tmp_path / "out"), "--to", "arrow"])
    assert done.exit_code == 0, done.output
    assert len([*(tmp_path / "cache" / "sources").iterdir()]) == 1
    monkeypatch.setattr(table, "_find_rows", None)
    assert table.TrainingTable.from_collection(Collection.open(tmp_path / "out")).rows == 20


def test_converting_rows_to_arrow(big: Path, tmp_path: Path) -> None:
    whole = ingest(sorted(big.iterdir())).collection
    done = CliRunner().invoke(data, ["convert", str(big), str(tmp_path / "out"), "--to", "arrow"])
    assert done.exit_code == 0, done.output
    assert "40 questions, 40 passages, 80 judgements" in done.output
    assert read(tmp_path / "out").digest == whole.digest
    assert not (tmp_path / "cache").exists()
    command = ["convert", str(tmp_path / "out"), str(tmp_path / "less"), "--to", "arrow", "--languages", "deu"]
    done = CliRunner().invoke(data, [*command, "--rows", "5", "--seed", "1", "--min-characters", "12"])
    assert done.exit_code == 0, done.output
    less = read(tmp_path / "less")
    assert less.languages == ("de",)
    assert less.questions.num_rows == 5
    assert min(map(len, less.passages["text"].to_pylist())) >= 12
    done = CliRunner().invoke(data, ["convert", str(tmp_path / "less"), str(tmp_path / "rows.jsonl"), "--to", "jsonl",
                                     "--rows", "2"])  # fmt: skip
    assert done.exit_code == 0, done.output
    assert read(tmp_path / "rows.jsonl").questions.num_rows == 2


def test_a_broken_line_leaves_nothing(big: Path, tmp_path: Path) -> None:
    with (big / "b.jsonl").open("a") as out:
        out.write('{"language": "en", "question": "alone?"}\n')
    for place in (tmp_path / "out", tmp_path / "mine"):
        place.mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    done = CliRunner().invoke(data, ["convert", str(big), str(tmp_path / "out"), "--to", "arrow"])
    assert isinstance(done.exception, PanglotError)
    assert "b.jsonl, line 21" in str(done.exception)
    assert list((tmp_path / "out").iterdir()) == []
    done = CliRunner().invoke(data, ["convert", str(big), str(tmp_path / "mine"), "--to", "arrow"])
    assert "did not write as arrow" in str(done.exception)
    done = CliRunner().invoke(data, ["convert", str(big), str(tmp_path / "b"), "--to", "beir", "--ray"])
    assert "to write them as arrow" in str(done.exception)


SQUAD = json.dumps({"data": [{"paragraphs": [{"context": "Aa bb.", "qas": [
    {"id": "1", "question": "a?", "answers": [{"text": "Aa", "answer_start": 0}]}]}]}]})  # fmt: skip


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("fi", "fi"),
        ("train.fi", "fi"),
        ("squad-fi", "fi"),
        ("squad.zh-Hant", "zh-Hant"),
        ("zho_Hant", "zh-Hant"),
        ("train.pt-BR", "pt-BR"),
        ("v2.sr-Latn", "sr-Latn"),
    ],
)
def test_a_squad_file_is_in_the_language_of_its_name(tmp_path: Path, name: str, language: str) -> None:
    path = tmp_path / f"{name}.json"
    path.write_text(SQUAD)
    assert read(path).languages == (language,)
    assert read(path, languages=["sw"]).languages == ("sw",), "what is declared wins"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("dev-context-de-question-en", r"several languages \(de, en\)"),
        ("qa-to-do", "language of this file is unknown"),  # not Tongan
        ("dev", "language of this file is unknown"),  # not Domung
        ("no-answers", "language of this file is unknown"),  # not Norwegian
    ],
)
def test_a_name_that_may_mean_something_else_is_no_language(tmp_path: Path, name: str, problem: str) -> None:
    path = tmp_path / f"{name}.json"
    path.write_text(SQUAD)
    with pytest.raises(PanglotError, match=problem) as caught:
        read(path)
    assert "--languages de" in str(caught.value)
