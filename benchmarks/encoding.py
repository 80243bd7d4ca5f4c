"""Texts per second of panglot's encoder beside ``SentenceTransformer.encode``, on sentences of XQuAD-R, in one run.

    python benchmarks/encoding.py --texts 1000 --repeats 3

The sides take turns in one process on the same texts, after a warm-up: sentence-transformers with its default settings
(float32, batch 32), the same under bf16 autocast, and panglot with its defaults and in float32. The cosine is that of
each side's vectors to sentence-transformers' in float32.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from _common import DATA, RESULTS, record, table
from panglot.datasets.registry import read

Encode = Callable[[list[str]], npt.NDArray[np.float32]]
BASE = "sentence-transformers"


def sides(model: str) -> dict[str, Encode]:
    """Return what is compared, by name; all share one start."""
    import torch
    from sentence_transformers import SentenceTransformer

    from panglot.encoders.bundled import bundled_folder
    from panglot.encoders.load import load

    theirs = SentenceTransformer(str(bundled_folder()) if model == "bundled" else model)
    automatic, exact = load(model), load(model, precision="fp32")

    def plain(texts: list[str]) -> npt.NDArray[np.float32]:
        return theirs.encode_document(texts, show_progress_bar=False)

    def autocast(texts: list[str]) -> npt.NDArray[np.float32]:
        with torch.autocast(theirs.device.type, torch.bfloat16):
            vectors = theirs.encode_document(texts, show_progress_bar=False, convert_to_tensor=True)
        return vectors.float().cpu().numpy()

    return {
        BASE: plain,
        "sentence-transformers, bf16 autocast": autocast,
        "panglot": lambda texts: automatic.encode(texts, "passage"),
        "panglot, fp32": lambda texts: exact.encode(texts, "passage"),
    }


def sample(data_dir: Path, texts: int, seed: int = 0) -> list[str]:
    """Return so many distinct sentences of XQuAD-R, drawn over all languages."""
    distinct = list(dict.fromkeys(read("xquad-r", data_dir=data_dir).passages["text"].to_pylist()))
    drawn = np.random.default_rng(seed).permutation(len(distinct))[:texts]
    return [distinct[row] for row in drawn]


def cosine(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the cosine of each row with its counterpart."""
    left, right = (each.astype(np.float64) for each in (a, b))
    return (left * right).sum(1) / (np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1))


def main() -> None:
    """Let the sides take turns; print and write medians."""
    options = parser().parse_args()
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    texts, compared = sample(options.data_dir, options.texts), sides(options.model)
    for encode in compared.values():
        encode(texts[:32])
    seconds: dict[str, list[float]] = {name: [] for name in compared}
    vectors: dict[str, npt.NDArray[np.float32]] = {}
    for repeat in range(options.repeats):
        for name in list(compared)[:: -1 if repeat % 2 else 1]:
            begin = time.perf_counter()
            vectors[name] = compared[name](texts)
            seconds[name].append(time.perf_counter() - begin)
    found: dict[str, dict[str, Any]] = {
        name: {
            "texts_per_second": statistics.median(len(texts) / each for each in spent),
            "ratio": statistics.median(base / each for base, each in zip(seconds[BASE], spent, strict=True)),
            "cosine": {"mean": float(same.mean()), "least": float(same.min())},
            "seconds": spent,
        }
        for name, spent in seconds.items()
        for same in [cosine(vectors[BASE], vectors[name])]
    }
    record(options.json, options.threads, model=options.model, texts=len(texts), repeats=options.repeats, sides=found)
    rows = [
        [
            name,
            f"{side['texts_per_second']:.1f}",
            f"{side['ratio']:.2f}",
            f"{side['cosine']['mean']:.5f}",
            f"{side['cosine']['least']:.5f}",
        ]
        for name, side in found.items()
    ]
    print(table(["encoder", "texts/s", "ratio", "mean cosine", "least cosine"], rows))


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--texts", type=int, default=1000)
    found.add_argument("--repeats", type=int, default=3)
    found.add_argument("--model", default="bundled", help="bundled, or a sentence-transformers folder")
    found.add_argument("--threads", type=int, help="by default as many as torch likes")
    found.add_argument("--data-dir", type=Path, default=DATA, help="the folder of data sets")
    found.add_argument("--json", type=Path, default=RESULTS / "encoding.json")
    return found


if __name__ == "__main__":
    main()
