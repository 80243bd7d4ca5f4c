"""A study end to end, on facts and a small model: locks, faults, kills, and the same table after all of them."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from study_made import KEY, put

from panglot._errors import PanglotError
from panglot._files import digest, lock
from panglot.evaluation.bootstrap import holm
from panglot.study import design, report
from panglot.study.cell import CellFolder, cell_folder, cell_key, recipe_of, run_cell
from panglot.study.data import StudyData, prepare
from panglot.study.estimates import Results, comparisons, difference
from panglot.study.worker import status_of

TEXT = """
output = "{output}"
on = ["{facts}"]
sizes = [1, "all"]
seeds = [0]
focus = "hybrid"
rival = "mean"
[train]
model = "{model}"
pairs = 48
batch_size = 6
learning_rate = 1e-3
precision = "fp32"
[strategies.mono]
batches = "mono"
[strategies.hybrid]
batches = "hybrid"
smallest = 2
[strategies.mean]
mixing = "mean"
smallest = 2
{more}
[[tests]]
on = "starter:test"
languages = ["en", "de", "fi"]
"""


@pytest.fixture
def file(tmp_path: Path, facts_folder: Path, small_model: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(TEXT.format(output=tmp_path / "out", facts=facts_folder, model=small_model, more=""), "utf-8")
    return path


def start(file: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "panglot.cli.main", "study", "run", *words, str(file)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    said = process.communicate(timeout=2400)[0]
    assert process.returncode in (0, 1), said
    return said


def test_a_cell_is_locked_by_one_process_alone(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from panglot.study.cell import CellFolder
from panglot._files import digest, lock
with lock(CellFolder(Path(sys.argv[1])).lock, wait=False) as free:
    print(free, flush=True)
    time.sleep(60)
"""
    folder = CellFolder(tmp_path / "cell")
    assert not folder.taken
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "cell")], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"True\n"
        assert folder.taken
        with lock(folder.lock, wait=False) as free:
            assert not free
        other.kill()
    with lock(folder.lock, wait=False) as free:
        assert free


@pytest.mark.slow
def test_killed_at_random_and_shared_by_two_workers_it_ends_with_the_same_table(file: Path, tmp_path: Path) -> None:
    finish(start(file))
    study = design.read(file)
    whole = report.as_dict(Results(study))

    other = tmp_path / "other.toml"
    other.write_text(file.read_text("utf-8").replace(str(tmp_path / "out"), str(tmp_path / "other")), "utf-8")
    rng = random.Random(0)
    for _ in range(10):
        process = start(other)
        time.sleep(rng.uniform(1, 8))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    workers = [start(other) for _ in range(2)]
    said = [finish(worker) for worker in workers]
    finish(start(other))
    again = design.read(other)
    assert report.as_dict(Results(again)) == whole
    # No cell was run by both.
    ran = [{line.split(": ")[1].strip() for line in text.splitlines() if " of " in line and ": " in line}
           for text in said]  # fmt: skip
    done = [{name for name in names if f"  {name} on " in text} for names, text in zip(ran, said, strict=True)]
    assert not done[0] & done[1]


@pytest.mark.slow
def test_a_cell_that_fails_is_passed_over_and_taken_again_on_request(
    tmp_path: Path, facts_folder: Path, small_model: Path
) -> None:
    path = tmp_path / "study.toml"
    bad = '[strategies.wild]\nbatches = "english"\ncode_switch = "bilingual"\nlexicons = ["nowhere.parquet"]\n'
    text = TEXT.replace('sizes = [1, "all"]', "sizes = [3]").replace('[strategies.mono]\nbatches = "mono"\n', "")
    path.write_text(text.format(output=tmp_path / "out", facts=facts_folder, model=small_model, more=bad), "utf-8")
    worker = start(path)
    # As the system does when memory runs out.
    hybrid = tmp_path / "out" / "cells" / "hybrid-3-0"
    while not (hybrid / "run" / "run.json").exists():
        assert worker.poll() is None
        time.sleep(0.02)
    os.kill(int((hybrid / "lock").read_text("utf-8").split()[1]), signal.SIGKILL)
    said = finish(worker)
    study = design.read(path)
    status = status_of(study)
    assert {cell.name for cell in status.failed} == {"hybrid-3-0", "wild-3-0"}, said
    assert {cell.name for cell in status.done} == {"start", "mean-3-0"}
    assert json.loads((hybrid / "failed.json").read_text("utf-8"))["status"] == -9
    assert "failed: hybrid-3-0, wild-3-0" in report.write(study, tmp_path / "report")
    assert "hybrid-3-0" not in finish(start(path)).replace("failed: hybrid-3-0", "")
    said = finish(start(path, "--again"))
    assert "wild-3-0 failed" in said
    status = status_of(study)
    assert {cell.name for cell in status.failed} == {"wild-3-0"}
    assert len(status.done) == 3


@pytest.mark.filterwarnings("ignore:.* cut at 128 tokens")  # The small model takes no more.
def test_a_cell_whose_loss_is_no_number_is_written_down(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from panglot.training import gradient

    study = design.read(file)
    data = prepare(study, None)
    cell = next(cell for cell in study.cells() if cell.strategy == "mean")
    with monkeypatch.context() as patch:
        patch.setattr(gradient, "backward", lambda *_, **__: float("nan"))
        with pytest.raises(PanglotError, match="not a number"):
            run_cell(study, cell, data, None)
    assert status_of(study).failed == (cell,)
    assert "not a number" in json.loads((cell_folder(study, cell).path / "failed.json").read_text("utf-8"))["error"]
    assert "failed: mean-all-0" in report.to_markdown(Results(study), status_of(study))
    assert run_cell(study, cell, data, None)
    assert status_of(study).done == (cell,)
    assert not status_of(study).failed


def test_a_test_set_without_a_wanted_language_is_told(file: Path) -> None:
    file.write_text(file.read_text("utf-8").replace('["en", "de", "fi"]', '["en", "de", "th"]'), "utf-8")
    with pytest.raises(PanglotError, match="starter:test has no text in th") as caught:
        prepare(design.read(file), None)
    assert (caught.value.file, caught.value.field) == (file, "tests.languages")


def test_sets_of_languages_are_canonical_and_those_that_a_test_set_lacks_are_named(file: Path) -> None:
    text = file.read_text("utf-8") + '\n[tests.asked_in]\nfew = ["deu", "FI"]\n'
    file.write_text(text, "utf-8")
    study = design.read(file)
    assert study.tests[-1].asked_in == {"few": ("de", "fi")}
    prepare(study, None)
    # The data are there, and the set is named all the same.
    file.write_text(text.replace('"FI"', '"th"'), "utf-8")
    with pytest.raises(PanglotError, match="has no text in th") as caught:
        prepare(design.read(file), None)
    assert (caught.value.file, caught.value.field) == (file, "tests.asked_in.few")


@pytest.mark.filterwarnings("ignore:.* cut at 128 tokens")  # The small model takes no more.
def test_a_language_without_a_lexicon_is_told_and_left_out(
    file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = {"lang": ["de", "de"], "en": ["where", "lies"], "target": ["wo", "liegt"]}
    pq.write_table(pa.table(words), tmp_path / "words.parquet")
    more = '[strategies.switched]\nbatches = "english"\ncode_switch = "multilingual"\nsmallest = 2\n'
    more += f'lexicons = ["{tmp_path}/words.parquet"]\n[[tests]]'
    file.write_text(file.read_text("utf-8").replace("[[tests]]", more), "utf-8")
    study = design.read(file)
    cell = next(cell for cell in study.cells() if cell.strategy == "switched")
    assert run_cell(study, cell, prepare(study, None), None)
    assert "uses 1 of 2 languages, as no lexicon has fi" in capfd.readouterr().err
    lines = (cell_folder(study, cell).path / "run" / "log.jsonl").read_text("utf-8").splitlines()
    assert {code for line in lines for code in json.loads(line)["switched"]["replaced"]} == {"de"}


@pytest.mark.filterwarnings("ignore:.* cut at 128 tokens")  # The small model takes no more.
def test_a_study_gives_curves_tables_and_an_answer(file: Path, tmp_path: Path) -> None:
    study = design.read(file)
    data = prepare(study, None)
    for cell in study.cells()[:-1]:  # The command starts a process for each, which would take most of the time.
        assert run_cell(study, cell, data, None)
    said = finish(start(file))
    status = status_of(study)
    assert len(status.done) == len(study.cells()) == 5, said
    folder = cell_folder(study, study.cells()[1]).path
    assert sorted(path.name for path in (folder / "run").iterdir()) == ["log.jsonl", "recipe.toml", "run.json"]
    found = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    rows = found["values"]["starter:test"]["all"]["multilingual.mAP"]
    assert set(rows) == {"start", "mono", "hybrid", "mean"}
    assert set(rows["hybrid"]) == {"all"}
    assert rows["hybrid"]["all"]["seeds"] == 1
    low, high = rows["hybrid"]["all"]["interval"]
    assert low <= rows["hybrid"]["all"]["value"] <= high
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "http" not in page.split("</style>")[1]
    assert "<svg" in page
    assert page.count('class="upright') >= 4 * 3  # an interval for every point
    assert "Retention" in page
    text = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "more than mean, % of the start" in text
    assert re.search(r"\| all languages \| hybrid \| \d+\.\d \[", text)  # of the start's value
    # Seen and unseen languages are distinguished: after training on English alone, German and Finnish are unseen.
    unseen = found["values"]["starter:test"]["unseen"]["monolingual.mAP"]
    assert set(unseen["mono"]) == {"1"}


def test_retention_is_the_share_of_the_start(file: Path) -> None:
    study = design.read(file)
    put(study, {"start": [0.5, 1.0, 0.0], "hybrid-all-0": [0.4, 0.8, 0.3], "mean-all-0": [0.5, 1.0, 0.0]})
    results = Results(study)
    kept = results.retention("hybrid", 0, KEY)
    assert kept is not None
    assert kept.value == pytest.approx(1.0)
    found = difference(results, "hybrid", "mean", 0, KEY)
    assert found is not None
    gap, p = found
    assert gap.value == pytest.approx(0.0)
    assert p is None
    assert gap.interval is not None
    assert gap.interval[0] < 0 < gap.interval[1]
    same = difference(results, "mean", "mean", 0, KEY)
    assert same is not None
    assert same[0].interval == (0, 0)


def test_cells_of_earlier_versions_are_read_with_the_old_names_of_settings(file: Path) -> None:
    file.write_text(file.read_text("utf-8").replace("[train]", "[train]\nmax_grad_norm = 2.0"), "utf-8")
    study = design.read(file)
    put(study, {"hybrid-all-0": [0.4, 0.8, 0.3]})
    path = study.output / "cells" / "hybrid-all-0" / "cell.json"
    about = json.loads(path.read_text("utf-8"))
    for name, value, fits in (("clip", 2.0, True), ("max_grad_norm", 2.0, True), ("clip", 1.0, False)):
        path.write_text(json.dumps({**about, "recipe": {name: value}}), "utf-8")
        if fits:
            Results(study)
        else:
            with pytest.raises(PanglotError, match=r"max_grad_norm 1\.0, and the study has 2\.0"):
                Results(study)


def test_keys_of_trials_are_those_of_earlier_versions(file: Path) -> None:
    file.write_text(file.read_text("utf-8") + "[rates]\ngrid = [1e-3, 2e-3]\n", "utf-8")
    study = design.read(file)
    trial = study.trials()[0]
    data = StudyData("key", (), Path("dev"), {}, dict.fromkeys((0, 1, 2), ("de", "en")))
    recipe = recipe_of(study, trial, data, None)
    assert recipe.pop("eval_every") == 1_000_000
    old = {**recipe, "dev_every": 1_000_000, "output": "", "on": "", "dev": ""}
    assert cell_key(study, trial, data, None) == digest(json.dumps(["key", study.train["model"], old], sort_keys=True))


def test_only_settings_that_the_set_has_and_the_study_wants_are_told(file: Path) -> None:
    study = design.read(file)
    keys = [KEY, KEY.replace("mono", "cross"), KEY.replace("mono", "multi")]
    put(study, {"start": [0.5, 1.0, 0.0]}, keys)
    told = [figure for _, _, figure in Results(study).measured()]
    assert told == ["monolingual.mAP", "multilingual.mAP"]
    one = replace(study, tests=(replace(study.tests[0], settings=("multilingual",)),))
    assert [figure for _, _, figure in Results(one).measured()] == ["multilingual.mAP"]


def test_the_answer_is_corrected_for_all_that_it_compares(
    tmp_path: Path, facts_folder: Path, small_model: Path
) -> None:
    text = TEXT.replace('sizes = [1, "all"]', 'sizes = [2, 3, "all"]').replace("seeds = [0]", "seeds = [0, 1, 2]")
    path = tmp_path / "study.toml"
    path.write_text(text.format(output=tmp_path / "out", facts=facts_folder, model=small_model, more=""), "utf-8")
    study = design.read(path)
    rng = np.random.default_rng(0)
    start = rng.uniform(0.4, 0.6, 200)
    cells = {"start": start.tolist()}
    for size, ahead in (("2", 0.2), ("3", 0.0125), ("all", 0.0)):
        for seed in range(3):
            mean = start + rng.normal(0, 0.05, 200)
            cells[f"mean-{size}-{seed}"] = mean.tolist()
            cells[f"hybrid-{size}-{seed}"] = (mean + ahead * (1 + 0.1 * seed) + rng.normal(0, 0.05, 200)).tolist()
    put(study, cells, (KEY, KEY.replace("mono", "multi")))
    results = Results(study)
    found = comparisons(results)
    assert [(each.size, each.key.split("|")[2]) for each in found] == [
        (size, figure) for figure in ("monolingual.mAP", "multilingual.mAP") for size in (2, 3, 0)
    ]
    p = [each.p for each in found if each.p is not None]
    assert [each.corrected for each in found] == holm(p)
    # A difference that is significant in one test alone is not among six.
    assert [each.sign for each in found[:3]] == [1, 0, 0]
    assert p[1] < 0.05 <= found[1].corrected  # type: ignore[operator]
    ((heading, summary, table),) = report.answers(results)
    assert heading == "Answer"
    assert table is not None
    assert "hybrid keeps more in 2 and less in 0 of 6 comparisons, and 4 differences are not significant" in summary
    assert "3 seeds" in summary
    assert [row.name for row in table.rows] == ["starter:test"] * 6
    assert [row.cells[-1].text for row in table.rows[:3]] == ["hybrid", "–", "–"]
