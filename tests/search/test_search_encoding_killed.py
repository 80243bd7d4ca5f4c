"""Encoding that is killed at any moment and called again is as if it had never been killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from encoding_made import Made, documents

from panglot.search.ingest import encode
from panglot.search.ingest.encode import Shard, ShardCache

PATIENCE = 120.0
SHARDS = 40


def start(folder: Path, on: str = "", seconds: float = 0.01) -> subprocess.Popen[bytes]:
    here = Path(__file__).parent
    paths = os.pathsep.join([str(Path(encode.__file__).parents[3]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(here / "encoding_child.py"), str(folder), on, str(4 * SHARDS), str(seconds)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths})


def shards() -> list[Shard]:
    made = documents(4 * SHARDS)
    return [Shard(tuple(made[begin : begin + 4]), "made") for begin in range(0, len(made), 4)]


def finished(folder: Path) -> set[str]:
    """Return the first id of each intact shard."""
    cache = ShardCache(folder / "shards")
    return {shard.documents[0].id for shard in shards() if cache.get(shard) is not None}


def wait(child: subprocess.Popen[bytes], encoder: Made, calls: int) -> bool:
    """Wait for a total number of calls; return whether the child still runs."""
    begun = time.monotonic()
    while len(encoder.calls()) < calls:
        if child.poll() is not None:
            return False
        assert time.monotonic() - begun < PATIENCE
        time.sleep(0.002)
    return True


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_and_called_again_is_as_never_killed(tmp_path: Path, kills: int) -> None:
    chance = random.Random(kills)
    folder, whole = tmp_path / "killed", tmp_path / "whole"
    folder.mkdir()
    whole.mkdir()
    encoder = Made(folder / "log")
    done = 0
    while done < kills:
        before, known = finished(folder), len(encoder.calls())
        child = start(folder)
        if wait(child, encoder, known + chance.randint(1, max(1, 2 * SHARDS // kills))):
            time.sleep(chance.uniform(0, 0.03))
            child.kill()
        child.wait()
        again = {line.split()[0] for line in encoder.calls()[known:]}
        assert not again & before
        assert finished(folder) >= before
        done += child.returncode == -signal.SIGKILL
        if child.returncode == 0:
            # All is done, so the remaining kills start again from nothing.
            compare(folder, whole)
            for path in (folder / "shards").iterdir():
                path.unlink()
    assert start(folder).wait() == 0
    compare(folder, whole)


def compare(folder: Path, whole: Path) -> None:
    if not (whole / "done.npz").exists():
        assert start(whole, seconds=0).wait() == 0
    found, expected = (np.load(each / "done.npz") for each in (folder, whole))
    assert found["ids"].tolist() == expected["ids"].tolist() == [each.id for each in documents(4 * SHARDS)]
    assert found["vectors"].tobytes() == expected["vectors"].tobytes()
    names = [sorted(path.name for path in (each / "shards").glob("*.npy")) for each in (folder, whole)]
    assert names[0] == names[1]
    for name in names[0]:
        assert (folder / "shards" / name).read_bytes() == (whole / "shards" / name).read_bytes()


@pytest.mark.slow
def test_processes_die_with_the_one_that_is_killed(tmp_path: Path) -> None:
    encoder = Made(tmp_path / "log")
    child = start(tmp_path, "processes:2", seconds=0.2)
    assert wait(child, encoder, 5)
    child.kill()
    child.wait()
    time.sleep(1.0)
    known, before = len(encoder.calls()), finished(tmp_path)
    time.sleep(1.0)
    assert len(encoder.calls()) == known
    assert before
    assert start(tmp_path, "processes:2", seconds=0).wait() == 0
    again = {line.split()[0] for line in encoder.calls()[known:]}
    assert not again & before
    assert again | before == {shard.documents[0].id for shard in shards()}
