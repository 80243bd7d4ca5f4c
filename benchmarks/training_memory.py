"""Compare the memory that a training step was estimated to need with its peak memory.

    python benchmarks/training_memory.py

Each case has its own process with the bundled model. It takes two steps with all activations kept, because the first
one allocates the optimizer's moments at its end. The measured memory is the peak during the steps minus the memory that
was in use before them. Texts have random tokens and lengths, the passages up to the longest one and the questions up to
a quarter of it. Linux only. Cases that the JSON file has already are not measured again, so the same command continues.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from _common import add_hidden, answer, child, make_parser, memory_mib, peak_mib, record, table

# Pairs, the longest text, precision, further settings.
CASES: list[tuple[int, int, str, dict[str, Any]]] = [
    (16, 64, "fp32", {}),
    (64, 64, "fp32", {}),
    (192, 64, "fp32", {}),
    (32, 256, "fp32", {}),
    (96, 256, "fp32", {}),
    (16, 512, "fp32", {}),
    (64, 64, "bf16", {}),
    (8, 256, "fp32", {"frozen_layers": 6}),
    (8, 256, "fp32", {"dropout": True}),
    (8, 64, "fp32", {"embeddings": "full"}),
    (8, 64, "fp32", {"mixing": "pcgrad", "objectives": ["mono", "cross", "hybrid-row", "whole-group"]}),
]


def measure(number: int) -> dict[str, Any]:
    """Take two steps of a case and return tokens, estimate and measured memory in MiB."""
    import numpy as np
    import torch

    from panglot.encoders.open_model import open_model
    from panglot.training.aggregation import Aggregator, aggregate
    from panglot.training.data import Example
    from panglot.training.gradient import Processes, backward
    from panglot.training.model import MemoryPlan, TrainableEncoder, chunks_of
    from panglot.training.settings import Settings

    pairs, longest, precision, more = CASES[number]
    settings = Settings.from_dict(
        {"on": ["starter:train"], "max_length": longest, "batch_size": pairs, "precision": precision, **more}
    )
    device = torch.device("cpu")
    encoder = TrainableEncoder(open_model("bundled", device)[0], settings, device)
    encoder.try_out("bundled")
    objectives = len(settings.objectives) if settings.mixing != "none" else 1
    plan = MemoryPlan.measured(settings, encoder, objectives)
    generator = np.random.default_rng(number)
    questions, passages = (
        [generator.integers(4, 250_000, int(generator.integers(4, most + 1))).tolist() for _ in range(pairs)]
        for most in (longest // 4, longest)
    )
    example = Example([*questions], [*passages], np.eye(pairs, dtype=bool), None)
    lengths = [len(text) for text in (*questions, *passages)]
    needed = plan.needed([[lengths[i] for i in chunk] for chunk in chunks_of(lengths, settings.chunk_tokens)])
    parameters = list(encoder.trained.values())
    optimizer = torch.optim.AdamW(parameters, lr=1e-6, fused=True)
    before = memory_mib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # The peak begins anew.
    for step in range(2):

        def loss(step: int = step) -> float:
            return backward(encoder, example, settings, Processes(), step)

        if settings.mixing == "none":
            loss()
        else:
            mixer = Aggregator(settings.mixing, [1.0] * objectives, 0)
            aggregate(parameters, [loss] * objectives, mixer, range(objectives), step)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    measured = peak_mib() - before
    return {"tokens": sum(lengths), "estimated_mib": needed, "measured_mib": measured, "ratio": needed / measured}


def main() -> None:
    """Measure each case in a process of its own, and print the table."""
    options = parse_arguments()
    if options.case is not None:
        answer(options.answer, measure(options.case))
        return
    before = json.loads(options.json.read_text("utf-8"))["cases"] if options.json.exists() else []
    found: list[dict[str, Any]] = []
    for number, (pairs, longest, precision, more) in enumerate(CASES):
        case = {"pairs": pairs, "longest": longest, "precision": precision, "settings": more}
        done = next((each for each in before if case.items() <= each.items()), None)
        found.append(done or {**case, **child(options.threads, case=number)})
        record(options.json, options.threads, model="bundled", cases=found)
    head = ["case", "tokens", "estimated MiB", "measured MiB", "ratio"]
    print(table(head, [_row(case) for case in found]))


def _row(case: dict[str, Any]) -> list[str]:
    more = "".join(f", {name} {value}" for name, value in case["settings"].items() if name != "objectives")
    name = f"{case['pairs']} pairs, longest {case['longest']}, {case['precision']}{more}"
    return [name, f"{case['tokens']:,}", f"{case['estimated_mib']:,.0f}", f"{case['measured_mib']:,.0f}",
            f"{case['ratio']:.2f}"]  # fmt: skip


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__, threads=True, results="training_memory.json")
    add_hidden(parser, case=int)
    return parser.parse_args()


if __name__ == "__main__":
    main()
