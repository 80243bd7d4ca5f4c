"""List and run the benchmarks. ``make bench`` runs the short ones.

python benchmarks/run.py                 # the short ones
python benchmarks/run.py --list
python benchmarks/run.py encoding training_speed
python benchmarks/run.py --all           # hours
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import NamedTuple

from _common import DATA, RESULTS, ROOT, make_parser


class Benchmark(NamedTuple):
    """A benchmark: its script with options, its approximate minutes on two cores, and what it measures."""

    command: tuple[str, ...]
    minutes: float
    what: str
    needs_data: bool = True

    @property
    def short(self) -> bool:
        """Whether it runs by default."""
        return self.minutes <= 5


BENCHMARKS = {
    "start": Benchmark(("start.py",), 1, "import time, --help time, wheel size", needs_data=False),
    "first_answer": Benchmark(
        ("first_answer.py",), 3, "first answer of a new process: search, serve", needs_data=False
    ),
    "structure": Benchmark(
        ("structure.py", "--quiet"), 2, "files, lines, files entered, cycles, semicolons", needs_data=False
    ),
    "measuring": Benchmark(("measuring.py",), 1, "evaluating XQuAD-R after encoding: seconds, peak memory"),
    "encoding": Benchmark(("encoding.py", "--texts", "500"), 3, "texts/s beside SentenceTransformer.encode"),
    "demo": Benchmark(("start.py", "--demo"), 6, "like start, with time and memory of the demo", needs_data=False),
    "training_speed": Benchmark(
        ("training_speed.py", "--evaluate", "1"), 180, "training beside sentence-transformers: pairs/s, memory, figures"
    ),
    "gpu": Benchmark(("gpu.py",), 10, "training, encoding and a study on a GPU, with the share of its peak"),
    "scale": Benchmark(("scale.py",), 30, "10 million rows beside datasets: seconds, memory", needs_data=False),
    "hard_negatives": Benchmark(("hard_negatives.py",), 60, "training with none, own and mined hard negatives"),
    "recipe": Benchmark(("recipe.py",), 90, "the documented recipe, three seeds; resumable"),
    "search_encoding": Benchmark(("search_encoding.py",), 8, "encoding for search beside SentenceTransformer.encode"),
    "search_stores": Benchmark(
        ("search_stores.py",), 10, "search over 54,000 vectors beside faiss, milvus-lite, LanceDB", needs_data=False
    ),
    "search_service": Benchmark(("search_service.py",), 40, "the service with 32 clients beside plain FastAPI"),
    "search_writes": Benchmark(("search_writes.py",), 10, "documents per second written to the service"),
    "scaling": Benchmark(("scaling.py",), 45, "serving, encoding and writing with more processes; resumable"),
    "search_modes": Benchmark(
        ("search_modes.py", "--json", str(RESULTS / "search_modes.json")), 20, "ranking modes of search on XQuAD-R"
    ),
    "strategies": Benchmark(("strategies.py",), 420, "the main table: seven batchings, three seeds; resumable"),
}


def main() -> int:
    """Run the chosen benchmarks and return the number that failed."""
    parser = make_parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--all", action="store_true", help="run all benchmarks")
    parser.add_argument("--list", action="store_true", help="list the benchmarks without running them")
    options = parser.parse_args()
    if unknown := sorted({*options.names} - {*BENCHMARKS}):
        parser.error(f"unknown benchmark {', '.join(unknown)}; choose from {', '.join(BENCHMARKS)}")
    chosen = [
        name
        for name, each in BENCHMARKS.items()
        if options.all or (name in options.names if options.names else each.short)
    ]
    for name, each in BENCHMARKS.items():
        mark = "*" if name in chosen else " "
        print(f"{mark} {name:15} {each.minutes:4.0f} min  {each.what}", flush=True)
    failed = 0
    for name in [] if options.list else chosen:
        each = BENCHMARKS[name]
        if each.needs_data and not DATA.is_dir():
            print(f"\n{name}: skipped, because {DATA} has no data sets. Fix: set PANGLOT_DATA", flush=True)
            continue
        print(f"\n{name}: python benchmarks/{' '.join(each.command)}", flush=True)
        start = time.perf_counter()
        script, *arguments = each.command
        status = subprocess.run([sys.executable, str(ROOT / "benchmarks" / script), *arguments], check=False).returncode
        failed += status != 0
        print(f"{name}: {'failed' if status else 'done'}, {time.perf_counter() - start:.0f} s", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
