"""Compare training without hard negatives, with those of the answer's own paragraph, and with mined ones.

    python benchmarks/hard_negatives.py --runs runs/hard-negatives

``mlqa_dev.py`` splits MLQA dev. Each run trains on the same pairs in hybrid-row batches and is measured on held-out
rows. Stop it at any moment, and the same command continues. No test set is read.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mlqa_dev
import panglot
from _common import DATA, RESULTS, record, table

LANGUAGES = ("any", "same", "drawn")
MEASURES = ("monolingual.mAP", "crosslingual.mAP", "multilingual.mAP", "multilingual.rank_distance")


def main(data_dir: Path, runs: Path, pairs: int, seed: int, to: Path) -> None:
    data = runs / "data"
    if not (data / "mlqa-held").exists():
        mlqa_dev.main(data_dir, data)
    train = {"none": (data / "mlqa-train", 0), "own paragraph": (data / "mlqa-train", 2)}
    counts: dict[str, str] = {}
    for language in LANGUAGES:
        folder = data / f"mined-{language}"
        if not folder.exists():
            panglot.mine("bundled", data / "mlqa-train", language=language).save(folder)
        counts[language] = panglot.Collection.open(folder).about["mined"]
        train[f"mined, {language}"] = folder, 2
    models = ["bundled"]
    for name, (folder, negatives) in train.items():
        output = runs / name.replace(", ", "-").replace(" ", "-")
        panglot.train(
            "bundled", on=str(folder), output=output, batches="hybrid-row", pairs=pairs, batch_size=32, max_length=128,
            hard_negatives=negatives, exclude="none", seed=seed,
        )  # fmt: skip
        models.append(str(output))
    found = panglot.compare(models, test=[str(data / "mlqa-held")], seed=seed)
    compared = found.figures["datasets"]["mlqa-held"]
    record(to, compared={name: compared[name] for name in MEASURES}, mined=counts, pairs=pairs, seed=seed)
    rows = [[model, *(f"{compared[name]['values'][model]:.3f}" for name in MEASURES)] for model in found.evaluations]
    print(table(["model", *MEASURES], rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=DATA)
    parser.add_argument("--runs", type=Path, default=Path("runs/hard-negatives"))
    parser.add_argument("--pairs", type=int, default=1504)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=RESULTS / "hard_negatives.json")
    options = parser.parse_args()
    main(options.data_dir, options.runs, options.pairs, options.seed, options.json)
