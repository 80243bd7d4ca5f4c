"""Training speed beside sentence-transformers' own trainer: same start weights, rows, batch size and lengths.

    python benchmarks/training_speed.py --repeats 3 --evaluate 1

Every run is a process of its own; the sides take turns, so that a machine that slows down slows all of them. The rows
are those of panglot's hybrid plan over MLQA dev answer sentences (question and passage in one language or in two);
sentence-transformers shuffles them, as it does by default. Speed is wall time of the training loop without its first
96 pairs (in whole steps), on the same clock. Loading, tokenizing in advance and saving count only in the seconds of the
whole.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from _common import DATA, RESULTS, ROOT, answer, child, peak_mib, record, table

TRAIN, HELD = "runs/data/mlqa-train", "runs/data/mlqa-held"
#: Pairs that do not count towards speed: three steps of a batch of 32, one of 512.
WARM_UP = 96


@dataclass(frozen=True)
class Side:
    """One way to train."""

    title: str
    by: Literal["sentence-transformers", "panglot", "nobody"]
    batch_size: int = 32
    frozen: bool = False
    cached: bool = False


SIDES = {
    "st": Side("(a) sentence-transformers, MultipleNegativesRankingLoss, defaults", "sentence-transformers"),
    "st-frozen": Side("(b) as (a), word embeddings frozen", "sentence-transformers", frozen=True),
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
    """When each step ended, and how many pairs had been seen by then; the first entry is the loop's begin."""

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
    """Return panglot's settings: its defaults but for what must be equal, and for GradCache where that is measured."""
    # Of so few steps the learning rate decides what they bring, so it is that of sentence-transformers.
    forced = {"cache_tokens": 2048, "learning_rate": 5e-5, "warmup_ratio": 0.0} if side.cached else {}
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
    """Train as ``panglot.train`` does, with a clock at the log."""
    from panglot.training import loop
    from panglot.training.log import Log
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
    """Train as a user's script does, on the rows that panglot would see."""
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer import losses
    from transformers import TrainerCallback

    from datasets import Dataset
    from panglot.encoders.bundled import bundled_folder

    rows = planned_texts(settings)
    model: Any = SentenceTransformer(str(bundled_folder()))
    whole, model.max_seq_length = model.max_seq_length, settings["max_length"]
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
    model.max_seq_length = whole  # as panglot leaves it: measuring cuts all models' texts alike
    model.save_pretrained(settings["output"], create_model_card=False)
    return clock


def planned_texts(settings: dict[str, Any]) -> dict[str, list[str]]:
    """Return the texts of panglot's plan, batch after batch."""
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


def measured(model: str) -> dict[str, float]:
    """Return mAP in the three settings, and the rank distance, on the held part of MLQA dev."""
    from panglot.datasets.registry import read
    from panglot.encoders.load import load
    from panglot.evaluation.evaluate import encode
    from panglot.evaluation.figures import headline
    from panglot.evaluation.measures import parse

    collection = read(HELD)
    figures = headline(*encode(load(model), collection), collection, (parse("mAP"),))
    wanted = ("monolingual.mAP", "crosslingual.mAP", "multilingual.mAP", "multilingual.rank_distance")
    return {name: figures[name] for name in wanted if name in figures}


def one(options: argparse.Namespace) -> None:
    """Train one side once, in this process."""
    begin = time.monotonic()
    if options.side == "start":
        answer(options.answer, {"figures": measured("bundled")})
        return
    side = SIDES[options.side]
    with tempfile.TemporaryDirectory(dir=ROOT / "runs") as folder:
        settings = recipe(side, options.pairs, options.seed, options.max_length, Path(folder) / "model")
        clock = train_panglot(settings) if side.by == "panglot" else train_sentence_transformers(side, settings)
        found: dict[str, Any] = {
            **clock.figures(),
            "seconds": time.monotonic() - begin,
            "peak_mib": peak_mib(),
        }
        if options.evaluate:
            found["figures"] = measured(settings["output"])
    answer(options.answer, found)


def summary(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return, for each side, medians over repeats, and medians of the ratios to the first side within a repeat."""
    base = next(iter(runs.values()))
    found: dict[str, Any] = {}
    for name, mine in runs.items():
        part: dict[str, Any] = {"title": SIDES[name].title, "batch_size": SIDES[name].batch_size}
        for key in ("pairs_per_second", "loop_seconds", "seconds", "peak_mib"):
            part[key] = statistics.median(run[key] for run in mine)
            ratios = [run[key] / other[key] for run, other in zip(mine, base, strict=False)]
            part[f"{key}_ratio"] = statistics.median(ratios)
        held = [run["figures"] for run in mine if "figures" in run]
        if held:
            part["figures"] = {key: statistics.fmean(figures[key] for figures in held) for key in held[0]}
        found[name] = part
    return found


def shown(sides: dict[str, Any], start: dict[str, float] | None) -> str:
    """Return the table for people."""
    head = ["side", "batch", "pairs/s", "× first", "peak MiB", "× first", "seconds in all"]
    named = ["monolingual.mAP", "crosslingual.mAP", "multilingual.mAP", "multilingual.rank_distance"]
    head += ["mono", "cross", "multi", "distance"] if start else []
    rows: list[list[str]] = []
    for part in sides.values():
        row = [part["title"], str(part["batch_size"]), f"{part['pairs_per_second']:.1f}"]
        row += [f"{part['pairs_per_second_ratio']:.2f}", f"{part['peak_mib']:,.0f}"]
        row += [f"{part['peak_mib_ratio']:.2f}", f"{part['seconds']:.0f}"]
        rows.append(row + ([_figure(part.get("figures", {}), name) for name in named] if start else []))
    if start:
        rows.append(["untouched start", *[""] * 6, *(_figure(start, name) for name in named)])
    return table(head, rows)


def _figure(figures: dict[str, float], name: str) -> str:
    value = figures.get(name)
    return "" if value is None else f"{value:.4f}" if name.endswith("mAP") else f"{value:.0f}"


def main() -> None:
    """Let the sides take turns, then compare them."""
    options = parser().parse_args()
    if options.side:
        one(options)
        return
    if not (ROOT / HELD / "collection.json").exists():
        import mlqa_dev

        mlqa_dev.main(options.data_dir, ROOT / "runs" / "data")
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in SIDES if name in options.sides}
    start = child("training_speed.py", ["--side", "start"], options.threads)["figures"] if options.evaluate else None
    for repeat in range(options.repeats):
        # Forwards, then backwards: no side is always the first or the last.
        for name in list(runs)[:: -1 if repeat % 2 else 1]:
            given = {"--side": name, "--seed": repeat, "--pairs": options.pairs, "--max-length": options.max_length}
            arguments = [str(part) for pair in given.items() for part in pair]
            arguments += ["--evaluate"] if repeat < options.evaluate else []
            run = child("training_speed.py", arguments, options.threads)
            runs[name].append(run)
            print(f"{repeat + 1}/{options.repeats} {name}: {run['pairs_per_second']:.2f} pairs/s", flush=True)
        # After every repeat: a benchmark that is stopped keeps what it has.
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
    print("\n" + shown(summary(runs), start))


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--pairs", type=int, default=4096, help="pairs that each side trains on, in whole batches")
    found.add_argument("--repeats", type=int, default=3, help="how often each side trains")
    found.add_argument("--threads", type=int, help="threads of each side; by default as many as it likes")
    found.add_argument("--data-dir", type=Path, default=DATA, help="the folder of data sets")
    found.add_argument("--max-length", type=int, default=256, help="tokens of a text")
    found.add_argument(
        "--evaluate", type=int, nargs="?", const=10**6, default=0, metavar="N",
        help="measure the models of the first N repeats (of all, without a number) on MLQA dev's held part",
    )  # fmt: skip
    found.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), metavar="SIDE")
    found.add_argument("--json", type=Path, default=RESULTS / "training_speed.json")
    for hidden, kind in (("--side", str), ("--seed", int), ("--answer", Path)):
        found.add_argument(hidden, type=kind, help=argparse.SUPPRESS)
    return found


if __name__ == "__main__":
    main()
