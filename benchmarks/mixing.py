"""What gradient mixing costs beside batches in turns at equal pairs: seconds a pair, and memory.

    python benchmarks/mixing.py                               # every way over mono and cross batches, 2 objectives
    python benchmarks/mixing.py --objectives 8 33 120 --ways mean pcgrad   # by number of objectives

Two objectives are mono and cross batches, beside hybrid; more are one per language of ntrex-128's passages, beside
mono. Every run is a process of its own with the same pairs: batches in turns (the way ``none``) take one a step, mixing
one of each objective. The first step does not count. What is done is kept after each run, so the same command goes on
where it stopped.

Memory: *own* is what the process had to itself at its peak; *held* are the gradients that a step keeps at once, in
memory or, beyond 2 GiB, in an unnamed file that the system pages in and out (those pages are not the process's own).
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self, get_args

from _common import DATA, RESULTS, answer, child, peak_mib, record, table
from panglot._environment import machine, versions
from panglot.training.aggregation import Mixing

WAYS = tuple(way for way in get_args(Mixing) if way != "none")
SET = "ntrex-128@passage"
_STATUS = Path("/proc/self/status")


def recipe(way: str, objectives: int, languages: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of a run; the way ``none`` is batches in turns."""
    steps = max(2, options.pairs // (objectives * options.batch_size))
    found: dict[str, Any] = {
        "model": "bundled", "on": [SET], "batch_size": options.batch_size, "max_length": options.max_length,
        "data_dir": str(options.data_dir), "languages": languages, "pairs": steps * objectives * options.batch_size,
    }  # fmt: skip
    if way == "none":
        return {**found, "batches": "hybrid" if objectives == 2 else "mono"}
    return {**found, "mixing": way, "objectives": ["mono", "cross"] if objectives == 2 else ["language"]}


class Watched:
    """What gradients were held at once, and the most memory that the process had to itself.

    Attributes:
        rows: Gradients held.
        mib: Their size.
        file: Whether they lay in a file.
        own: The most memory of the process's own, in MiB; 0 where the system does not tell.
    """

    def __init__(self) -> None:
        self.rows, self.mib, self.file, self.own = 0, 0.0, False, 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        from panglot.training import aggregation

        take = aggregation._room

        def room(rows: int, size: int, *rest: Any) -> Any:
            self.rows, self.mib = rows, rows * size * 4 / 2**20
            self.file = rows * size * 4 > aggregation._HELD_BYTES
            return take(rows, size, *rest)

        aggregation._room = room
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while _STATUS.exists() and not self._over.wait(0.05):
            lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
            self.own = max(self.own, int(lines["RssAnon"].split()[0]) / 1024)


def one(options: argparse.Namespace) -> None:
    """Train once in this process."""
    import panglot
    from panglot.datasets import registry
    from panglot.study.languages import nested

    # Languages come in the order of the study's nested sets: so many as there are objectives.
    there = registry.read(SET, data_dir=options.data_dir).languages
    languages = list(nested(there, [11 if options.count == 2 else options.count])[0].languages)
    settings = recipe(options.way, options.count, languages, options)
    folder = Path(tempfile.mkdtemp())
    begin = time.monotonic()
    try:
        with Watched() as watched:
            panglot.train(**settings, output=folder / "run", progress=False)
        lines = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text("utf-8").splitlines()]
    finally:
        shutil.rmtree(folder)
    lines = [line for line in lines if "loss" in line]
    first = lines[0]
    seconds, pairs = lines[-1]["seconds"] - first["seconds"], lines[-1]["pairs"] - first["pairs"]
    answer(
        options.answer,
        {
            "steps": len(lines),
            "languages": len(languages),
            "pairs_per_second": pairs / seconds,
            "seconds_per_1000_pairs": 1000 * seconds / pairs,
            "own_mib": watched.own,
            "peak_mib": peak_mib(),
            "gradients_held": watched.rows or (2 if options.way != "none" else 1),
            "held_mib": watched.mib,
            "in_a_file": watched.file,
            "cosine": lines[-1].get("cosine"),
            "seconds_in_all": time.monotonic() - begin,
        },
    )


def main() -> None:
    """Run all that is asked for and not done yet, one after the other; print and write the table."""
    options = parser().parse_args()
    if options.way:
        one(options)
        return
    settings = {"pairs": options.pairs, "batch_size": options.batch_size, "max_length": options.max_length}
    rows = kept(options, settings)
    for count in options.objectives:
        for way in ("none", *options.ways):
            if any((row["objectives"], row["way"]) == (count, way) for row in rows):
                continue
            words = ["--way", way, "--count", count, "--data-dir", options.data_dir]
            words += [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", value)]
            found = child("mixing.py", [str(word) for word in words], options.threads)
            rows.append({"objectives": count, "way": way, **found})
            base = next(row for row in rows if (row["objectives"], row["way"]) == (count, "none"))
            rows[-1]["seconds_beside_batches"] = base["pairs_per_second"] / found["pairs_per_second"]
            record(options.json, options.threads, settings=settings, rows=rows)
    print(table(
        ["way", "objectives", "pairs/s", "seconds beside batches in turns", "gradients held", "MiB of them", "own MiB"],
        [[row["way"], str(row["objectives"]), f"{row['pairs_per_second']:.1f}", f"{row['seconds_beside_batches']:.2f}",
          str(row["gradients_held"]), f"{row['held_mib']:,.0f}{' (file)' if row['in_a_file'] else ''}",
          f"{row['own_mib']:,.0f}"] for row in rows],
    ))  # fmt: skip


def kept(options: argparse.Namespace, settings: dict[str, int]) -> list[dict[str, Any]]:
    """Return the runs that are done with the same settings and versions on the same machine."""
    if not options.json.exists():
        return []
    before = json.loads(options.json.read_text("utf-8"))
    here = {**machine(), "threads": options.threads or machine()["cores"]}
    same = (before.get("settings"), before.get("versions"), before.get("machine")) == (settings, versions(), here)
    return before["rows"] if same else []


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--objectives", nargs="+", type=int, default=[2], metavar="K")
    found.add_argument("--ways", nargs="+", choices=WAYS, default=[*WAYS], metavar="WAY")
    found.add_argument("--pairs", type=int, default=96, help="of a run; at least two steps of mixing")
    found.add_argument("--batch-size", type=int, default=4)
    found.add_argument("--max-length", type=int, default=32)
    found.add_argument("--data-dir", type=Path, default=DATA)
    found.add_argument("--threads", type=int)
    found.add_argument("--json", type=Path, default=RESULTS / "mixing.json")
    found.add_argument("--way", help=argparse.SUPPRESS)
    found.add_argument("--count", type=int, help=argparse.SUPPRESS)
    found.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    return found


if __name__ == "__main__":
    main()
