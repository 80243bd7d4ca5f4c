"""Killed or cut downloads: half a file is never taken for a whole one, and the same command continues."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import panglot
from hub_server import Hub, hub
from panglot.data.collection import Collection

WEIGHTS = "model.safetensors"
FETCH = """
import sys
from panglot._errors import PanglotError
from panglot.encoders.open_model import fetch
try:
    print(fetch(sys.argv[1]))
except PanglotError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def server(small_model: Path) -> Generator[Hub]:
    with hub({"models/owner/tiny": small_model}) as running:
        yield running


def start(server: Hub, cache: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *words], env=server.environment(cache), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def kill_midway(server: Hub, cache: Path, file: str, *words: str) -> None:
    """Start a command, and kill it after half of a file has been sent."""
    server.stops_in = file
    process = start(server, cache, *words)
    assert server.halfway.wait(120)
    process.kill()
    process.communicate()
    server.stops_in = ""


def done(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=300)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def test_a_killed_download_of_a_model_goes_on(server: Hub, small_model: Path, tmp_path: Path) -> None:
    kill_midway(server, tmp_path, WEIGHTS, "-c", FETCH, "owner/tiny")
    assert not any(path.exists() for path in tmp_path.rglob(WEIGHTS))
    status, out, err = done(start(server, tmp_path, "-c", FETCH, "owner/tiny"))
    assert status == 0, err
    fetched = Path(out.strip())
    assert (fetched / WEIGHTS).read_bytes() == (small_model / WEIGHTS).read_bytes()
    texts = ["where is the lake?", "hi"]
    ours, theirs = (panglot.load(folder).encode(texts, "question") for folder in (fetched, small_model))
    assert np.array_equal(ours, theirs)
    # What is present is not fetched again, and works without the hub.
    before = len([each for each in server.asked if each.startswith("GET owner/tiny/resolve")])
    server.resets = True
    assert done(start(server, tmp_path, "-c", FETCH, "owner/tiny"))[1].strip() == str(fetched)
    assert before == len([each for each in server.asked if each.startswith("GET owner/tiny/resolve")])


@pytest.mark.parametrize("file", ["config.json", WEIGHTS])
def test_a_hub_that_dies_midway_is_told_and_its_half_is_not_a_model(server: Hub, tmp_path: Path, file: str) -> None:
    server.stops_in, server.resets = file, True
    for _ in range(2):  # the second time, nobody answers at all
        status, _, err = done(start(server, tmp_path, "-c", FETCH, "owner/tiny"))
        assert status == 1
        assert "there is no folder 'owner/tiny', and the hub" in err


@pytest.mark.slow
def test_a_killed_evaluation_of_a_model_of_the_hub_goes_on(server: Hub, small_model: Path, tmp_path: Path) -> None:
    def words(model: str, name: str) -> list[str]:
        return ["-m", "panglot.cli.main", "evaluate", model, "starter:test", "--languages", "en,de", "--draws", "0",
                "--json", str(tmp_path / name)]  # fmt: skip

    kill_midway(server, tmp_path, WEIGHTS, *words("owner/tiny", "hub.json"))
    assert not (tmp_path / "hub.json").exists()
    for model, name in (("owner/tiny", "hub.json"), (str(small_model), "folder.json")):
        status, _, err = done(start(server, tmp_path, *words(model, name)))
        assert status == 0, err
    ours, theirs = (json.loads((tmp_path / name).read_text("utf-8")) for name in ("hub.json", "folder.json"))
    assert ours["model"]["fingerprint"] == theirs["model"]["fingerprint"]
    pools = [found["datasets"]["starter"]["multilingual"]["mAP"] for found in (ours, theirs)]
    assert pools[0] == pools[1]


def test_a_killed_download_of_a_data_set_goes_on(tmp_path: Path) -> None:
    place = "mlqa.en.en/validation/0000.parquet"
    row = {"id": "f1", "title": "t", "context": "One. Two.", "question": "q?",
           "answers": {"text": ["Two"], "answer_start": [5]}}  # fmt: skip
    (tmp_path / "set" / place).parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "set" / place)
    code = "import sys; from panglot.datasets import registry; registry.read('mlqa').save(sys.argv[1])"
    command = ("-c", code, str(tmp_path / "read"))
    with hub({"datasets/facebook/mlqa": tmp_path / "set"}) as server:
        kill_midway(server, tmp_path / "cache", place, *command)
        assert not list((tmp_path / "cache" / "panglot").glob("hub/mlqa*"))
        status, _, err = done(start(server, tmp_path / "cache", *command))
        assert status == 0, err
    assert Collection.open(tmp_path / "read").passages["text"].to_pylist() == ["One.", "Two."]
