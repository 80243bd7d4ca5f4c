"""Parse options, run child processes, measure memory, and write tables and records for the benchmarks."""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from panglot._environment import machine, versions
from panglot._files import write_json

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
DATA = Path(os.environ.get("PANGLOT_DATA", ROOT.parent / "shared" / "data"))


def make_parser(
    description: str | None, *, data_dir: bool = False, threads: bool = False, results: str = ""
) -> argparse.ArgumentParser:
    """Return a parser with the chosen shared options; ``results`` is the file name that ``--json`` defaults to."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if data_dir:
        parser.add_argument("--data-dir", type=Path, default=DATA, help="folder of the data sets")
    if threads:
        parser.add_argument("--threads", type=int, help="threads per process; default: the libraries' own choice")
    if results:
        parser.add_argument("--json", type=Path, default=RESULTS / results, help="file to write the figures to")
    return parser


def add_hidden(parser: argparse.ArgumentParser, **types: Callable[[str], object]) -> None:
    """Add the options with which a benchmark calls itself as a child, and ``--answer`` for :func:`child`."""
    for name, kind in {**types, "answer": Path}.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=argparse.SUPPRESS)


def record(path: Path | None, threads: int | None = None, **values: Any) -> None:
    """Write ``values`` atomically as JSON, with command, date, versions and machine. Without a path, do nothing."""
    if path is None:
        return
    origin: dict[str, Any] = {
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": versions(),
        "machine": machine_with_threads(threads),
    }
    write_json(path, {**origin, **values})


def machine_with_threads(threads: int | None) -> dict[str, str | int]:
    """Return processor, cores and the number of threads in use."""
    return {**machine(), "threads": threads or machine()["cores"]}


def environment(threads: int | None) -> dict[str, str]:
    """Return the environment of a child process that may use ``threads`` threads, or any number if it is None."""
    quiet = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {**os.environ, **quiet, **({name: str(threads) for name in names} if threads else {})}


def child(threads: int | None = None, **options: Any) -> dict[str, Any]:
    """Run this benchmark in its own process with the given options, and return what it passed to :func:`answer`.

    Options that are True become flags. Options that are None or False are left out.

    Raises:
        SystemExit: The process failed.
    """
    script, words = Path(sys.argv[0]).name, list[str]()
    for name, value in options.items():
        if value is None or value is False:
            continue
        # The child runs in ROOT, so relative paths would mean other files there.
        given = value.resolve() if isinstance(value, Path) else value
        words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(given)])]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer.json"
        command = [sys.executable, str(ROOT / "benchmarks" / script), *words, "--answer", str(path)]
        done = subprocess.run(command, env=environment(threads), cwd=ROOT, stdout=sys.stderr, check=False)
        if done.returncode or not path.exists():
            raise SystemExit(f"{script} {shlex.join(words)} ended with status {done.returncode}")
        return json.loads(path.read_text("utf-8"))


def answer(path: Path, values: Mapping[str, Any]) -> None:
    """Return ``values`` to the process that called :func:`child`."""
    write_json(path, dict(values))


def in_turn(sides: Iterable[str], repeat: int) -> list[str]:
    """Return the sides, in reverse order in every second repeat, so that none is always first or last."""
    return list(sides)[:: -1 if repeat % 2 else 1]


def memory_mib(field: str, process: int | str = "self", file: str = "status") -> float:
    """Return a field of ``/proc/PROCESS/status``, or of ``smaps_rollup``, in MiB (Linux)."""
    status = Path(f"/proc/{process}/{file}").read_text("utf-8")
    return int(status.split(f"{field}:")[1].split()[0]) / (1 << 10)


def peak_mib() -> float:
    """Return the peak memory of this process so far, in MiB."""
    # On Linux, getrusage begins with the size of the parent process.
    if sys.platform == "linux":
        return memory_mib("VmHWM")
    return rusage_mib(resource.getrusage(resource.RUSAGE_SELF))


def rusage_mib(usage: resource.struct_rusage) -> float:
    """Return the peak memory of a process in MiB. macOS reports bytes, other systems KiB."""
    return usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def folder_bytes(folder: Path) -> int:
    """Return the size of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def unit(vectors: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return vectors of unit length, in float32."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def sentence_transformer(model: str) -> SentenceTransformer:
    """Return a model that comes with panglot or a folder, opened by sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    from panglot.encoders.model_folders import SHIPPED, shipped_folder

    return SentenceTransformer(str(shipped_folder(model)) if model in SHIPPED else model)


def logged_steps(run: Path) -> list[dict[str, Any]]:
    """Return the logged training steps of a run folder."""
    lines = (run / "log.jsonl").read_text("utf-8").splitlines()
    return [step for step in map(json.loads, lines) if "loss" in step]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are right-aligned."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def figures_table(label: str, columns: Mapping[str, str], sides: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a Markdown table with one row per side; ``columns`` maps each heading to a format of its figures.

    >>> print(figures_table("side", {"texts/s": "{rate:.1f}"}, {"panglot": {"rate": 2}}))
    | side | texts/s |
    | --- | ---: |
    | panglot | 2.0 |
    """
    rows = ([side, *(form.format_map(figures) for form in columns.values())] for side, figures in sides.items())
    return table([label, *columns], rows)
