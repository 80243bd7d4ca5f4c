"""Measure texts per second of panglot's encoder and of ``SentenceTransformer.encode`` in one run.

    python benchmarks/encoding.py --texts 1000 --repeats 3

The sides take turns in one process on the same sentences of XQuAD-R, after a warm-up. They are sentence-transformers
with its default settings (float32, batch 32) and under bf16 autocast, and panglot with its defaults and in float32. The
cosine compares the vectors of each side with those of sentence-transformers in float32.
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

from _common import figures_table, in_turn, make_parser, record, sentence_transformer
from panglot.datasets.registry import read

Encode = Callable[[list[str]], npt.NDArray[np.float32]]
BASE = "sentence-transformers"


def sides(model: str) -> dict[str, Encode]:
    """Return the encoders to compare, by name. All have the same weights."""
    import torch

    from panglot.encoders.load import load

    baseline: Any = sentence_transformer(model)
    automatic, exact = load(model), load(model, precision="fp32")

    def autocast(texts: list[str]) -> npt.NDArray[np.float32]:
        with torch.autocast(baseline.device.type, torch.bfloat16):
            vectors = baseline.encode_document(texts, show_progress_bar=False, convert_to_tensor=True)
        return vectors.float().cpu().numpy()

    return {
        BASE: lambda texts: baseline.encode_document(texts, show_progress_bar=False),
        "sentence-transformers, bf16 autocast": autocast,
        "panglot": lambda texts: automatic.encode(texts, "passage"),
        "panglot, fp32": lambda texts: exact.encode(texts, "passage"),
    }


def sample(data_dir: Path, texts: int, seed: int = 0) -> list[str]:
    """Return distinct sentences of XQuAD-R, drawn from all languages."""
    distinct = list(dict.fromkeys(read("xquad-r", data_dir=data_dir).passages["text"].to_pylist()))
    drawn = np.random.default_rng(seed).permutation(len(distinct))[:texts]
    return [distinct[row] for row in drawn]


def cosine(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the cosine of each row of ``a`` with the same row of ``b``."""
    left, right = (each.astype(np.float64) for each in (a, b))
    return (left * right).sum(1) / (np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1))


def main() -> None:
    """Run the sides in turn, then print and write the medians."""
    options = parse_arguments()
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    texts, compared = sample(options.data_dir, options.texts), sides(options.model)
    for encode in compared.values():
        encode(texts[:32])
    seconds: dict[str, list[float]] = {name: [] for name in compared}
    vectors: dict[str, npt.NDArray[np.float32]] = {}
    for repeat in range(options.repeats):
        for name in in_turn(compared, repeat):
            begin = time.perf_counter()
            vectors[name] = compared[name](texts)
            seconds[name].append(time.perf_counter() - begin)
    figures: dict[str, dict[str, Any]] = {}
    for name, runs in seconds.items():
        cosines = cosine(vectors[BASE], vectors[name])
        figures[name] = {
            "texts_per_second": statistics.median(len(texts) / run for run in runs),
            "ratio": statistics.median(base / run for base, run in zip(seconds[BASE], runs, strict=True)),
            "cosine": {"mean": float(cosines.mean()), "least": float(cosines.min())},
            "seconds": runs,
        }
    record(options.json, options.threads, model=options.model, texts=len(texts), repeats=options.repeats, sides=figures)
    columns = {
        "texts/s": "{texts_per_second:.1f}",
        "ratio": "{ratio:.2f}",
        "mean cosine": "{cosine[mean]:.5f}",
        "least cosine": "{cosine[least]:.5f}",
    }
    print(figures_table("encoder", columns, figures))


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__, data_dir=True, threads=True, results="encoding.json")
    parser.add_argument("--texts", type=int, default=1000, help="number of sentences to encode")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side")
    parser.add_argument("--model", default="bundled", help="bundled, or a sentence-transformers folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
