"""Train the documented recipe with several seeds, and compare it with the untouched start on XQuAD-R and TyDi QA.

    python benchmarks/recipe.py             # run the missing seeds, then write benchmarks/results/recipe.md

A seed trains in ``runs/recipe/recipe-SEED`` and writes its sums over question groups (npz) and its figures (JSON) to
``benchmarks/results/recipe``. After an interruption, the same command continues.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

import panglot
from _common import RESULTS, ROOT, make_parser, peak_mib
from _strategies_table import START, write
from panglot._errors import PanglotError
from panglot.training.settings import Settings
from strategies import save_figures, trained

NAME = "recipe"
COMMAND = "python benchmarks/recipe.py"
TESTS = ["xquad-r", "tydiqa-goldp"]


def run(seed: int, options: argparse.Namespace) -> None:
    """Train the recipe with one seed and measure it."""
    folder = options.output / f"{NAME}-{seed}"
    panglot.train(recipe=options.recipe, seed=seed, output=folder, data_dir=options.data_dir)
    evaluation = panglot.evaluate(folder, TESTS, data_dir=options.data_dir, command=COMMAND, progress=print)
    settings = json.loads((folder / "run.json").read_text("utf-8"))["settings"]
    cell = {"training": Settings.completed(settings), "test": TESTS}
    training = trained(folder) | {"peak_mib": peak_mib()}
    save_figures(evaluation, options.results, f"{NAME}-{seed}", strategy=NAME, seed=seed, cell=cell, training=training)


def main() -> int:
    """Run the missing seeds, then write the table."""
    parser = make_parser(__doc__, data_dir=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--recipe", default="hybrid", help="recipe to train")
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "recipe", help="folder to train in")
    parser.add_argument("--results", type=Path, default=RESULTS / "recipe", help="folder to write figures to")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    try:
        for seed in options.seeds:
            if not (options.results / f"{NAME}-{seed}.json").exists():
                run(seed, options)
    except PanglotError as error:
        print(f"recipe: {error}", file=sys.stderr)
        return 2
    # benchmarks/strategies.py measures the untouched start.
    for ending in ("json", "npz"):
        shutil.copy(RESULTS / "strategies" / f"{START}.{ending}", options.results / f"{START}.{ending}")
    print(write(options.results, RESULTS / "recipe.md", [NAME], options.seeds, "The recipe beside its start"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
