"""Measure how long a new process takes until its first answer, beside a script with sentence-transformers.

Sides: `panglot search`, `panglot serve` with a first request, and a script that opens the same model with
sentence-transformers and compares a query with stored vectors. Also `panglot index` of the same documents, the first
time with an empty cache, and once more. Processor seconds count all threads of the process.

python benchmarks/first_answer.py --repeats 5
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from _common import environment, figures_table, in_turn, make_parser, record
from panglot.datasets.registry import read
from panglot.encoders.model_folders import DEFAULT, shipped_folder

CLI = (sys.executable, "-c", "from panglot.cli.main import main; main()")
RIVAL = """
import sys
import numpy as np
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(sys.argv[1], device="cpu")
vectors = np.load(sys.argv[2])
print(np.argsort(-vectors @ model.encode_query(sys.argv[3]))[:5])
"""
QUERY = "Wie viele Knochen hat ein Erwachsener?"

Seconds = dict[str, float]


def run(
    command: Sequence[str], variables: Mapping[str, str], *, serves: bool = False, folder: Path | None = None
) -> Seconds:  # fmt: skip
    """Run a command, or a service until its first answer, and return its wall-clock and processor seconds."""
    start = time.perf_counter()
    # The service says its address on standard error. Notes go there too, and are not read.
    process = subprocess.Popen(
        command, env=dict(variables), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    answered = 0.0
    if serves:
        found = next(filter(None, (re.search(r"serves at (\S+)", line) for line in process.stderr)))
        with urllib.request.urlopen(f"{found[1]}search?query={urllib.parse.quote(QUERY)}") as response:
            assert json.load(response)["hits"]
        answered = time.perf_counter()
        process.send_signal(signal.SIGTERM)
    errors = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(errors)
    return {"seconds": (answered or time.perf_counter()) - start, "processor_seconds": used.ru_utime + used.ru_stime}


def main() -> None:
    """Print and write the figures."""
    options = parse_arguments()
    variables = environment(options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        passages = read("starter:train").passages.slice(0, options.documents).to_pylist()
        rows = [{key: row[key] for key in ("id", "text", "language", "group")} for row in passages]
        (folder / "docs.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
        own = variables | {"PANGLOT_CACHE": str(folder / "cache")}
        build = [*CLI, "index", str(folder / "docs.jsonl"), "--output"]
        figures = {
            "panglot index, empty cache": run([*build, str(folder / "first")], own),
            "panglot index": run([*build, str(folder / "index")], own),
        }
        os.environ["PANGLOT_CACHE"] = own["PANGLOT_CACHE"]
        model, vectors = str(shipped_folder(DEFAULT)), str(folder / "vectors.npy")
        save_vectors([row["text"] for row in rows], vectors)
        sides = {
            "panglot search": [*CLI, "search", str(folder / "index"), QUERY],
            "panglot serve": [*CLI, "serve", str(folder / "index"), "--port", "0"],
            "sentence-transformers": [sys.executable, "-c", RIVAL, model, vectors, QUERY],
        }
        times: defaultdict[str, list[Seconds]] = defaultdict(list)
        for repeat in range(-1, options.repeats):  # The first reads the files into memory and does not count.
            for side in in_turn(sides, repeat):
                found = run(sides[side], own, serves=side == "panglot serve")
                times[side] += [found] if repeat >= 0 else []
    for side, each in times.items():
        figures[side] = {key: statistics.median(one[key] for one in each) for key in each[0]}
    print(figures_table("side", {"s": "{seconds:.2f}", "processor s": "{processor_seconds:.2f}"}, figures))
    record(
        options.json, options.threads, documents=len(rows), repeats=options.repeats, sides=figures, times=dict(times)
    )


def save_vectors(texts: Sequence[str], path: str) -> None:
    """Write the vectors of texts, as a script with sentence-transformers would have kept them."""
    import numpy as np

    from panglot.encoders.load import load

    np.save(path, load(DEFAULT, backend="auto").encode(texts, "passage"))


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__, threads=True, results="first_answer.json")
    parser.add_argument("--documents", type=int, default=60, help="number of documents to index")
    parser.add_argument("--repeats", type=int, default=5, help="number of processes to time per side")
    return parser.parse_args()


if __name__ == "__main__":
    main()
