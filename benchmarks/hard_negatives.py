"""Compare training without hard negatives, with those of the answer's own paragraph, and with mined ones.

    python benchmarks/hard_negatives.py --runs runs/hard-negatives

``mlqa_dev.py`` splits MLQA dev. Each run trains on the same pairs in hybrid-row batches and is measured on held-out
rows. After an interruption, the same command continues. No test set is read.
"""

from __future__ import annotations

from pathlib import Path

import mlqa_dev
import panglot
from _common import make_parser, record, table

LANGUAGES = ("any", "same", "drawn")
MEASURES = ("monolingual.mAP", "crosslingual.mAP", "multilingual.mAP", "multilingual.rank_distance")


def main(data_dir: Path, runs: Path, pairs: int, seed: int, to: Path) -> None:
    data = runs / "data"
    mlqa_dev.split_once(data_dir, data)
    train = {"none": (data / "mlqa-train", 0), "own paragraph": (data / "mlqa-train", 2)}
    counts: dict[str, str] = {}
    for language in LANGUAGES:
        folder = data / f"mined-{language}"
        if not folder.exists():
            panglot.mine("bundled", data / "mlqa-train", language=language).save(folder)
        counts[language] = panglot.Collection.open(folder).metadata["mined"]
        train[f"mined, {language}"] = folder, 2
    models = ["bundled"]
    for name, (folder, negatives) in train.items():
        output = runs / name.replace(", ", "-").replace(" ", "-")
        panglot.train(
            "bundled", on=str(folder), output=output, batches="hybrid-row", pairs=pairs, batch_size=32, max_length=128,
            hard_negatives=negatives, exclude="none", seed=seed,
        )  # fmt: skip
        models.append(str(output))
    comparison = panglot.compare(models, test=[str(data / "mlqa-held")], seed=seed)
    figures = comparison.figures["datasets"]["mlqa-held"]
    record(to, compared={name: figures[name] for name in MEASURES}, mined=counts, pairs=pairs, seed=seed)
    rows = [
        [model, *(f"{figures[name]['values'][model]:.3f}" for name in MEASURES)] for model in comparison.evaluations
    ]
    print(table(["model", *MEASURES], rows))


if __name__ == "__main__":
    parser = make_parser(__doc__, data_dir=True, results="hard_negatives.json")
    parser.add_argument("--runs", type=Path, default=Path("runs/hard-negatives"), help="folder of data and models")
    parser.add_argument("--pairs", type=int, default=1504, help="training pairs per run")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    main(options.data_dir, options.runs, options.pairs, options.seed, options.json)
