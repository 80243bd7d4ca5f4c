"""Encoding a corpus for search beside ``SentenceTransformer.encode``: speed, what it costs in mAP, peak memory.

    python benchmarks/search_encoding.py --texts 2000 --repeats 3      # speed
    python benchmarks/search_encoding.py --texts 54377 --repeats 1 --sides panglot    # the whole help corpus
    python benchmarks/search_encoding.py --texts 0 --quality           # mAP on XQuAD-R of each side's vectors
    python benchmarks/search_encoding.py --texts 0 --made 1000000      # peak memory of reading and encoding made rows

The texts are passages of the LibreOffice help in 32 languages, drawn at random and encoded with their titles. Each side
and repeat is a process of its own, and the sides take turns; loading the model, and eight texts to warm up, are not
timed. Sentence-transformers has its default settings (float32, batch 32), the same weights and prompts. Panglot reads
a file of JSON lines, encodes with its defaults, writes shards and reads their documents back; with several processes
their start is timed too; ``openvino`` is panglot with that backend. The made rows are the same passages under new ids,
and their vectors come from a stand-in that gives random unit vectors of 384 numbers at once.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from _common import DATA, RESULTS, answer, child, peak_mib, record, table

if TYPE_CHECKING:
    from panglot.encoders.protocol import Encoder, Side, Vectors

BASE, HERE, THERE = "sentence-transformers", "panglot", "openvino"
DIMENSION = 384
WARM = ["How to print?"] * 8


class Theirs:
    """Sentence-transformers with its default settings, as one of panglot's encoders."""

    def __init__(self, model: str) -> None:
        from sentence_transformers import SentenceTransformer

        from panglot.encoders.bundled import bundled_folder

        self.name = self.fingerprint = BASE
        self.model = SentenceTransformer(str(bundled_folder()) if model == "bundled" else model)

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        """Return what ``encode_query`` or ``encode_document`` returns."""
        del ids
        encode: Any = self.model.encode_query if side == "question" else self.model.encode_document
        return encode(list(texts), show_progress_bar=False)


class StandIn:
    """Random unit vectors, at once."""

    name = fingerprint = "stand-in"

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        """Return one unit-length row per text."""
        del side, ids
        vectors = np.random.default_rng(len(texts[0])).normal(size=(len(texts), DIMENSION)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def rows(data_dir: Path, seed: int = 0) -> list[dict[str, str]]:
    """Return the passages of the help corpus in a random order."""
    import pyarrow.parquet as pq

    path = data_dir / "libreoffice-help" / "libreoffice-help.parquet"
    read = pq.read_table(path, columns=["title", "text", "lang", "group"]).to_pylist()
    order = np.random.default_rng(seed).permutation(len(read)).tolist()
    return [{**read[row], "id": f"{read[row]['lang']}:{read[row]['group']}"} for row in order]


def write(path: Path, documents: Iterator[dict[str, str]]) -> None:
    """Write documents as JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        for row in documents:
            named = {"language" if name == "lang" else name: value for name, value in row.items()}
            file.write(json.dumps(named, ensure_ascii=False) + "\n")


def one(options: argparse.Namespace) -> None:
    """Let one side encode the file, in this process."""
    path, side = options.folder / "documents.jsonl", options.side
    if side == "write":
        # Not in the parent: what it has held would count as held by its children.
        drawn = rows(options.data_dir)
        many = enumerate(islice(cycle(drawn), options.made))
        made_rows = ({**row, "id": str(number)} for number, row in many)
        write(path, made_rows if options.made else islice(iter(drawn), options.texts))
        answer(options.answer, {})
        return
    work = _their_work(path, options.model) if side == BASE else _our_work(path, side, options)
    before, begin = peak_mib(), time.perf_counter()
    count = work()
    seconds = time.perf_counter() - begin
    answer(options.answer, {"seconds": seconds, "texts": count, "peak_mib": peak_mib(), "peak_mib_before": before})


def _their_work(path: Path, model: str) -> Callable[[], int]:
    read = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    texts = [f"{row['title']}\n{row['text']}" for row in read]
    theirs = Theirs(model)
    theirs.encode(WARM, "passage")
    return lambda: len(theirs.encode(texts, "passage"))


def _our_work(path: Path, side: str, options: argparse.Namespace) -> Callable[[], int]:
    from panglot.search.ingest.documents import read_documents
    from panglot.search.ingest.encode import encode_documents

    encoder = StandIn() if side == "stand-in" else _encoder(side, options.model)
    if not side.startswith("processes"):
        encoder.encode(WARM, "passage")

    def work() -> int:
        with tempfile.TemporaryDirectory(dir=options.folder) as shards:
            on = side if side.startswith("processes") else ""
            return sum(len(part) for part, _ in encode_documents(read_documents(path), encoder, shards, on=on))

    return work


def _encoder(side: str, model: str) -> Encoder:
    from panglot.encoders.load import load

    return Theirs(model) if side == BASE else load(model, backend="openvino" if side == THERE else "torch")


def speed(options: argparse.Namespace) -> dict[str, Any]:
    """Let the sides take turns, and return their figures."""
    sides = [*options.sides, *(f"processes:{count}" for count in options.processes)]
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        _child(options, "write", folder, "--texts", str(options.texts))
        for repeat in range(options.repeats):
            for side in sides[:: -1 if repeat % 2 else 1]:
                runs[side].append(_child(options, side, folder))
    return {
        side: {
            "texts_per_second": statistics.median(run["texts"] / run["seconds"] for run in each),
            "ratio": statistics.median(
                base["seconds"] / run["seconds"] for base, run in zip(runs[sides[0]], each, strict=True)
            ),
            "peak_mib": max(run["peak_mib"] for run in each),
            "runs": each,
        }
        for side, each in runs.items()
    }


def quality(options: argparse.Namespace) -> dict[str, Any]:
    """Return mAP on XQuAD-R with each side's vectors, and the rank distance."""
    from panglot.evaluation.evaluate import evaluate

    found: dict[str, Any] = {}
    for name in options.sides:
        encoder = _encoder(name, options.model)
        figures = evaluate(encoder, "xquad-r", data_dir=options.data_dir, draws=0).figures["datasets"]["xquad-r"]
        parts = {part: figures[part]["mAP"] for part in ("monolingual", "crosslingual", "multilingual")}
        found[name] = {**parts, "rank_distance": figures["multilingual"]["rank_distance"]}
    return found


def made(options: argparse.Namespace) -> dict[str, Any]:
    """Return the peak memory of reading and encoding so many made rows."""
    with tempfile.TemporaryDirectory() as folder:
        _child(options, "write", folder, "--made", str(options.made))
        return _child(options, "stand-in", folder)


def _child(options: argparse.Namespace, side: str, folder: str, *more: str) -> dict[str, Any]:
    given = [
        "--side",
        side,
        "--folder",
        folder,
        "--model",
        options.model,
        "--data-dir",
        str(options.data_dir.resolve()),
    ]
    return child("search_encoding.py", [*given, *more], options.threads)


def main() -> None:
    """Measure what is asked for; print and write it."""
    options = parser().parse_args()
    if options.side:
        one(options)
        return
    found: dict[str, Any] = {}
    if options.texts:
        found["sides"] = speed(options)
        head = ["encoder", "texts/s", "ratio", "peak MiB"]
        cells = [
            [side, f"{each['texts_per_second']:.1f}", f"{each['ratio']:.2f}", f"{each['peak_mib']:,.0f}"]
            for side, each in found["sides"].items()
        ]
        print(table(head, cells))
    if options.quality:
        found["xquad-r"] = quality(options)
        head = ["encoder", *next(iter(found["xquad-r"].values()))]
        print(table(head, [[side, *(f"{x:.4f}" for x in each.values())] for side, each in found["xquad-r"].items()]))
    if options.made:
        found["made"] = made(options)
        print(f"{options.made:,} made rows: {found['made']['seconds']:.0f} s, {found['made']['peak_mib']:,.0f} MiB")
    record(options.json, options.threads, model=options.model, texts=options.texts, repeats=options.repeats, **found)


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--texts", type=int, default=2000, help="passages of the speed comparison; 0: none")
    found.add_argument("--repeats", type=int, default=3)
    found.add_argument(
        "--sides", nargs="+", choices=(BASE, HERE, THERE), default=[BASE, HERE], help="ratios are to the first"
    )
    found.add_argument("--processes", type=int, nargs="*", default=[], help="panglot in so many processes too")
    found.add_argument("--quality", action="store_true", help="measure mAP on XQuAD-R too")
    found.add_argument("--made", type=int, default=0, help="made rows whose peak memory is measured")
    found.add_argument("--model", default="bundled", help="bundled, or a sentence-transformers folder")
    found.add_argument("--threads", type=int, help="by default as many as torch likes")
    found.add_argument("--data-dir", type=Path, default=DATA, help="the folder of data sets")
    found.add_argument("--json", type=Path, default=RESULTS / "search_encoding.json")
    for hidden, kind in (("--side", str), ("--folder", Path), ("--answer", Path)):
        found.add_argument(hidden, type=kind, help=argparse.SUPPRESS)
    return found


if __name__ == "__main__":
    main()
