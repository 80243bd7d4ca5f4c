"""A study end to end, on facts and a small model: claims, faults, kills, and the same table after all of them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panglot.study import design, report
from panglot.study.cell import Place, place
from panglot.study.claim import claim, claimed
from panglot.study.results import Results
from panglot.study.work import tally

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
        [sys.executable, "-m", "panglot.cli.main", "study", *words, str(file)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    said = process.communicate(timeout=300)[0]
    assert process.returncode in (0, 1), said
    return said


def test_a_claim_is_one_process_alone(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from panglot.study.claim import claim
with claim(Path(sys.argv[1])) as free:
    print(free, flush=True)
    time.sleep(60)
"""
    assert not claimed(tmp_path / "cell")
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "cell")], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"True\n"
        assert claimed(tmp_path / "cell")
        with claim(tmp_path / "cell") as free:
            assert not free
        other.kill()
    with claim(tmp_path / "cell") as free:
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
    bad = """[strategies.wild]
batches = "mono"
learning_rate = 1.0
clip = 0.0
temperature = 0.0001
smallest = 3
"""
    text = TEXT.replace('sizes = [1, "all"]', "sizes = [3]")
    path.write_text(text.format(output=tmp_path / "out", facts=facts_folder, model=small_model, more=bad), "utf-8")
    said = finish(start(path))
    stands = tally(design.read(path))
    assert len(stands.done) >= 4, said
    text = report.write(design.read(path), tmp_path / "report")
    assert "## Answer" in text
    if stands.failed:
        assert [cell.strategy for cell in stands.failed] == ["wild"]
        assert "failed: wild-3-0" in text
        assert "wild-3-0" not in finish(start(path))
        assert "wild-3-0 failed" in finish(start(path, "--again"))


def test_a_study_gives_curves_tables_and_an_answer(file: Path, tmp_path: Path) -> None:
    said = finish(start(file))
    study = design.read(file)
    stands = tally(study)
    assert len(stands.done) == len(study.cells()) == 5, said
    folder = place(study, study.cells()[1]).folder
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
    text = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "beside mean" in text
    # Seen and unseen languages are told apart: trained on English alone, German and Finnish are unseen.
    unseen = found["values"]["starter:test"]["unseen"]["monolingual.mAP"]
    assert set(unseen["mono"]) == {"1"}


def test_retention_is_the_share_of_the_start(file: Path) -> None:
    study = design.read(file)
    total = {"start": [0.5, 1.0, 0.0], "hybrid-all-0": [0.4, 0.8, 0.3], "mean-all-0": [0.5, 1.0, 0.0]}
    for name, values in total.items():
        folder = Place(study.output / "cells" / name).folder
        folder.mkdir(parents=True)
        key = "starter:test|all|monolingual.mAP"
        arrays: dict[str, Any] = {f"{key}|total": np.array([values]).T, f"{key}|number": np.ones((3, 1), np.uint16)}
        np.savez_compressed(folder / "sums.npz", **arrays)
        (folder / "cell.json").write_text("{}", "utf-8")
    results = Results(study)
    key = "starter:test|all|monolingual.mAP"
    kept = results.retention("hybrid", 0, key)
    assert kept is not None
    assert kept.value == pytest.approx(1.0)
    gap = results.difference("hybrid", "mean", 0, key)
    assert gap is not None
    assert gap.value == pytest.approx(0.0)
    assert gap.ends is not None
    assert gap.ends[0] < 0 < gap.ends[1]
    same = results.difference("mean", "mean", 0, key)
    assert same is not None
    assert same.ends == (0, 0)
