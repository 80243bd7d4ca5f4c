"""Measure panglot and the ``datasets`` library on more rows than fit in memory.

    python benchmarks/scale.py                       # 10 million rows
    python benchmarks/scale.py --rows 200000
    python benchmarks/scale.py --sides datasets      # one side, perhaps at the same time in another shell

Both sides prepare, filter and sample generated rows, open them, plan and draw batches. Each stage has its own process,
for which seconds, processor seconds and peak memory are recorded, and leaves its files for the next stage. After an
interruption, the same command continues with the first unfinished stage. The sides differ in `prepare`: panglot also
joins groups, finds equal passages and writes relevance judgements. Only panglot has the last two stages, in which a
training also compares its rows with all available test sets.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from _common import DATA, add_hidden, answer, child, folder_bytes, make_parser, peak_mib, record, table
from _made_rows import make
from panglot._files import write_json

BATCH = 64
LANGUAGES = ("de", "hi")
SIDES = ("panglot", "datasets")
STAGES = (
    "prepare", "filter", "sample", "first batch", "first batch again", "1,000 batches",
    "start of a training", "its next start",
)  # fmt: skip
Batches = Iterator[tuple[list[str], list[str]]]


def panglot_prepare(folder: Path, rows: int) -> dict[str, Any]:
    from panglot.data.ingest import ingest

    collection = ingest(folder / "rows.jsonl", folder / "panglot" / "whole").collection
    return {"rows": rows, "kept": collection.passages.num_rows, "bytes": folder_bytes(folder / "panglot" / "whole")}


def panglot_filter(folder: Path, rows: int) -> dict[str, Any]:
    from panglot.data.collection import Collection

    whole = Collection.open(folder / "panglot" / "whole")
    return {"rows": rows, "kept": whole.select(LANGUAGES, folder / "panglot" / "filtered").passages.num_rows}


def panglot_sample(folder: Path, rows: int) -> dict[str, Any]:
    from panglot.data.collection import Collection
    from panglot.data.transform import draw_groups

    whole = Collection.open(folder / "panglot" / "whole")
    questions, passages = draw_groups(whole, max(1, rows // 100), seed=0)
    return {"rows": rows, "kept": whole.keep(questions, passages, folder / "panglot" / "sampled").passages.num_rows}


def panglot_start(folder: Path, rows: int) -> dict[str, Any]:
    """Do what a training does before its first step: remove overlap with test sets, find rows, plan, draw a batch."""
    from panglot.batching import Plan, Policy
    from panglot.training.data import load
    from panglot.training.settings import Settings

    # The first start must find nothing in the cache, which earlier stages may have filled.
    os.environ["PANGLOT_CACHE"] = str(folder / "training")
    begin = time.perf_counter()
    data = load(Settings(on=(str(folder / "panglot" / "whole"),), output=folder / "run", data_dir=DATA))
    digests = data.digests
    batch = Plan(data.sources, Policy("hybrid-row", batch_size=BATCH))(0)
    return {
        "rows": rows,
        "first_batch_seconds": time.perf_counter() - begin,
        "pairs": len(batch.rows),
        "test_sets": len(data.compared),
        "digests": digests,
    }


def panglot_batches(folder: Path) -> Batches:
    from panglot.batching import Policy, Steps
    from panglot.data.collection import Collection

    steps = Steps([Collection.open(folder / "panglot" / "whole")], Policy("hybrid-row", batch_size=BATCH), 1_000_000)
    for k in range(len(steps)):
        step = steps[k]
        yield step.questions, step.passages


def datasets_prepare(folder: Path, rows: int) -> dict[str, Any]:
    return {"rows": rows, "kept": len(_dataset(folder)), "bytes": folder_bytes(folder / "datasets")}


def datasets_filter(folder: Path, rows: int) -> dict[str, Any]:
    kept = _dataset(folder).filter(
        lambda codes: [code in LANGUAGES for code in codes], input_columns="language", batched=True
    )
    return {"rows": rows, "kept": len(kept)}


def datasets_sample(folder: Path, rows: int) -> dict[str, Any]:
    sample = _dataset(folder).shuffle(seed=0).select(range(max(1, rows // 100)))
    sample.save_to_disk(str(folder / "datasets" / "sampled"))
    return {"rows": rows, "kept": len(sample)}


def datasets_batches(folder: Path) -> Batches:
    for batch in _dataset(folder).shuffle(seed=1).iter(BATCH):
        yield batch["question"], batch["passage"]


def _dataset(folder: Path) -> Any:
    from datasets import load_dataset

    cache = str(folder / "datasets")
    return load_dataset("json", data_files=str(folder / "rows.jsonl"), split="train", cache_dir=cache)


BATCHES: dict[str, Callable[[Path], Batches]] = {"panglot": panglot_batches, "datasets": datasets_batches}


def first_batch(side: str, folder: Path, rows: int) -> dict[str, Any]:
    """Open the rows and draw a batch."""
    begin = time.perf_counter()
    questions, _ = next(BATCHES[side](folder))
    return {"first_batch_seconds": time.perf_counter() - begin, "pairs": len(questions), "rows": rows}


def many_batches(side: str, folder: Path) -> dict[str, Any]:
    """Draw 1,000 batches; the first one is timed separately."""
    batches = BATCHES[side](folder)
    begin = time.perf_counter()
    pairs = len(next(batches)[0])
    first = time.perf_counter()
    for _ in range(999):
        pairs += len(next(batches)[0])
    return {"first_batch_seconds": first - begin, "rows": pairs, "drawing_seconds": time.perf_counter() - first}


RUN: dict[tuple[str, str], Callable[[Path, int], dict[str, Any]]] = {
    ("panglot", "prepare"): panglot_prepare,
    ("panglot", "filter"): panglot_filter,
    ("panglot", "sample"): panglot_sample,
    ("panglot", "start of a training"): panglot_start,
    ("panglot", "its next start"): panglot_start,
    ("datasets", "prepare"): datasets_prepare,
    ("datasets", "filter"): datasets_filter,
    ("datasets", "sample"): datasets_sample,
}
"""Stages that differ by side. Both sides draw batches in the same way."""


def stages(side: str) -> list[str]:
    """Return the stages of a side, in order."""
    return [stage for stage in STAGES if "batch" in stage or (side, stage) in RUN]


def run_stage(side: str, stage: str, folder: Path, rows: int) -> dict[str, Any]:
    """Run a stage in this process, and return its figures with time and memory."""
    begin, worked = time.perf_counter(), time.process_time()
    if stage == "1,000 batches":
        figures = many_batches(side, folder)
    elif "batch" in stage:
        figures = first_batch(side, folder, rows)
    else:
        figures = RUN[side, stage](folder, rows)
    time_used = {"seconds": time.perf_counter() - begin, "processor_seconds": time.process_time() - worked}
    return {**figures, **time_used, "peak_mib": peak_mib()}


def format_stages(figures: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Return the table of all stages and sides."""
    rows: list[list[str]] = []
    for stage in STAGES:
        cells = [stage]
        for side in SIDES:
            each = figures[stage].get(side)
            cells += ["–"] * 4 if each is None else [
                f"{each['seconds']:,.1f}", f"{each['processor_seconds']:,.1f}",
                f"{each['rows'] / each['processor_seconds']:,.0f}", f"{each['peak_mib']:,.0f}",
            ]  # fmt: skip
        rows.append(cells)
    head = ["s", "processor s", "rows / processor s", "peak MiB"]
    return table(["stage", *(f"{side}: {name}" for side in SIDES for name in head)], rows)


def main() -> None:
    """Generate the rows, run the unfinished stages, then print and write the figures of all finished ones."""
    options = parse_arguments()
    folder: Path = options.folder
    if options.stage:
        answer(options.answer, run_stage(options.sides[0], options.stage, folder, options.rows))
        return
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "rows.jsonl").exists():
        make(folder / "rows.jsonl", options.rows)
    paths = {(side, stage): folder / "figures" / f"{side}, {stage}.json" for side in SIDES for stage in stages(side)}
    for (side, stage), path in paths.items():
        if side in options.sides and not path.exists():
            write_json(path, child(options.threads, rows=options.rows, folder=folder, sides=side, stage=stage))
    figures: dict[str, dict[str, dict[str, Any]]] = {stage: {} for stage in STAGES}
    for (side, stage), path in paths.items():
        if path.exists():
            figures[stage][side] = json.loads(path.read_text("utf-8"))
    size = (folder / "rows.jsonl").stat().st_size
    record(options.json, options.threads, rows=options.rows, bytes=size, batch_size=BATCH, stages=figures)
    print(format_stages(figures))
    if not options.keep:
        shutil.rmtree(folder)


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__, threads=True, results="scale.json")
    parser.set_defaults(threads=1)
    parser.add_argument("--rows", type=int, default=10_000_000, help="number of rows to generate")
    parser.add_argument("--folder", type=Path, default=Path("runs/scale"), help="folder for the rows and the stages")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), help="libraries to measure")
    parser.add_argument("--keep", action="store_true", help="keep the folder, about 15 GB for 10 million rows")
    add_hidden(parser, stage=str)
    return parser.parse_args()


if __name__ == "__main__":
    main()
