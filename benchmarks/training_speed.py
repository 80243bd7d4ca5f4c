"""Compare the training speed of panglot and of sentence-transformers' own trainer.

    python benchmarks/training_speed.py --repeats 3 --evaluate 1

Both have the same start weights, rows, batch size and lengths. Each run has its own process, and the sides take turns,
so that a machine that slows down slows all of them. The rows are those of panglot's hybrid plan over answer sentences
of MLQA dev (question and passage in one language or in two). Sentence-transformers shuffles them, as it does by
default. Speed is pairs per second of wall time in the training loop, after the first 96 pairs (in whole steps).
Loading, tokenizing in advance and saving count only towards the total seconds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import mlqa_dev
from _common import ROOT, add_hidden, answer, child, in_turn, make_parser, peak_mib, record, sentence_transformer, table

TRAIN, HELD = "runs/data/mlqa-train", "runs/data/mlqa-held"
WARM_UP = 96  # pairs that do not count towards speed: three steps of a batch of 32, one of 512
FIGURES = ("monolingual.mAP", "crosslingual.mAP", "multilingual.mAP", "multilingual.rank_distance")


@dataclass(frozen=True)
class Side:
    """A trainer with its options."""

    title: str
    by: Literal["sentence-transformers", "panglot"]
    batch_size: int = 32
    frozen: bool = False
    cached: bool = False
    bf16: bool = False


SIDES = {
    "st": Side("(a) sentence-transformers, MultipleNegativesRankingLoss, defaults", "sentence-transformers"),
    "st-frozen": Side("(b) as (a), word embeddings frozen", "sentence-transformers", frozen=True),
    "st-bf16": Side("(b2) as (b), bf16", "sentence-transformers", frozen=True, bf16=True),
    "st-cached": Side(
        "(c) sentence-transformers, CachedMultipleNegativesRankingLoss, mini-batch 32",
        "sentence-transformers",
        batch_size=512,
        cached=True,
    ),
    "panglot": Side("(d) panglot, defaults", "panglot"),
    "panglot-cached": Side("(e) panglot, GradCache", "panglot", batch_size=512, cached=True),
}


@dataclass(frozen=True)
class Loop:
    """The time and the number of pairs seen at the start of the loop and at the end of each step."""

    stamps: list[float]
    pairs: list[int]

    def figures(self) -> dict[str, float]:
        """Return steps, pairs, seconds, and pairs per second after the warm-up."""
        steps = len(self.stamps) - 1
        skip = min(next(step for step, pairs in enumerate(self.pairs) if pairs >= WARM_UP), steps - 1)
        seconds = self.stamps[-1] - self.stamps[skip]
        return {
            "steps": steps,
            "pairs": self.pairs[-1],
            "warm_up_steps": skip,
            "loop_seconds": self.stamps[-1] - self.stamps[0],
            "pairs_per_second": (self.pairs[-1] - self.pairs[skip]) / seconds,
        }


def recipe(side: Side, pairs: int, seed: int, max_length: int, output: Path) -> dict[str, Any]:
    """Return panglot's settings: its defaults, what both sides share and, for a cached side, GradCache."""
    # With so few steps the learning rate decides the result, so both sides have that of sentence-transformers.
    forced = {"memory_budget": 1, "learning_rate": 5e-5, "warmup_ratio": 0.0} if side.cached else {}
    return {
        "on": [TRAIN],
        "batch_size": side.batch_size,
        "pairs": pairs,
        "max_length": max_length,
        "seed": seed,
        "output": str(output),
        **forced,
    }


def train_panglot(settings: dict[str, Any]) -> Loop:
    """Train as ``panglot.train`` does, and read the clock whenever a step is logged."""
    from panglot.training import loop
    from panglot.training.record import Log
    from panglot.training.settings import Settings

    clock = Loop([], [])

    class Clocked(Log):
        def __enter__(self) -> Self:
            clock.stamps.append(time.monotonic())
            clock.pairs.append(0)
            return self

        def write(self, step: int, values: Any, progress: float) -> None:
            super().write(step, values, progress)
            clock.stamps.append(time.monotonic())
            clock.pairs.append(values["pairs"])

    loop.Log = Clocked
    loop.fit(Settings.from_dict(settings), progress=False)
    return clock


def train_sentence_transformers(side: Side, settings: dict[str, Any]) -> Loop:
    """Train as the script of a user does, on the rows of panglot's plan."""
    import torch
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer import losses
    from transformers import TrainerCallback

    from datasets import Dataset

    rows = planned_texts(settings)
    model: Any = sentence_transformer("bundled")
    full_length, model.max_seq_length = model.max_seq_length, settings["max_length"]
    if side.frozen:
        model[0].auto_model.get_input_embeddings().weight.requires_grad_(False)
    clock = Loop([], [])

    class Clock(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            clock.stamps.append(time.monotonic())
            clock.pairs.append(0)

        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.stamps.append(time.monotonic())
            clock.pairs.append(min(clock.pairs[-1] + side.batch_size, len(rows["anchor"])))

    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=settings["output"] + "-trainer",
            num_train_epochs=1,
            bf16=side.bf16,
            use_cpu=not torch.cuda.is_available(),  # Without it, bf16 is refused where there is no GPU.
            per_device_train_batch_size=side.batch_size,
            prompts={"anchor": "query: ", "positive": "passage: "},
            seed=settings["seed"],
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict(rows),
        loss=losses.CachedMultipleNegativesRankingLoss(model, mini_batch_size=32)
        if side.cached
        else losses.MultipleNegativesRankingLoss(model),
        callbacks=[Clock()],
    )
    trainer.train()
    model.max_seq_length = full_length  # as in panglot, so that the evaluation cuts texts of all models alike
    model.save_pretrained(settings["output"], create_model_card=False)
    return clock


def planned_texts(settings: dict[str, Any]) -> dict[str, list[str]]:
    """Return the texts of panglot's plan, batch by batch."""
    from panglot.batching.plan import Plan
    from panglot.training.data import load
    from panglot.training.settings import Settings

    chosen = Settings.from_dict(settings)
    data = load(chosen)
    plan = Plan(data.sources, chosen.policy)
    rows: dict[str, list[str]] = {"anchor": [], "positive": []}
    step = 0
    while len(rows["anchor"]) < chosen.pairs:
        batch = plan(step)
        collection = data.collections[batch.source]
        rows["anchor"] += collection.questions["text"].take(batch.questions).to_pylist()
        rows["positive"] += collection.passages["text"].take(batch.passages).to_pylist()
        step += 1
    return rows


def evaluate(model: str) -> dict[str, float]:
    """Return mAP in the three settings and the rank distance on the held-out part of MLQA dev."""
    from panglot.datasets.registry import read
    from panglot.encoders.load import load
    from panglot.evaluation.figures import headline
    from panglot.evaluation.inputs import encode
    from panglot.evaluation.measures import parse

    collection = read(HELD)
    figures = headline(*encode(load(model), collection), collection, (parse("mAP"),))
    return {name: figures[name] for name in FIGURES if name in figures}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Train one side once in this process, and return the figures."""
    begin = time.monotonic()
    if options.side == "start":
        return {"figures": evaluate("bundled")}
    side = sized(SIDES[options.side], options.batch_size)
    with tempfile.TemporaryDirectory(dir=ROOT / "runs") as folder:
        settings = recipe(side, options.pairs, options.seed, options.max_length, Path(folder) / "model")
        clock = train_panglot(settings) if side.by == "panglot" else train_sentence_transformers(side, settings)
        found: dict[str, Any] = {**clock.figures(), "seconds": time.monotonic() - begin, "peak_mib": peak_mib()}
        found |= {"tokens_per_pair": tokens_per_pair(settings), "batch_size": side.batch_size}
        if options.evaluate:
            found["figures"] = evaluate(settings["output"])
    return found


def sized(side: Side, batch_size: int | None) -> Side:
    """Return a side with another batch size, if one is given and the side is not about large batches."""
    return replace(side, batch_size=batch_size) if batch_size and not side.cached else side


def tokens_per_pair(settings: dict[str, Any]) -> float:
    """Return the mean number of tokens of a pair, without padding, as they are cut in training."""
    tokenizer: Any = sentence_transformer("bundled").tokenizer
    texts = planned_texts({**settings, "pairs": min(settings["pairs"], 512)})
    counts = [
        min(len(ids), settings["max_length"])
        for prompt, side in (("query: ", "anchor"), ("passage: ", "positive"))
        for ids in tokenizer([prompt + text for text in texts[side]])["input_ids"]
    ]
    return sum(counts) / len(texts["anchor"])


def summary(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return for each side the medians over repeats, and the medians of its ratios to the first side of each repeat."""
    base = next(iter(runs.values()))
    found: dict[str, Any] = {}
    for name, own in runs.items():
        part: dict[str, Any] = {"title": SIDES[name].title, "batch_size": own[0]["batch_size"]}
        part["tokens_per_second"] = statistics.median(run["pairs_per_second"] * run["tokens_per_pair"] for run in own)
        for key in ("pairs_per_second", "loop_seconds", "seconds", "peak_mib"):
            part[key] = statistics.median(run[key] for run in own)
            ratios = [run[key] / other[key] for run, other in zip(own, base, strict=False)]
            part[f"{key}_ratio"] = statistics.median(ratios)
        held = [run["figures"] for run in own if "figures" in run]
        if held:
            part["figures"] = {key: statistics.fmean(figures[key] for figures in held) for key in held[0]}
        found[name] = part
    return found


def format_sides(sides: dict[str, Any], start: dict[str, float] | None) -> str:
    """Return the table of sides, with accuracy if the start was evaluated."""
    head = ["side", "batch", "pairs/s", "× first", "peak MiB", "× first", "total seconds"]
    head += ["mono", "cross", "multi", "distance"] if start else []
    rows: list[list[str]] = []
    for part in sides.values():
        row = [part["title"], str(part["batch_size"]), f"{part['pairs_per_second']:.1f}"]
        row += [f"{part['pairs_per_second_ratio']:.2f}", f"{part['peak_mib']:,.0f}"]
        row += [f"{part['peak_mib_ratio']:.2f}", f"{part['seconds']:.0f}"]
        rows.append(row + ([_figure(part.get("figures", {}), name) for name in FIGURES] if start else []))
    if start:
        rows.append(["untouched start", *[""] * 6, *(_figure(start, name) for name in FIGURES)])
    return table(head, rows)


def _figure(figures: dict[str, float], name: str) -> str:
    value = figures.get(name)
    return "" if value is None else f"{value:.4f}" if name.endswith("mAP") else f"{value:.0f}"


def main() -> None:
    """Run the sides in turn, then compare them."""
    options = parse_arguments()
    if options.side:
        answer(options.answer, run(options))
        return
    mlqa_dev.split_once(options.data_dir, ROOT / "runs" / "data")
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in SIDES if name in options.sides}
    start = child(options.threads, side="start")["figures"] if options.evaluate else None
    for repeat in range(options.repeats):
        for name in in_turn(runs, repeat):
            figures = child(
                options.threads, side=name, seed=repeat, pairs=options.pairs, max_length=options.max_length,
                evaluate=repeat < options.evaluate, batch_size=options.batch_size,
            )  # fmt: skip
            runs[name].append(figures)
            print(f"{repeat + 1}/{options.repeats} {name}: {figures['pairs_per_second']:.2f} pairs/s", flush=True)
        # Every repeat is written at once, so that an interrupted benchmark keeps its figures.
        record(
            options.json,
            options.threads,
            pairs=options.pairs,
            max_length=options.max_length,
            repeats=repeat + 1,
            start=start,
            sides=summary(runs),
            runs=runs,
        )
    print("\n" + format_sides(summary(runs), start))


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__, data_dir=True, threads=True, results="training_speed.json")
    parser.add_argument("--pairs", type=int, default=4096, help="training pairs per run, in whole batches")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side")
    parser.add_argument("--batch-size", type=int, help="pairs per step of the sides that are not about large batches")
    parser.add_argument("--max-length", type=int, default=256, help="tokens per text")
    parser.add_argument(
        "--evaluate", type=int, nargs="?", const=10**6, default=0, metavar="N",
        help="evaluate the models of the first N repeats (without a number: of all) on the held-out part of MLQA dev",
    )  # fmt: skip
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), metavar="SIDE", help=", ".join(SIDES))
    add_hidden(parser, side=str, seed=int)
    return parser.parse_args()


if __name__ == "__main__":
    main()
