"""A build of an index that is killed at any moment and called again makes the index that one call makes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from search_index_builder import STEPS, Slow
from search_made import documents

from panglot._errors import PanglotError
from panglot.search.index import Index
from panglot.search.metadata import is_index
from panglot.search.ranking.modes import VECTOR_FIELDS


def killed_after(folder: Path, steps: int, seconds: float) -> tuple[int, set[str]]:
    """Build, kill the process after some steps (0: never) and seconds, and return its status and output."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, str(Path(__file__).with_name("search_index_builder.py")), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as child:
        assert child.stdout
        said: set[str] = set()
        for line in child.stdout:
            said.add(line.strip())
            if len(said) == steps:
                time.sleep(seconds)
                child.kill()
        return child.wait(), said


def whole(folder: Path, once: Path) -> None:
    """Check that all documents are there, each once, with the vectors of an index that was never killed."""
    index = Index.open(folder, model=Slow())
    there = {each.id: each for piece in index.documents() for each in piece}
    names = sorted(there)
    assert names == sorted(each.id for each in documents())
    assert len(index) == len(names) == sum(len(piece) for piece in index.store.ids())
    assert all(there[each.id] == each for each in documents())
    if folder != once:
        reference = Index.open(once, model=Slow())
        for vector_field in VECTOR_FIELDS:
            assert np.array_equal(
                index.store.vectors(vector_field, names), reference.store.vectors(vector_field, names)
            )
        asked = index.encode(["<de> topic3"])
        for vector_field in VECTOR_FIELDS:
            assert index.store.search(vector_field, asked, 9) == reference.store.search(vector_field, asked, 9)
        reference.close()
    assert not (folder / "shards").exists()
    index.close()


@pytest.mark.parametrize("kills", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_killed_and_called_again_is_as_never_killed(tmp_path: Path, kills: int) -> None:
    chance = random.Random(kills)
    folder, once = tmp_path / "index", tmp_path / "once"
    assert killed_after(once, 0, 0)[0] == 0
    whole(once, once)
    done = 0
    while done < kills:
        known = {path.stem for path in (folder / "shards").glob("*.npy")}
        code, said = killed_after(folder, chance.randint(1, STEPS), chance.uniform(0, 0.1))
        done += code == -signal.SIGKILL
        assert len(known) + sum(word.startswith("encoded") for word in said) <= STEPS // 2
        if is_index(folder):  # The remaining kills start again from nothing.
            assert code in (0, -signal.SIGKILL)
            shutil.rmtree(folder / "shards", ignore_errors=True)
            whole(folder, once)
            shutil.rmtree(folder)
        else:
            assert code == -signal.SIGKILL
            with pytest.raises(PanglotError, match=r"no index here|only half built"):
                Index.open(folder, model=Slow())
    assert killed_after(folder, 0, 0)[0] == 0
    whole(folder, once)
