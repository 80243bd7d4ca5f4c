"""What gradient mixing costs beside hybrid batches at equal pairs: seconds a pair and peak memory.

    python benchmarks/mixing.py                               # every way over mono and cross batches, 2 objectives
    python benchmarks/mixing.py --objectives 2 8 33 121 --ways mean pcgrad   # by number of objectives

Two objectives are mono and cross batches; more are one per language, of ntrex-128's passages. Every run is a process of
its own with the same pairs: hybrid (or mono, where objectives are languages) takes one batch a step, mixing one of each
objective. The first step does not count.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, get_args

from _common import DATA, RESULTS, answer, child, peak_mib, record, table
from panglot.training.mixing import Mixing

WAYS = tuple(way for way in get_args(Mixing) if way != "none")
#: Languages come in the order of the study's nested sets.
SET = "ntrex-128@passage"


def recipe(way: str, objectives: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of a run; the way ``none`` is batches in turns."""
    from panglot.study.languages import ORDER

    found: dict[str, Any] = {
        "model": "bundled", "on": [SET], "batch_size": options.batch_size, "max_length": options.max_length,
        "mixing": way, "batches": "hybrid" if objectives == 2 else "mono", "data_dir": str(options.data_dir),
        "pairs": max(options.steps, 2) * objectives * options.batch_size,
    }  # fmt: skip
    if objectives == 2:
        return {**found, "languages": list(ORDER[:11])}
    return {**found, "objectives": ["language"], "languages": list(ORDER[: objectives + 8])}


def one(options: argparse.Namespace) -> None:
    """Train once in this process."""
    import panglot
    from panglot.corpus import registry

    settings = recipe(options.way, options.count, options)
    if options.count > 2:
        # So many of the languages as there are objectives, of those that the set has.
        there = registry.read(SET, data_dir=options.data_dir).languages
        settings["languages"] = [code for code in settings["languages"] if code in there]
        settings["languages"] = (settings["languages"] + [c for c in there if c not in settings["languages"]])[
            : options.count
        ]
    folder = Path(tempfile.mkdtemp())
    try:
        panglot.train(**settings, output=folder / "run", show=False)
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
            "languages": len(settings["languages"]),
            "pairs_per_second": pairs / seconds,
            "seconds_per_1000_pairs": 1000 * seconds / pairs,
            "peak_mib": peak_mib(),
            "cosine": lines[-1].get("cosine"),
        },
    )


def main() -> None:
    """Run all that is asked for, one after the other; print and write the table."""
    options = parser().parse_args()
    if options.way:
        one(options)
        return
    rows: list[dict[str, Any]] = []
    for count in options.objectives:
        for way in ("none", *options.ways):
            settings = [
                "--steps",
                options.steps,
                "--batch-size",
                options.batch_size,
                "--max-length",
                options.max_length,
            ]
            words = ["--way", way, "--count", count, "--data-dir", options.data_dir, *settings]
            found = child("mixing.py", [str(word) for word in words], options.threads)
            base = next((row for row in rows if row["objectives"] == count and row["way"] == "none"), None)
            ratio = base["pairs_per_second"] / found["pairs_per_second"] if base else 1.0
            rows.append({"objectives": count, "way": way, **found, "seconds_beside_batches": ratio})
            record(options.json, options.threads, rows=rows)
    print(table(
        ["way", "objectives", "pairs/s", "seconds beside batches in turns", "peak MiB"],
        [[row["way"], str(row["objectives"]), f"{row['pairs_per_second']:.1f}",
          f"{row['seconds_beside_batches']:.2f}", f"{row['peak_mib']:,.0f}"] for row in rows],
    ))  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--objectives", nargs="+", type=int, default=[2], metavar="K")
    found.add_argument("--ways", nargs="+", choices=WAYS, default=[*WAYS], metavar="WAY")
    found.add_argument("--steps", type=int, default=4, help="steps of mixing; batches in turns take K times as many")
    found.add_argument("--batch-size", type=int, default=32)
    found.add_argument("--max-length", type=int, default=64)
    found.add_argument("--data-dir", type=Path, default=DATA)
    found.add_argument("--threads", type=int)
    found.add_argument("--json", type=Path, default=RESULTS / "mixing.json")
    found.add_argument("--way", help=argparse.SUPPRESS)
    found.add_argument("--count", type=int, help=argparse.SUPPRESS)
    found.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    return found


if __name__ == "__main__":
    main()
