"""Time and memory of measuring XQuAD-R after encoding, with all measures, all settings and 1,000 bootstrap draws.

    python benchmarks/measuring.py                      # clustered random vectors
    python benchmarks/measuring.py --vectors bundled    # real ones, encoded first if the cache lacks them

Each repeat runs in its own process, so that peak memory covers Python, the collection, the vectors and the measuring,
but no model.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from _common import DATA, RESULTS, answer, child, peak_mib, record
from panglot.datasets.registry import read

if TYPE_CHECKING:
    from panglot.data.collection import Collection
    from panglot.encoders.protocol import Vectors

DIMENSION, NOISE = 384, 2.0


def clustered(collection: Collection, seed: int) -> tuple[Vectors, Vectors]:
    """Return unit vectors like those of a weak encoder: near the centre of their topic, moved by their language."""
    rng = np.random.default_rng(seed)
    names = collection.passages["group"].to_pylist()
    number = {name: row for row, name in enumerate(dict.fromkeys(names))}
    passage = np.array([number[name] for name in names])
    question = np.zeros(collection.questions.num_rows, np.int64)
    asked, answered = collection.pairs
    question[asked] = passage[answered]
    centre = rng.normal(size=(len(number), DIMENSION)).astype(np.float32)
    offset = rng.normal(size=(len(collection.languages), DIMENSION)).astype(np.float32)
    sides: list[Vectors] = []
    for group, language in ((question, collection.question_language), (passage, collection.passage_language)):
        noise = rng.normal(size=(len(group), DIMENSION)).astype(np.float32)
        vectors = centre[group] + offset[language] + NOISE * noise
        sides.append(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    return sides[0], sides[1]


def one(options: argparse.Namespace) -> None:
    """Encode or measure once in this process."""
    from panglot.evaluation.figures import measure

    collection = read(options.dataset, data_dir=options.data_dir)
    kept = [options.folder / f"{side}.npy" for side in ("questions", "passages")]
    if options.step == "prepare":
        from panglot.evaluation.evaluate import encode, open_encoder

        given = options.vectors
        sides = clustered(collection, 0) if given == "random" else encode(open_encoder(given), collection)
        for path, vectors in zip(kept, sides, strict=True):
            np.save(path, vectors)
        answer(options.answer, {})
        return
    questions, passages = (np.load(path, allow_pickle=False) for path in kept)
    before, begin = peak_mib(), time.perf_counter()
    found = measure(questions, passages, collection, draws=options.draws).figures
    seconds = time.perf_counter() - begin
    values = {"seconds": seconds, "peak_mib": peak_mib(), "peak_mib_before": before}
    heads = {s: found[s]["mAP"] for s in ("monolingual", "crosslingual", "multilingual") if found[s]}
    answer(options.answer, {**values, "mAP": heads})


def main() -> None:
    """Measure several times, then print and write the median."""
    options = parser().parse_args()
    if options.step:
        one(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        given: dict[str, Any] = {
            "--dataset": options.dataset,
            "--data-dir": options.data_dir.resolve(),
            "--vectors": options.vectors,
            "--draws": options.draws,
            "--folder": folder,
        }
        arguments = [str(part) for pair in given.items() for part in pair]
        child("measuring.py", [*arguments, "--step", "prepare"], options.threads)
        runs = [
            child("measuring.py", [*arguments, "--step", "measure"], options.threads) for _ in range(options.repeats)
        ]
    seconds, peak = (statistics.median(run[key] for run in runs) for key in ("seconds", "peak_mib"))
    record(
        options.json,
        options.threads,
        dataset=options.dataset,
        vectors=options.vectors,
        draws=options.draws,
        seconds=seconds,
        peak_mib=peak,
        runs=runs,
    )
    print(f"{options.dataset}, {options.vectors} vectors, {options.draws} draws: {seconds:.2f} s, {peak:,.0f} MiB")


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--dataset", default="xquad-r", help="what is measured")
    found.add_argument("--vectors", default="random", help="random, or a model such as bundled")
    found.add_argument("--draws", type=int, default=1000)
    found.add_argument("--repeats", type=int, default=3)
    found.add_argument("--threads", type=int, help="by default as many as numpy likes")
    found.add_argument("--data-dir", type=Path, default=DATA, help="the folder of data sets")
    found.add_argument("--json", type=Path, default=RESULTS / "measuring.json")
    for hidden, kind in (("--step", str), ("--folder", Path), ("--answer", Path)):
        found.add_argument(hidden, type=kind, help=argparse.SUPPRESS)
    return found


if __name__ == "__main__":
    main()
