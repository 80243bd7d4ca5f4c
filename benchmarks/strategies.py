"""The paper's main table: every batching at equal pairs, several seeds, on XQuAD-R and TyDi QA.

    python benchmarks/strategies.py                     # all cells; the same command goes on after any interruption
    python benchmarks/strategies.py --only mono hybrid --seeds 0
    python benchmarks/strategies.py --report            # the table of what is done, benchmarks/results/strategies.md

A cell is a strategy and a seed. It trains in ``runs/strategies/STRATEGY-SEED`` and leaves two files under
``benchmarks/results/strategies``: sums over question groups (npz), then all figures (JSON), which marks it as done. The
cells of one seed come before those of the next. Settings are in ``benchmarks/strategies.toml``.
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

from _common import DATA, RESULTS, ROOT, environment, peak_mib
from panglot._errors import PanglotError
from panglot.training.loop import Interrupted

STRATEGIES = ("english", "mixed-mono", "mono", "cross", "hybrid", "hybrid-row", "whole-group")
START = "start"
KEPT = ("log.jsonl", "recipe.toml", "run.json")


@dataclass(frozen=True)
class Cell:
    """One strategy and one seed, or the untouched start."""

    strategy: str
    seed: int

    @property
    def name(self) -> str:
        """What its folder and files are called."""
        return START if self.strategy == START else f"{self.strategy}-{self.seed}"


def cells(strategies: list[str], seeds: list[int]) -> list[Cell]:
    """Return the cells in the order in which they run.

    >>> [cell.name for cell in cells(["mono", "cross"], [0, 1])]
    ['start', 'mono-0', 'cross-0', 'mono-1', 'cross-1']
    """
    return [Cell(START, 0), *(Cell(strategy, seed) for seed in seeds for strategy in strategies)]


def recipe(cell: Cell, options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of a cell; none for the untouched start."""
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
    """Return what the figures of a cell depend on."""
    from panglot.training.settings import Settings

    settings = recipe(cell, options)
    kept = {"languages": found} if (found := grid(options).get("languages")) else {}
    return {
        "test": tests(options),
        **kept,
        "training": Settings.from_dict(settings).fingerprint_fields() if settings else None,
    }


def grid(options: argparse.Namespace) -> dict[str, Any]:
    """Return what all cells share: the names of the test sets and, unless it is all, their languages."""
    return tomllib.loads(options.settings.read_text("utf-8"))["grid"]


def tests(options: argparse.Namespace) -> list[str]:
    """Return the names of the test sets."""
    return grid(options)["test"]


def done(cell: Cell, options: argparse.Namespace) -> bool:
    """Whether a cell's figures are there.

    Raises:
        PanglotError: They were made with other settings.
    """
    path = options.results / f"{cell.name}.json"
    if not path.exists():
        return False
    from panglot.training.settings import Settings

    before = json.loads(path.read_text("utf-8"))["cell"]
    if before["training"] is not None:
        before["training"] = Settings.completed(before["training"])
    if before != json.loads(json.dumps(fingerprint_fields(cell, options))):
        raise PanglotError(
            "these figures were made with other settings", file=path, hint="remove the file, or give other --results"
        )
    return True


def run(cell: Cell, options: argparse.Namespace) -> None:
    """Train and measure one cell, in this process; goes on where an earlier process stopped."""
    import panglot
    from panglot._files import write_json
    from panglot.encoders.cache import Cached
    from panglot.encoders.load import load

    begin = time.monotonic()
    folder, settings = options.output / cell.name, recipe(cell, options)
    model: Any = "bundled"
    training: dict[str, Any] = {}
    if settings:
        panglot.train(**settings)
        training = trained(folder)
        # Vectors lie beside the model, so that a killed measurement goes on, and go away with it.
        model = Cached(load(folder, name=cell.name), folder / "vectors")
    training["peak_mib"] = peak_mib()
    sets = tests(options)
    command = f"python benchmarks/strategies.py --only {cell.strategy} --seeds {cell.seed} --pairs {options.pairs}"
    found = panglot.evaluate(
        model, sets, data_dir=options.data_dir, languages=grid(options).get("languages"), draws=options.draws,
        command=command, progress=print,
    )  # fmt: skip
    save_sums(found, options.results / f"{cell.name}.npz")
    about = {
        "strategy": cell.strategy,
        "seed": cell.seed,
        "cell": fingerprint_fields(cell, options),
        "training": training,
    }
    write_json(options.results / f"{cell.name}.json", {**about, **found.figures})
    print(f"{cell.name}: done after {time.monotonic() - begin:.0f} seconds in this process: {found}", flush=True)


def trained(folder: Path) -> dict[str, Any]:
    """Return steps, pairs, seconds and the digests of the data, from a run folder's log."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]
    last = [line for line in lines if "loss" in line][-1]
    begun = json.loads((folder / "run.json").read_text("utf-8"))
    return {
        "steps": last["step"],
        "pairs": last["pairs"],
        "seconds": last["seconds"],
        "data": begun["data"],
        "rows": begun["rows"],
    }


def save_sums(found: Any, path: Path) -> None:
    """Keep what intervals and paired tests need: every headline figure's sums over question groups."""
    import numpy as np

    from _strategies_table import compact
    from panglot._files import atomic_file

    arrays: dict[str, Any] = {
        f"{dataset}|{name}|{part}": array
        for dataset, questions in found.per_question.items()
        for name, sums in compact(questions.sums()).items()
        for part, array in sums.items()
    }
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def clean(cell: Cell, options: argparse.Namespace) -> None:
    """Remove weights, checkpoints and vectors of a cell that is done; its log and recipe stay."""
    folder = options.output / cell.name
    if options.keep or not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name not in KEPT:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def main() -> int:
    """Run the cells that are missing, each in a process of its own."""
    options = parser().parse_args()
    try:
        if options.cell:
            strategy, _, seed = options.cell.rpartition(":")
            run(Cell(strategy, int(seed)), options)
            return 0
        if options.report:
            from _strategies_table import write

            print(write(options.results, options.table, options.only, options.seeds))
            return 0
        return everything(options)
    except PanglotError as error:
        print(f"strategies: {error}", file=sys.stderr)
        return 2
    except Interrupted as error:
        print(f"strategies: {error}", file=sys.stderr)
        return 130


def everything(options: argparse.Namespace) -> int:
    """Run all cells that are asked for and not done; return the exit status."""
    asked = cells(options.only, options.seeds)
    missing = [cell for cell in asked if not done(cell, options)]
    print(f"{len(asked) - len(missing)} of {len(asked)} cells are done", flush=True)
    started: list[subprocess.Popen[bytes]] = []

    def work(cell: Cell) -> int:
        command = [sys.executable, __file__, *sys.argv[1:], "--cell", f"{cell.strategy}:{cell.seed}"]
        process = subprocess.Popen(command, env=environment(options.threads))
        started.append(process)
        status = process.wait()
        if status == 0:
            clean(cell, options)
        return status

    for cell in asked:
        if cell not in missing:
            clean(cell, options)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ThreadPoolExecutor(options.jobs) as pool:
        running = [pool.submit(work, cell) for cell in missing]
        try:
            failed = [cell.name for cell, job in zip(missing, running, strict=True) if job.result()]
        except KeyboardInterrupt:
            # A run that is asked to stop writes a checkpoint first.
            pool.shutdown(wait=False, cancel_futures=True)
            for process in started:
                process.terminate()
            print("stopped; the same command goes on from here", file=sys.stderr)
            return 130
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--only", nargs="+", choices=STRATEGIES, default=[*STRATEGIES], metavar="STRATEGY")
    found.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    found.add_argument("--pairs", type=int, default=4000, help="pairs that each cell trains on")
    found.add_argument("--settings", type=Path, default=ROOT / "benchmarks" / "strategies.toml")
    found.add_argument("--data-dir", type=Path, default=DATA, help="the folder of data sets")
    found.add_argument("--output", type=Path, default=ROOT / "runs" / "strategies", help="where cells train")
    found.add_argument("--results", type=Path, default=RESULTS / "strategies", help="where figures go")
    found.add_argument("--table", type=Path, default=RESULTS / "strategies.md", help="what --report writes")
    found.add_argument("--draws", type=int, default=1000, help="bootstrap draws of each cell's own intervals")
    found.add_argument("--jobs", type=int, default=1, help="cells at a time")
    found.add_argument("--threads", type=int, help="threads of each cell; by default as many as it likes")
    found.add_argument("--keep", action="store_true", help="keep the trained weights")
    found.add_argument("--report", action="store_true", help="only write the table of what is done")
    found.add_argument("--cell", help=argparse.SUPPRESS)
    return found


if __name__ == "__main__":
    sys.exit(main())
