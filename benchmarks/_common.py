"""What the benchmarks share: where things lie, a process of one's own, and one way to write figures down."""

from __future__ import annotations

import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from panglot._environment import machine, versions
from panglot._files import write_json

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
DATA = Path(os.environ.get("PANGLOT_DATA", ROOT.parent / "shared" / "data"))


def record(path: Path | None, threads: int | None = None, **values: Any) -> None:
    """Write ``values`` atomically as JSON, with command, date, versions and machine; nothing without a path."""
    if path is None:
        return
    about: dict[str, Any] = {
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": versions(),
        "machine": {**machine(), "threads": threads or machine()["cores"]},
    }
    write_json(path, {**about, **values})


def environment(threads: int | None) -> dict[str, str]:
    """Return the environment of a process that may use so many threads; None: as many as it likes."""
    quiet = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {**os.environ, **quiet, **({name: str(threads) for name in names} if threads else {})}


def child(script: str, arguments: Sequence[str], threads: int | None = None) -> dict[str, Any]:
    """Run a script of this folder in a process of its own, and return what it wrote with :func:`answer`.

    Raises:
        SystemExit: It failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer.json"
        command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments, "--answer", str(path)]
        done = subprocess.run(command, env=environment(threads), cwd=ROOT, stdout=sys.stderr, check=False)
        if done.returncode or not path.exists():
            raise SystemExit(f"{script} {shlex.join(arguments)} ended with status {done.returncode}")
        return json.loads(path.read_text("utf-8"))


def answer(path: Path, values: Mapping[str, Any]) -> None:
    """Hand ``values`` to the process that called :func:`child`."""
    write_json(path, dict(values))


def peak_mib() -> float:
    """Return the most memory that this process has held until now, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # What getrusage tells on Linux begins with the size of the process that started this one.
        return int(status.read_text("utf-8").split("VmHWM:")[1].split()[0]) / (1 << 10)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20) if sys.platform == "darwin" else most / (1 << 10)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are right-aligned."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))
