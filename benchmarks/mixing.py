"""Measure the seconds per pair and the memory of gradient mixing and of batches in turns, at equal pairs.

    python benchmarks/mixing.py                               # all ways of mixing mono and cross batches
    python benchmarks/mixing.py --objectives 8 33 120 --ways mean pcgrad   # with more objectives

Two objectives are mono and cross batches, compared with hybrid batches. More objectives are one for each language of
the passages of ntrex-128, compared with mono batches. Each run has its own process and the same pairs: batches in turns
(the way ``none``) take one batch per step, mixing takes one batch of each objective. The first step does not count.
Every finished run is written at once, so that the same command continues from there.

There are two figures for memory. *Own* is the peak memory of the process without mapped files. *Held* are the gradients
that a step keeps at once, in memory or, beyond 2 GiB, in an unnamed file that the system pages in and out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self, get_args

from _common import (
    add_hidden,
    answer,
    child,
    logged_steps,
    machine_with_threads,
    make_parser,
    memory_mib,
    peak_mib,
    record,
    table,
)
from panglot._environment import versions
from panglot.training.aggregation import Mixing

WAYS = tuple(way for way in get_args(Mixing) if way != "none")
SET = "ntrex-128@passage"


def recipe(way: str, objectives: int, languages: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of a run; the way ``none`` is batches in turns."""
    steps = max(2, options.pairs // (objectives * options.batch_size))
    settings: dict[str, Any] = {
        "model": "bundled", "on": [SET], "batch_size": options.batch_size, "max_length": options.max_length,
        "data_dir": str(options.data_dir), "languages": languages, "pairs": steps * objectives * options.batch_size,
    }  # fmt: skip
    if way == "none":
        return {**settings, "batches": "hybrid" if objectives == 2 else "mono"}
    return {**settings, "mixing": way, "objectives": ["mono", "cross"] if objectives == 2 else ["language"]}


class MemoryWatch:
    """Record the gradients that a training holds at once, and the peak memory of its process.

    Attributes:
        rows: Number of gradients held.
        mib: Their size.
        file: Whether they were in a file.
        own: Peak memory of the process without mapped files, in MiB, or 0 if the system does not report it.
    """

    def __init__(self) -> None:
        self.rows, self.mib, self.file, self.own = 0, 0.0, False, 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        from panglot.training import aggregation

        allocate = aggregation._room

        def room(rows: int, size: int, *rest: Any) -> Any:
            self.rows, self.mib = rows, rows * size * 4 / 2**20
            self.file = rows * size * 4 > aggregation._HELD_BYTES
            return allocate(rows, size, *rest)

        aggregation._room = room
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        # The kernel keeps no peak of anonymous memory, so it is sampled.
        while Path("/proc/self/status").exists() and not self._over.wait(0.05):
            self.own = max(self.own, memory_mib("RssAnon"))


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Train once in this process, and return the figures."""
    import panglot
    from panglot.datasets import registry
    from panglot.study.data import training_languages

    # The languages are those of the study's nested sets, one per objective.
    available = registry.read(SET, data_dir=options.data_dir).languages
    languages = list(training_languages(available, 11 if options.count == 2 else options.count))
    settings = recipe(options.way, options.count, languages, options)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "run"
        with MemoryWatch() as watch:
            panglot.train(**settings, output=output, progress=False)
        steps = logged_steps(output)
    first, last = steps[0], steps[-1]
    seconds, pairs = last["seconds"] - first["seconds"], last["pairs"] - first["pairs"]
    return {
        "steps": len(steps),
        "languages": len(languages),
        "pairs_per_second": pairs / seconds,
        "seconds_per_1000_pairs": 1000 * seconds / pairs,
        "own_mib": watch.own,
        "peak_mib": peak_mib(),
        "gradients_held": watch.rows or (2 if options.way != "none" else 1),
        "held_mib": watch.mib,
        "in_a_file": watch.file,
        "cosine": last.get("cosine"),
        "seconds_in_all": time.monotonic() - begin,
    }


def main() -> None:
    """Run what is not finished, then print and write the table."""
    options = parse_arguments()
    if options.way:
        answer(options.answer, run(options))
        return
    settings = {"pairs": options.pairs, "batch_size": options.batch_size, "max_length": options.max_length}
    rows = finished_runs(options, settings)
    for count in options.objectives:
        for way in ("none", *options.ways):
            if any((row["objectives"], row["way"]) == (count, way) for row in rows):
                continue
            figures = child(options.threads, way=way, count=count, data_dir=options.data_dir, **settings)
            rows.append({"objectives": count, "way": way, **figures})
            base = next(row for row in rows if (row["objectives"], row["way"]) == (count, "none"))
            rows[-1]["seconds_beside_batches"] = base["pairs_per_second"] / figures["pairs_per_second"]
            record(options.json, options.threads, settings=settings, rows=rows)
    print(table(
        ["way", "objectives", "pairs/s", "seconds / seconds of batches in turns", "gradients held", "MiB of gradients",
         "own MiB"],
        [[row["way"], str(row["objectives"]), f"{row['pairs_per_second']:.1f}", f"{row['seconds_beside_batches']:.2f}",
          str(row["gradients_held"]), f"{row['held_mib']:,.0f}{' (file)' if row['in_a_file'] else ''}",
          f"{row['own_mib']:,.0f}"] for row in rows],
    ))  # fmt: skip


def finished_runs(options: argparse.Namespace, settings: dict[str, int]) -> list[dict[str, Any]]:
    """Return the finished runs with the same settings and versions on the same machine."""
    if not options.json.exists():
        return []
    before = json.loads(options.json.read_text("utf-8"))
    expected = settings, versions(), machine_with_threads(options.threads)
    return before["rows"] if tuple(map(before.get, ("settings", "versions", "machine"))) == expected else []


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__, data_dir=True, threads=True, results="mixing.json")
    parser.add_argument("--objectives", nargs="+", type=int, default=[2], metavar="K", help="numbers of objectives")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=[*WAYS], metavar="WAY", help=", ".join(WAYS))
    parser.add_argument("--pairs", type=int, default=96, help="pairs per run; mixing takes at least two steps")
    parser.add_argument("--batch-size", type=int, default=4, help="pairs per batch of an objective")
    parser.add_argument("--max-length", type=int, default=32, help="tokens per text")
    add_hidden(parser, way=str, count=int)
    return parser.parse_args()


if __name__ == "__main__":
    main()
