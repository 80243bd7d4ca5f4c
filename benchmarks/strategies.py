"""Compare seven ways to make batches at equal pairs, with several seeds, on XQuAD-R and TyDi QA.

    python benchmarks/strategies.py                     # all cells; after an interruption, the same command continues
    python benchmarks/strategies.py --only mono hybrid --seeds 0
    python benchmarks/strategies.py --report            # the table of finished cells, benchmarks/results/strategies.md

A cell is a strategy and a seed. It trains in ``runs/strategies/STRATEGY-SEED`` and writes two files to
``benchmarks/results/strategies``: sums over question groups (npz), then all figures (JSON). The JSON file marks the
cell as finished. All cells of a seed run before those of the next. Settings are in ``benchmarks/strategies.toml``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from _common import RESULTS, ROOT, environment, logged_steps, make_parser, peak_mib
from _strategies_table import START, compact, write
from panglot._errors import PanglotError
from panglot._files import atomic_file, write_json
from panglot.training.loop import Interrupted
from panglot.training.settings import Settings

STRATEGIES = ("english", "mixed-mono", "mono", "cross", "hybrid", "hybrid-row", "whole-group")
KEPT = ("log.jsonl", "recipe.toml", "run.json")


@dataclass(frozen=True)
class Cell:
    """One strategy and one seed, or the untouched start."""

    strategy: str
    seed: int

    @property
    def name(self) -> str:
        """The name of its folder and files."""
        return START if self.strategy == START else f"{self.strategy}-{self.seed}"


def cells(strategies: list[str], seeds: list[int]) -> list[Cell]:
    """Return the cells in the order in which they run.

    >>> [cell.name for cell in cells(["mono", "cross"], [0, 1])]
    ['start', 'mono-0', 'cross-0', 'mono-1', 'cross-1']
    """
    return [Cell(START, 0), *(Cell(strategy, seed) for seed in seeds for strategy in strategies)]


def recipe(cell: Cell, options: argparse.Namespace) -> dict[str, Any]:
    """Return the training settings of a cell, which are empty for the untouched start."""
    if cell.strategy == START:
        return {}
    settings = tomllib.loads(options.settings.read_text("utf-8"))
    return {
        **settings["all"],
        **settings.get(cell.strategy, {}),
        "batches": cell.strategy,
        "pairs": options.pairs,
        "seed": cell.seed,
        "output": str(options.output / cell.name),
        "data_dir": str(options.data_dir),
    }


def fingerprint_fields(cell: Cell, options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings on which the figures of a cell depend."""
    settings = recipe(cell, options)
    training = Settings.from_dict(settings).fingerprint_fields() if settings else None
    return {**grid(options), "training": training}


def grid(options: argparse.Namespace) -> dict[str, Any]:
    """Return what all cells share: the test sets and, if they are limited, their languages."""
    return tomllib.loads(options.settings.read_text("utf-8"))["grid"]


def finished(cell: Cell, options: argparse.Namespace) -> bool:
    """Return whether a cell has figures.

    Raises:
        PanglotError: The figures were made with other settings.
    """
    path = options.results / f"{cell.name}.json"
    if not path.exists():
        return False
    before = json.loads(path.read_text("utf-8"))["cell"]
    if before["training"] is not None:
        before["training"] = Settings.completed(before["training"])
    if before != json.loads(json.dumps(fingerprint_fields(cell, options))):
        hint = "remove the file, or choose another folder with --results"
        raise PanglotError("these figures were made with other settings", file=path, hint=hint)
    return True


def run(cell: Cell, options: argparse.Namespace) -> None:
    """Train and measure one cell in this process, from the last checkpoint of an earlier process if there is one."""
    import panglot
    from panglot.encoders.cache import Cached
    from panglot.encoders.load import load

    begin = time.monotonic()
    folder, settings = options.output / cell.name, recipe(cell, options)
    model: Any = "bundled"
    training: dict[str, Any] = {}
    if settings:
        panglot.train(**settings)
        training = trained(folder)
        # Vectors are kept with the model, so that a killed evaluation continues and `clean` removes them.
        model = Cached(load(folder, name=cell.name), folder / "vectors")
    training["peak_mib"] = peak_mib()
    command = f"python benchmarks/strategies.py --only {cell.strategy} --seeds {cell.seed} --pairs {options.pairs}"
    shared = grid(options)
    evaluation = panglot.evaluate(
        model, shared["test"], data_dir=options.data_dir, languages=shared.get("languages"), draws=options.draws,
        command=command, progress=print,
    )  # fmt: skip
    save_figures(
        evaluation, options.results, cell.name, strategy=cell.strategy, seed=cell.seed,
        cell=fingerprint_fields(cell, options), training=training,
    )  # fmt: skip
    print(f"{cell.name}: finished after {time.monotonic() - begin:.0f} s in this process: {evaluation}", flush=True)


def trained(folder: Path) -> dict[str, Any]:
    """Return steps, pairs, seconds, rows and the digests of the data of a run folder."""
    last = logged_steps(folder)[-1]
    run = json.loads((folder / "run.json").read_text("utf-8"))
    return {
        "steps": last["step"],
        "pairs": last["pairs"],
        "seconds": last["seconds"],
        "data": run["data"],
        "rows": run["rows"],
    }


def save_figures(evaluation: Any, results: Path, name: str, **cell: Any) -> None:
    """Write the sums over question groups that intervals and tests need, then all figures with their cell."""
    arrays: dict[str, Any] = {
        f"{dataset}|{name}|{part}": array
        for dataset, questions in evaluation.per_question.items()
        for name, sums in compact(questions.sums()).items()
        for part, array in sums.items()
    }
    with atomic_file(results / f"{name}.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    write_json(results / f"{name}.json", {**cell, **evaluation.figures})


def clean(cell: Cell, options: argparse.Namespace) -> None:
    """Remove the weights, checkpoints and vectors of a finished cell; keep its log and recipe."""
    folder = options.output / cell.name
    if options.keep or not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name not in KEPT:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def main() -> int:
    """Run one cell, write the report, or run the unfinished cells, each in its own process."""
    options = parse_arguments()
    try:
        if options.cell:
            strategy, _, seed = options.cell.rpartition(":")
            run(Cell(strategy, int(seed)), options)
            return 0
        if options.report:
            print(write(options.results, options.table, options.only, options.seeds))
            return 0
        return run_all(options)
    except PanglotError as error:
        print(f"strategies: {error}", file=sys.stderr)
        return 2
    except Interrupted as error:
        print(f"strategies: {error}", file=sys.stderr)
        return 130


def run_all(options: argparse.Namespace) -> int:
    """Run all chosen cells that are not finished; return the exit status."""
    chosen = cells(options.only, options.seeds)
    missing = [cell for cell in chosen if not finished(cell, options)]
    print(f"{len(chosen) - len(missing)} of {len(chosen)} cells are finished", flush=True)
    started: list[subprocess.Popen[bytes]] = []

    def work(cell: Cell) -> int:
        command = [sys.executable, __file__, *sys.argv[1:], "--cell", f"{cell.strategy}:{cell.seed}"]
        process = subprocess.Popen(command, env=environment(options.threads))
        started.append(process)
        status = process.wait()
        if status == 0:
            clean(cell, options)
        return status

    for cell in chosen:
        if cell not in missing:
            clean(cell, options)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ThreadPoolExecutor(options.jobs) as pool:
        running = [pool.submit(work, cell) for cell in missing]
        try:
            failed = [cell.name for cell, job in zip(missing, running, strict=True) if job.result()]
        except KeyboardInterrupt:
            # On SIGTERM, a run writes a checkpoint before it ends.
            pool.shutdown(wait=False, cancel_futures=True)
            for process in started:
                process.terminate()
            print("stopped; the same command continues from here", file=sys.stderr)
            return 130
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__, data_dir=True, threads=True)
    parser.add_argument("--only", nargs="+", choices=STRATEGIES, default=[*STRATEGIES], metavar="STRATEGY",
                        help=", ".join(STRATEGIES))  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--pairs", type=int, default=4000, help="training pairs per cell")
    parser.add_argument(
        "--settings", type=Path, default=ROOT / "benchmarks" / "strategies.toml", help="training settings"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "strategies", help="folder to train in")
    parser.add_argument("--results", type=Path, default=RESULTS / "strategies", help="folder to write figures to")
    parser.add_argument("--table", type=Path, default=RESULTS / "strategies.md", help="file that --report writes")
    parser.add_argument("--draws", type=int, default=1000, help="bootstrap draws for the intervals of each cell")
    parser.add_argument("--jobs", type=int, default=1, help="number of cells that run at once")
    parser.add_argument("--keep", action="store_true", help="keep the trained weights")
    parser.add_argument("--report", action="store_true", help="write the table of finished cells without running any")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
