"""What stays of a collection, and the commands and readers of large files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from panglot._errors import PanglotError
from panglot.batching import table
from panglot.cli.data import data
from panglot.data import cache, collection, transform
from panglot.data.collection import Collection, Text
from panglot.data.formats import detect
from panglot.data.ingest import ingest
from panglot.datasets.registry import read


def test_whole_groups_are_drawn_with_their_passages(facts: Collection) -> None:
    questions, passages = transform.chosen(facts, rows=10, seed=3)
    kept = facts.keep(questions, passages)
    groups = kept.questions["group"].to_pylist()
    assert kept.questions.num_rows == 9, "three groups of three languages, and no part of a fourth"
    assert all(groups.count(group) == 3 for group in groups)
    judged = {(row["question"], row["passage"]) for row in facts.relevance.to_pylist() if questions[row["question"]]}
    assert set(np.flatnonzero(passages).tolist()) == {passage for _, passage in judged}
    assert (transform.chosen(facts, rows=10, seed=3)[0] == questions).all()
    assert (transform.chosen(facts, rows=10, seed=4)[0] != questions).any()


def test_of_the_passages_that_nobody_asks_for_a_share_stays() -> None:
    texts = [Text(f"t{i}", "en", f"t{i}", f"text {i}") for i in range(4000)]
    whole = Collection.build("pool", texts[:100], texts, [(t.id, t.id, 1) for t in texts[:100]])
    questions, passages = transform.chosen(whole, rows=25, seed=0)
    assert questions.sum() == 25
    assert (passages[:100] == questions).all()
    assert 800 < passages[100:].sum() < 1150


def test_lengths_and_languages() -> None:
    questions = [Text("q1", "en", "1", "q"), Text("q2", "de", "2", "f"), Text("q3", "en", "3", "unjudged")]
    passages = [Text("p1", "en", "1", "ünü"), Text("p2", "de", "2", "long enough"), Text("p3", "en", "1", "four")]
    whole = Collection.build("x", questions, passages, [("q1", "p1", 1), ("q2", "p2", 1), ("q1", "p3", 0)])
    kept = whole.keep(*transform.chosen(whole, shortest=4))
    assert kept.questions["id"].to_pylist() == ["q2", "q3"], "the only right passage of q1 has three characters"
    assert kept.passages["id"].to_pylist() == ["p2", "p3"]
    assert whole.keep(*transform.chosen(whole, longest=4)).passages["id"].to_pylist() == ["p1", "p3"]
    assert whole.keep(*transform.chosen(whole, languages=["de"])).digest == whole.select(["de"]).digest
    with pytest.raises(PanglotError, match=r"no questions or no passages of x are left.*de, en"):
        transform.chosen(whole, languages=["fi"])


def test_the_digest_of_a_large_collection_is_remembered_until_its_files_change(
    tmp_path: Path, facts: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(collection, "_LARGE", 1)
    facts.save(tmp_path / "facts")
    assert Collection.open(tmp_path / "facts").digest == facts.digest
    other = facts.select(["de"])
    other.save(tmp_path / "facts")
    assert Collection.open(tmp_path / "facts").digest == other.digest != facts.digest
    monkeypatch.setattr(Collection, "_digest", None)
    assert Collection.open(tmp_path / "facts").digest == other.digest


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
    """Two files of rows in a folder, which count as large."""
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(detect, "LARGE", 1)
    monkeypatch.setattr(cache, "MANY", 1)
    folder = tmp_path / "parts"
    folder.mkdir()
    for name, rows in (("a.jsonl", ROWS[::2]), ("b.jsonl", ROWS[1::2])):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_large_files_are_read_in_pieces_and_kept(big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = sorted(big.iterdir())
    whole = ingest(paths, name="parts").collection
    found = read(big)
    assert (found.name, found.digest, found.about) == ("parts", whole.digest, whole.about)
    assert found.folder is not None
    single = read(paths[0])
    assert (single.name, single.digest) == ("a", ingest(paths[0]).collection.digest)
    german = read(big, languages=["deu"])
    assert german.folder is not None
    assert german.digest == whole.select(["de"]).digest
    with monkeypatch.context() as patch:
        patch.setattr(detect, "ingest", None)
        assert read(big).digest == whole.digest
    monkeypatch.setattr(cache, "writable", lambda _: False)
    paths[0].touch()
    assert read(paths[0]).digest == single.digest


def test_small_files_of_a_folder(big: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(detect, "LARGE", 10**6)
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
    assert table.source(Collection.open(tmp_path / "out")).rows == 20


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
    assert "holds something else" in str(done.exception)
    done = CliRunner().invoke(data, ["convert", str(big), str(tmp_path / "b"), "--to", "beir", "--ray"])
    assert "to write them as arrow" in str(done.exception)
