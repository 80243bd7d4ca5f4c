"""The documented recipe over several seeds, beside the untouched start, on XQuAD-R and TyDi QA.

    python benchmarks/recipe.py             # what is missing, then the table, benchmarks/results/recipe.md

A seed trains in ``runs/recipe/recipe-SEED`` and leaves sums over question groups (npz) and all figures (JSON) under
``benchmarks/results/recipe``. It may be stopped at any moment; the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

import panglot
from _common import DATA, RESULTS, ROOT, peak_mib
from _strategies_table import START, write
from panglot._errors import PanglotError
from panglot._files import write_json
from panglot.training.settings import Settings
from strategies import save_sums, trained

NAME = "recipe"
COMMAND = "python benchmarks/recipe.py"
TESTS = ["xquad-r", "tydiqa-goldp"]


def run(seed: int, options: argparse.Namespace) -> None:
    """Train the recipe with one seed and measure it."""
    folder = options.output / f"{NAME}-{seed}"
    panglot.train(recipe=options.recipe, seed=seed, output=folder, data_dir=options.data_dir)
    found = panglot.evaluate(folder, TESTS, data_dir=options.data_dir, command=COMMAND, progress=print)
    save_sums(found, options.results / f"{NAME}-{seed}.npz")
    started = json.loads((folder / "run.json").read_text("utf-8"))
    cell = {"training": Settings.completed(started["settings"]), "test": TESTS}
    about = {"strategy": NAME, "seed": seed, "cell": cell, "training": trained(folder) | {"peak_mib": peak_mib()}}
    write_json(options.results / f"{NAME}-{seed}.json", {**about, **found.figures})


def main() -> int:
    """Run the seeds that are missing, then write the table."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    found.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "hybrid.toml")
    found.add_argument("--data-dir", type=Path, default=DATA, help="the folder of data sets")
    found.add_argument("--output", type=Path, default=ROOT / "runs" / "recipe", help="where seeds train")
    found.add_argument("--results", type=Path, default=RESULTS / "recipe", help="where figures go")
    options = found.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    try:
        for seed in options.seeds:
            if not (options.results / f"{NAME}-{seed}.json").exists():
                run(seed, options)
    except PanglotError as error:
        print(f"recipe: {error}", file=sys.stderr)
        return 2
    # The start is measured by benchmarks/strategies.py.
    for ending in ("json", "npz"):
        shutil.copy(RESULTS / "strategies" / f"{START}.{ending}", options.results / f"{START}.{ending}")
    print(write(options.results, RESULTS / "recipe.md", [NAME], options.seeds, "The recipe beside its start"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
