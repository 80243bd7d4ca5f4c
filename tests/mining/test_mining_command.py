"""``panglot mine``, and training on what it wrote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import panglot
from panglot._errors import PanglotError
from panglot.cli.train import mine
from panglot.data.collection import Collection
from panglot.training import data
from panglot.training.settings import Settings


def _run(*arguments: str | Path) -> str:
    done = CliRunner().invoke(mine, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_writes_a_set_that_training_reads(
    facts_folder: Path, small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "mined"
    output = _run(small_model, facts_folder, "--negatives", "3", "--relative-margin", "0", "--similarity", "1",
                  "--output", folder, "--json", tmp_path / "mined.json")  # fmt: skip
    assert f"Wrote {folder}" in output
    written = Collection.open(folder)
    metadata = json.loads(written.metadata["mined"])
    assert metadata["fingerprint"] == panglot.load(small_model).fingerprint
    assert sum(metadata["found"]["questions"].values()) == written.questions.num_rows
    assert json.loads((tmp_path / "mined.json").read_text("utf-8"))["found"] == metadata["found"]
    groups = [table["group"].to_pylist() for table in (written.questions, written.passages)]
    negatives = [r for r in written.qrels.to_pylist() if r["relevance"] == 0]
    assert negatives
    assert all(groups[0][r["question"]] != groups[1][r["passage"]] for r in negatives)
    ((asked, _),) = (data.hard_negatives_of(c) for c in data.load(Settings(on=(str(folder),), exclude=())).collections)
    assert len(asked) == len(negatives)
    # The same command again, over its own output.
    _run(small_model, facts_folder, "--negatives", "3", "--relative-margin", "0", "--similarity", "1",
         "--output", folder)  # fmt: skip
    assert Collection.open(folder).digest == written.digest
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "diary.txt").touch()
    with pytest.raises(PanglotError, match="did not write as arrow"):
        _run(small_model, facts_folder, "--output", tmp_path / "else")


@pytest.mark.slow
def test_the_bundled_model_mines_what_is_near_and_wrong() -> None:
    train = panglot.read("starter:train", languages=["de", "en", "sw"])
    found = panglot.mine("bundled", train, negatives=2, language="same")
    encoder = panglot.load("bundled")
    questions = encoder.encode(found.questions["text"].to_pylist(), "question")
    passages = encoder.encode(found.passages["text"].to_pylist(), "passage")
    rows = found.qrels.to_pylist()
    scores = {(r["question"], r["passage"]): float(questions[r["question"]] @ passages[r["passage"]]) for r in rows}
    negatives = [r for r in rows if r["relevance"] == 0]
    mean = float(np.mean(questions @ passages.T))
    assert np.mean([scores[r["question"], r["passage"]] for r in negatives]) > mean
    for r in negatives:
        assert found.question_language[r["question"]] == found.passage_language[r["passage"]]
        own = [scores[q["question"], q["passage"]] for q in rows if q["relevance"] and q["question"] == r["question"]
               and found.passage_language[q["passage"]] == found.passage_language[r["passage"]]]  # fmt: skip
        assert scores[r["question"], r["passage"]] <= 0.95 * max(own) + 1e-6
    again = panglot.mine("bundled", train, negatives=2, language="same")
    assert again.digest == found.digest
