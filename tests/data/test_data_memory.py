"""What stays in memory of a row, whatever its texts: ingested, kept clear of test sets, split, made into rows to train.

A child does each with few rows, then with many. Pieces are small there, so that what grows is the rows' own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FEW, MANY = 100_000, 500_000
MOST = 200  # bytes per row; about 100 are needed, and the texts of a row alone have more than 100
CHILD = """
import json, sys
from pathlib import Path

from panglot.data import collection, columns, files as reading, overlap
from panglot.data.ingest import ingest
from panglot.training.data import load
from panglot.training.settings import Settings

columns.BATCH, columns._WALKED, reading._PIECE, overlap._CHUNK, collection.MANY = 4096, 1 << 20, 1 << 20, 1 << 18, 1000
stage, folder, test, *sizes = sys.argv[1:]
peaks = []
for size in sizes:
    rows = Path(folder) / f"{size}.jsonl"
    if stage == "ingest":
        ingest(rows, Path(folder) / f"{size}-ingested", on_error="skip")
    else:
        wish = Settings(on=(f"{folder}/{size}",), output=Path(folder) / "run", exclude=(test,), dev_share=0.01)
        found = load(wish)
        assert [each.groups for each in found.overlaps] == [20], found.overlaps
        assert found.collections[0].folder is not None
        assert len(found.digests) == 2
        del found
    status = Path("/proc/self/status").read_text().splitlines()
    peaks.append(next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")))
print(json.dumps(peaks))
"""


def _rows(path: Path, start: int, end: int) -> Path:
    """Write two versions per group. Texts are long enough to have n-grams."""
    with path.open("w", encoding="utf-8") as out:
        for group in range(start, end, 2):
            words = " ".join(f"{group * 7919 + n * 104729:x}" for n in range(12))
            for code in ("en", "de"):
                row = {"group": f"g{group}", "language": code, "question": f"{code} {group}?", "passage": code + words}
                out.write(json.dumps(row) + "\n")
    return path


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize("stage", ["ingest", "load"])
def test_memory_does_not_grow_with_the_texts(stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from panglot.data.ingest import ingest

    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "cache"))
    for size in (FEW, MANY):
        rows = _rows(tmp_path / f"{size}.jsonl", 0, size)
        if stage == "load":
            ingest(rows, tmp_path / str(size))
    test = _rows(tmp_path / "test.jsonl", FEW - 20, FEW)
    command = [sys.executable, "-c", CHILD, stage, str(tmp_path), str(test), str(FEW), str(MANY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    few, many = json.loads(done.stdout)
    assert (many - few) * 1024 / (MANY - FEW) < MOST, (few, many)
