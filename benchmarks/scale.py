"""Rows beyond memory: made, prepared, filtered, sampled, opened, planned and drawn, beside the ``datasets`` library.

    python benchmarks/scale.py                       # 10 million rows
    python benchmarks/scale.py --rows 200000
    python benchmarks/scale.py --sides datasets      # one side alone, perhaps at the same time in another shell

Every stage of every side is a process of its own, whose seconds, processor seconds and peak memory count; what a stage
wrote is there for the next one. A stage that is done is not run again: the same command goes on after any stop. The
sides do not do the same in `prepare`: panglot also joins groups, finds equal passages and writes judgements. The last
two stages are panglot's alone: a training also compares its rows with all test sets at hand.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from _common import DATA, RESULTS, answer, child, peak_mib, record, table
from _made_rows import make
from panglot._files import write_json

BATCH = 64
KEPT = ("de", "hi")
SIDES = ("panglot", "datasets")
STAGES = (
    "prepare", "filter", "sample", "first batch", "first batch again", "1,000 batches",
    "start of a training", "its next start",
)  # fmt: skip
Stage = Callable[[Path, int], dict[str, Any]]


def panglot_prepare(folder: Path, rows: int) -> dict[str, Any]:
    from panglot.data.ingest import ingest

    found = ingest(folder / "rows.jsonl", folder / "panglot" / "whole").collection
    return {"rows": rows, "kept": found.passages.num_rows, "bytes": _size(folder / "panglot" / "whole")}


def panglot_filter(folder: Path, rows: int) -> dict[str, Any]:
    from panglot.data.collection import Collection

    whole = Collection.open(folder / "panglot" / "whole")
    found = whole.select(KEPT, folder / "panglot" / "filtered")
    return {"rows": rows, "kept": found.passages.num_rows}


def panglot_sample(folder: Path, rows: int) -> dict[str, Any]:
    from panglot.data.collection import Collection
    from panglot.data.transform import draw_groups

    whole = Collection.open(folder / "panglot" / "whole")
    questions, passages = draw_groups(whole, max(1, rows // 100), seed=0)
    found = whole.keep(questions, passages, folder / "panglot" / "sampled")
    return {"rows": rows, "kept": found.passages.num_rows}


def panglot_first(folder: Path, rows: int) -> dict[str, Any]:
    begin = time.perf_counter()
    batch = next(_panglot_batches(folder))
    return {"first_batch_seconds": time.perf_counter() - begin, "pairs": len(batch[0]), "rows": rows}


def panglot_batches(folder: Path, rows: int) -> dict[str, Any]:
    del rows
    return _drawn(_panglot_batches(folder))


def panglot_start(folder: Path, rows: int) -> dict[str, Any]:
    """Do what a training does before its first step: leave out what test sets share, find rows, plan, draw."""
    from panglot.batching import Plan, Policy
    from panglot.training.data import load
    from panglot.training.settings import Settings

    # Its own cache: the first time must find all that the stages before may have left in the user's.
    os.environ["PANGLOT_CACHE"] = str(folder / "training")
    begin = time.perf_counter()
    data = load(Settings(on=(str(folder / "panglot" / "whole"),), output=folder / "run", data_dir=DATA))
    identity = data.digests
    batch = Plan(data.sources, Policy("hybrid-row", batch_size=BATCH))(0)
    seconds = time.perf_counter() - begin
    compared = len(data.compared)
    return {
        "rows": rows,
        "first_batch_seconds": seconds,
        "pairs": len(batch.rows),
        "test_sets": compared,
        "digests": identity,
    }


def _panglot_batches(folder: Path) -> Iterator[tuple[list[str], list[str]]]:
    from panglot.batching import Policy, Steps
    from panglot.data.collection import Collection

    steps = Steps([Collection.open(folder / "panglot" / "whole")], Policy("hybrid-row", batch_size=BATCH), 1_000_000)
    for k in range(len(steps)):
        step = steps[k]
        yield step.questions, step.passages


def datasets_prepare(folder: Path, rows: int) -> dict[str, Any]:
    found = _loaded(folder)
    return {"rows": rows, "kept": len(found), "bytes": _size(folder / "datasets")}


def datasets_filter(folder: Path, rows: int) -> dict[str, Any]:
    found = _loaded(folder).filter(
        lambda codes: [code in KEPT for code in codes], input_columns="language", batched=True
    )
    return {"rows": rows, "kept": len(found)}


def datasets_sample(folder: Path, rows: int) -> dict[str, Any]:
    found = _loaded(folder).shuffle(seed=0).select(range(max(1, rows // 100)))
    found.save_to_disk(str(folder / "datasets" / "sampled"))
    return {"rows": rows, "kept": len(found)}


def datasets_first(folder: Path, rows: int) -> dict[str, Any]:
    begin = time.perf_counter()
    batch = next(_datasets_batches(folder, seed=1))
    return {"first_batch_seconds": time.perf_counter() - begin, "pairs": len(batch[0]), "rows": rows}


def datasets_batches(folder: Path, rows: int) -> dict[str, Any]:
    del rows
    return _drawn(_datasets_batches(folder, seed=1))


def _datasets_batches(folder: Path, seed: int) -> Iterator[tuple[list[str], list[str]]]:
    for batch in _loaded(folder).shuffle(seed=seed).iter(BATCH):
        yield batch["question"], batch["passage"]


def _loaded(folder: Path) -> Any:
    from datasets import load_dataset

    held = str(folder / "datasets")
    return load_dataset("json", data_files=str(folder / "rows.jsonl"), split="train", cache_dir=held)


def _drawn(batches: Iterator[tuple[list[str], list[str]]]) -> dict[str, Any]:
    begin = time.perf_counter()
    pairs = len(next(batches)[0])
    first = time.perf_counter()
    for _ in range(999):
        pairs += len(next(batches)[0])
    return {"first_batch_seconds": first - begin, "rows": pairs, "drawing_seconds": time.perf_counter() - first}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


RUN: dict[tuple[str, str], Stage] = {
    ("panglot", "prepare"): panglot_prepare,
    ("panglot", "filter"): panglot_filter,
    ("panglot", "sample"): panglot_sample,
    ("panglot", "first batch"): panglot_first,
    ("panglot", "first batch again"): panglot_first,
    ("panglot", "1,000 batches"): panglot_batches,
    ("panglot", "start of a training"): panglot_start,
    ("panglot", "its next start"): panglot_start,
    ("datasets", "prepare"): datasets_prepare,
    ("datasets", "filter"): datasets_filter,
    ("datasets", "sample"): datasets_sample,
    ("datasets", "first batch"): datasets_first,
    ("datasets", "first batch again"): datasets_first,
    ("datasets", "1,000 batches"): datasets_batches,
}


def one(side: str, stage: str, folder: Path, rows: int) -> dict[str, Any]:
    """Run a stage in this process, and return what it took."""
    begin, worked = time.perf_counter(), time.process_time()
    found = RUN[side, stage](folder, rows)
    spent = {"seconds": time.perf_counter() - begin, "processor_seconds": time.process_time() - worked}
    return {**found, **spent, "peak_mib": peak_mib()}


def shown(found: dict[tuple[str, str], dict[str, Any]]) -> str:
    """Return the table."""
    rows: list[list[str]] = []
    for stage in STAGES:
        cells = [stage]
        for side in SIDES:
            each = found.get((side, stage))
            cells += ["–"] * 4 if each is None else [
                f"{each['seconds']:,.1f}", f"{each['processor_seconds']:,.1f}",
                f"{each['rows'] / each['processor_seconds']:,.0f}", f"{each['peak_mib']:,.0f}",
            ]  # fmt: skip
        rows.append(cells)
    head = ["s", "processor s", "rows / processor s", "peak MiB"]
    return table(["stage", *(f"{side}: {name}" for side in SIDES for name in head)], rows)


def main() -> None:
    """Make the rows, run what is not done, and write all that is there."""
    options = parser().parse_args()
    folder: Path = options.folder
    if options.stage:
        answer(options.answer, one(options.sides[0], options.stage, folder, options.rows))
        return
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "rows.jsonl").exists():
        make(folder / "rows.jsonl", options.rows)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for side in options.sides:
        for stage in (stage for stage in STAGES if (side, stage) in RUN):
            place = folder / "figures" / f"{side}, {stage}.json"
            if not place.exists():
                arguments = ["--rows", str(options.rows), "--folder", str(folder), "--sides", side, "--stage", stage]
                write_json(place, child("scale.py", arguments, options.threads))
    import json

    for side, stage in RUN:
        place = folder / "figures" / f"{side}, {stage}.json"
        if place.exists():
            found[side, stage] = json.loads(place.read_text("utf-8"))
    stages = {stage: {side: found[side, stage] for side in SIDES if (side, stage) in found} for stage in STAGES}
    size = (folder / "rows.jsonl").stat().st_size
    record(options.json, options.threads, rows=options.rows, bytes=size, batch_size=BATCH, stages=stages)
    print(shown(found))
    if not options.keep:
        shutil.rmtree(folder)


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--rows", type=int, default=10_000_000)
    found.add_argument("--folder", type=Path, default=Path("runs/scale"), help="where rows and stages lie meanwhile")
    found.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    found.add_argument("--threads", type=int, default=1)
    found.add_argument("--keep", action="store_true", help="leave the folder, some 15 GB for 10 million rows")
    found.add_argument("--json", type=Path, default=RESULTS / "scale.json")
    found.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    found.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    return found


if __name__ == "__main__":
    main()
