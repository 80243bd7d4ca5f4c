"""``panglot evaluate`` and ``panglot compare``, with vectors from disk."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import ir_measures
import numpy as np
import pytest
from click.testing import CliRunner

from panglot._errors import PanglotError
from panglot.cli.evaluate import compare_command, evaluate_command
from panglot.evaluation.figures import measure
from panglot.evaluation.inputs import open_encoder
from panglot.evaluation.ranks import trec_qrels

from .made import parallel, unit

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, list[str]]:
    """A saved collection, and vectors of two models for it."""
    questions, passages, collection = parallel(groups=30)
    collection.save(tmp_path / "made")
    generator = np.random.default_rng(1)
    worse = unit(passages + 2 * generator.standard_normal(passages.shape))
    for name, vectors in (("good", passages), ("bad", worse)):
        np.savez(
            tmp_path / f"{name}.npz",
            questions=questions,
            passages=vectors,
            question_ids=np.array(collection.questions["id"].to_pylist()),
            passage_ids=np.array(collection.passages["id"].to_pylist()),
        )
    return tmp_path, [f"vectors:{tmp_path / name}.npz" for name in ("good", "bad")]


def test_evaluate_prints_and_writes(places: tuple[Path, list[str]]) -> None:
    folder, (good, _) = places
    arguments = [good, str(folder / "made"), "--draws", "20", "--json", str(folder / "f.json"), "--seed", "3"]
    arguments += [
        "--report",
        str(folder / "f.md"),
        "--trec-run",
        str(folder / "f.run"),
        "--measures",
        "mAP,R@10",
    ]
    done = CliRunner().invoke(evaluate_command, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert "mAP" in done.stdout
    figures = json.loads((folder / "f.json").read_text("utf-8"))
    assert figures["settings"]["measures"] == ["mAP", "R@10"]
    questions, passages, collection = parallel(groups=30)
    expected = measure(questions, passages, collection, draws=0).figures
    found = figures["datasets"]["made"]
    assert found["multilingual"]["rank_distance"] == expected["multilingual"]["rank_distance"]
    assert "mAP" in (folder / "f.md").read_text("utf-8")
    judged = [ir_measures.Qrel(q, p, grade) for q, row in trec_qrels(collection).items() for p, grade in row.items()]
    run = list(ir_measures.read_trec_run(str(folder / "f.run")))
    theirs = ir_measures.calc_aggregate([ir_measures.parse_measure("AP")], judged, run)
    assert found["multilingual"]["mAP"] == pytest.approx(next(iter(theirs.values())), abs=1e-9)


def test_precision_is_used_and_recorded(
    places: tuple[Path, list[str]], small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "cache"))
    data, model = str(places[0] / "made"), str(small_model)
    other = str(shutil.copytree(small_model, tmp_path / "other"))
    (tmp_path / "other" / "README.md").write_text("another model\n", "utf-8")
    found = {}
    for precision in ("fp32", "bf16"):
        options = ["--draws", "5", "--precision", precision, "--json", "-"]
        done = CliRunner().invoke(evaluate_command, [model, data, *options], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        found[precision] = json.loads(done.stdout)
        assert found[precision]["settings"]["precision"] == precision
        done = CliRunner().invoke(compare_command, [model, other, "--test", data, *options], catch_exceptions=False)
        both = json.loads(done.stdout)
        assert both["settings"]["precision"] == precision
        assert found[precision]["model"]["fingerprint"] in {
            each["model"]["fingerprint"] for each in both["evaluations"].values()
        }
    # The second one must not find the vectors of the first in the cache.
    assert found["fp32"]["model"]["fingerprint"] != found["bf16"]["model"]["fingerprint"]
    whole, half = (open_encoder(model, precision=precision) for precision in ("fp32", "bf16"))
    texts = ["where is lake?", "mountain lies in the north."]
    assert not np.array_equal(whole.encode(texts, "passage"), half.encode(texts, "passage"))
    np.testing.assert_allclose(whole.encode(texts, "passage"), half.encode(texts, "passage"), atol=0.05)
    assert open_encoder(whole, precision="fp32") is whole
    with pytest.raises(PanglotError, match="bf16 was asked for, but model is loaded already with fp32"):
        open_encoder(whole, precision="bf16")


def test_json_on_standard_output_is_json_alone(places: tuple[Path, list[str]]) -> None:
    folder, (good, bad) = places
    data = str(folder / "made")
    for command, arguments in (
        (evaluate_command, [good, data]),
        (compare_command, [good, bad, "--test", data]),
    ):
        done = CliRunner().invoke(command, [*arguments, "--draws", "5", "--json", "-"], catch_exceptions=False)
        assert json.loads(done.stdout)["datasets"]["made"]
        assert not done.stderr


def test_compare_finds_the_better_model(places: tuple[Path, list[str]]) -> None:
    folder, models = places
    arguments = [*models, "--test", str(folder / "made"), "--draws", "50", "--json", str(folder / "c.json")]
    done = CliRunner().invoke(compare_command, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert "good" in done.stdout
    figures = json.loads((folder / "c.json").read_text("utf-8"))
    assert figures["datasets"]["made"]["multilingual.mAP"]["best"] == "good"


def test_misses_are_written(places: tuple[Path, list[str]]) -> None:
    folder, (good, _) = places
    path = folder / "misses.jsonl"
    arguments = [good, str(folder / "made"), "--draws", "0", "--json", "-", "--misses", str(path)]
    done = CliRunner().invoke(evaluate_command, arguments, catch_exceptions=False)
    figures = json.loads(done.stdout)["datasets"]["made"]
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    wrong = figures["multilingual"]["first_wrong_own"] + figures["multilingual"]["first_wrong_other"]
    assert len(lines) == round(wrong * figures["questions"]) > 0
    assert {line["dataset"] for line in lines} == {"made"}
    assert f"{len(lines)} questions whose first passage is wrong" in done.stderr
    refused = CliRunner().invoke(evaluate_command, [str(folder), "--misses", str(path)])
    assert isinstance(refused.exception, PanglotError)
    assert refused.exception.field == "misses"


def test_languages_are_kept(places: tuple[Path, list[str]]) -> None:
    folder, (good, _) = places
    arguments = [good, str(folder / "made"), "--languages", "de, zh", "--draws", "0", "--json", "-"]
    done = CliRunner().invoke(evaluate_command, arguments, catch_exceptions=False)
    assert json.loads(done.stdout)["datasets"]["made"]["languages"] == ["de", "zh"]


def test_a_mistake_is_a_panglot_error(places: tuple[Path, list[str]]) -> None:
    folder, (good, _) = places
    for arguments in (
        [good, str(folder / "made"), "--measures", "F1"],
        [good, str(folder / "nowhere.jsonl")],
    ):
        done = CliRunner().invoke(evaluate_command, arguments)
        assert isinstance(done.exception, PanglotError)


def test_a_mistake_in_what_to_write_comes_up_before_the_work(places: tuple[Path, list[str]]) -> None:
    folder, (good, _) = places
    (folder / "file").touch()
    unwritable = [[flag, str(folder / "file" / "f.md")] for flag in ("--report", "--json", "--misses", "--trec-run")]
    folders = [["--report", "f.pdf"], ["--report", str(folder)], ["--json", str(folder)], ["--misses", "."]]
    for options in (*folders, *unwritable):
        done = CliRunner().invoke(evaluate_command, [good, "nothing-here", *options])
        assert "nothing-here" not in f"{done.output}{done.exception}", options
        assert done.exit_code
    # Whether a run is a file or a folder of several is known only with the data sets.
    done = CliRunner().invoke(evaluate_command, ["nothing-here", str(folder / "made"), "--trec-run", str(folder)])
    assert "a run is a file, and this is a folder. Fix: name a file" in str(done.exception)
