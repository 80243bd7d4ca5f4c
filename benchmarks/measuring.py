"""Measure the time and memory of evaluating XQuAD-R after encoding.

    python benchmarks/measuring.py                      # clustered random vectors
    python benchmarks/measuring.py --vectors bundled    # vectors of a model, from the cache or encoded first

The evaluation computes all measures in all settings, with 1,000 bootstrap draws. Each repeat runs in its own process,
so that peak memory covers Python, the collection, the vectors and the evaluation, but no model.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from _common import add_hidden, answer, child, make_parser, peak_mib, record, unit
from panglot.datasets.registry import read
from panglot.evaluation.figures import SETTINGS, measure

if TYPE_CHECKING:
    from panglot.data.collection import Collection
    from panglot.encoders.protocol import Vectors

DIMENSION, NOISE = 384, 2.0


def clustered(collection: Collection, seed: int) -> tuple[Vectors, Vectors]:
    """Return unit vectors as of a weak encoder: close to the centre of their topic, shifted by their language."""
    rng = np.random.default_rng(seed)
    names = collection.passages["group"].to_pylist()
    number = {name: row for row, name in enumerate(dict.fromkeys(names))}
    passage = np.array([number[name] for name in names])
    question = np.zeros(collection.questions.num_rows, np.int64)
    asked, answered = collection.pairs
    question[asked] = passage[answered]
    centre = rng.normal(size=(len(number), DIMENSION)).astype(np.float32)
    offset = rng.normal(size=(len(collection.languages), DIMENSION)).astype(np.float32)

    def side(group: Any, language: Any) -> Vectors:
        noise = rng.normal(size=(len(group), DIMENSION)).astype(np.float32)
        return unit(centre[group] + offset[language] + NOISE * noise)

    return side(question, collection.question_language), side(passage, collection.passage_language)


def run_step(options: argparse.Namespace) -> dict[str, Any]:
    """Encode or evaluate once in this process."""
    collection = read(options.dataset, data_dir=options.data_dir)
    paths = [options.folder / f"{side}.npy" for side in ("questions", "passages")]
    if options.step == "prepare":
        from panglot.evaluation.inputs import encode, open_encoder

        source = options.vectors
        sides = clustered(collection, 0) if source == "random" else encode(open_encoder(source), collection)
        for path, vectors in zip(paths, sides, strict=True):
            np.save(path, vectors)
        return {}
    questions, passages = (np.load(path, allow_pickle=False) for path in paths)
    before, begin = peak_mib(), time.perf_counter()
    figures = measure(questions, passages, collection, draws=options.draws).figures
    seconds = time.perf_counter() - begin
    values = {"seconds": seconds, "peak_mib": peak_mib(), "peak_mib_before": before}
    return {**values, "mAP": {setting: figures[setting]["mAP"] for setting in SETTINGS if figures[setting]}}


def main() -> None:
    """Evaluate several times, then print and write the medians."""
    options = parse_arguments()
    if options.step:
        answer(options.answer, run_step(options))
        return
    same = {name: getattr(options, name) for name in ("dataset", "data_dir", "vectors", "draws")}
    with tempfile.TemporaryDirectory() as folder:
        child(options.threads, **same, folder=folder, step="prepare")
        runs = [child(options.threads, **same, folder=folder, step="measure") for _ in range(options.repeats)]
    seconds, peak = (statistics.median(run[key] for run in runs) for key in ("seconds", "peak_mib"))
    del same["data_dir"]
    record(options.json, options.threads, **same, seconds=seconds, peak_mib=peak, runs=runs)
    print(f"{options.dataset}, {options.vectors} vectors, {options.draws} draws: {seconds:.2f} s, {peak:,.0f} MiB")


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__, data_dir=True, threads=True, results="measuring.json")
    parser.add_argument("--dataset", default="xquad-r", help="data set to evaluate")
    parser.add_argument("--vectors", default="random", help="random, or a model such as bundled")
    parser.add_argument("--draws", type=int, default=1000, help="number of bootstrap draws")
    parser.add_argument("--repeats", type=int, default=3, help="number of evaluations")
    add_hidden(parser, step=str, folder=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
