"""Measure the encoding of a corpus for search beside ``SentenceTransformer.encode``: speed, mAP and peak memory.

    python benchmarks/search_encoding.py --texts 2000 --repeats 3      # speed
    python benchmarks/search_encoding.py --texts 54377 --repeats 1 --sides panglot    # the whole help corpus
    python benchmarks/search_encoding.py --texts 0 --quality           # mAP on XQuAD-R with the vectors of each side
    python benchmarks/search_encoding.py --texts 0 --made 1000000      # peak memory over generated rows

The texts are passages of LibreOffice's help in 32 languages, drawn at random and encoded with their titles. Each side
and repeat has its own process, and the sides take turns. Loading the model and encoding eight texts to warm up are not
timed. Sentence-transformers has its default settings (float32, batch 32), and both sides have the same weights and
prompts. Panglot reads a file of JSON lines, encodes with its defaults, writes shards and reads their documents back.
With several processes, their start is timed too. ``openvino`` is panglot with that backend, and a precision behind a
name is that of the products. ``panglot-numpy`` is what encodes queries and the first 32,768 tokens. Beside other work,
compare texts per processor second. A query's milliseconds are the processor's too. The generated rows are the same
passages under new ids. Their vectors are random unit vectors of 384 numbers, which take no time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from _common import (
    add_hidden,
    answer,
    child,
    figures_table,
    in_turn,
    make_parser,
    peak_mib,
    record,
    sentence_transformer,
    unit,
)

if TYPE_CHECKING:
    from panglot.encoders.protocol import Encoder, Side, Vectors

BASE = "sentence-transformers"
OPTIONS: dict[str, dict[str, Any]] = {
    "panglot": {"backend": "torch"},
    "panglot-numpy": {"backend": "auto"},
    "panglot-fp32": {"backend": "torch", "precision": "fp32"},
    "panglot-bf16": {"backend": "torch", "precision": "bf16"},
    "openvino": {"backend": "openvino"},
    "openvino-fp32": {"backend": "openvino", "precision": "fp32"},
    "openvino-bf16": {"backend": "openvino", "precision": "bf16"},
    "openvino-int8": {"backend": "openvino", "precision": "int8"},
}
"""How each other side loads the model."""
DIMENSION, QUERIES = 384, 20
WARM = ["How to print?"] * 8


class Baseline:
    """Sentence-transformers with its default settings, as one of panglot's encoders."""

    def __init__(self, model: str) -> None:
        self.name = self.fingerprint = BASE
        self.model = sentence_transformer(model)

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        """Return the vectors of ``encode_query`` or ``encode_document``."""
        del ids
        encode: Any = self.model.encode_query if side == "question" else self.model.encode_document
        return encode(list(texts), show_progress_bar=False)


class StandIn:
    """An encoder of random unit vectors that takes no time."""

    name = fingerprint = "stand-in"

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        """Return one row of unit length per text."""
        del side, ids
        return unit(np.random.default_rng(len(texts[0])).normal(size=(len(texts), DIMENSION)).astype(np.float32))


def shuffled_passages(data_dir: Path, seed: int = 0) -> list[dict[str, str]]:
    """Return the passages of the help corpus in a random order."""
    import pyarrow.parquet as pq

    path = data_dir / "libreoffice-help" / "libreoffice-help.parquet"
    rows = pq.read_table(path, columns=["title", "text", "lang", "group"]).to_pylist()
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    return [{**rows[row], "id": f"{rows[row]['lang']}:{rows[row]['group']}"} for row in order]


def write(path: Path, documents: Iterable[dict[str, str]]) -> None:
    """Write documents as JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        for row in documents:
            named = {"language" if name == "lang" else name: value for name, value in row.items()}
            file.write(json.dumps(named, ensure_ascii=False) + "\n")


def run_side(options: argparse.Namespace) -> dict[str, Any]:
    """Write the file, or let one side encode it, in this process."""
    path, side = options.folder / "documents.jsonl", options.side
    if side == "write":
        # A child starts with the peak memory of its parent, so the parent must not read the corpus.
        passages = shuffled_passages(options.data_dir)
        generated = ({**row, "id": str(number)} for number, row in enumerate(islice(cycle(passages), options.made)))
        write(path, generated if options.made else passages[: options.texts])
        return {}
    encoder = StandIn() if side == "stand-in" else _encoder(side, options.model)
    if not side.startswith("processes"):
        encoder.encode(WARM, "passage")
    before, begin, begun = peak_mib(), time.perf_counter(), _processor_seconds()
    count = _encode_file(path, encoder, side, options.folder)
    found = {"seconds": time.perf_counter() - begin, "processor_seconds": _processor_seconds() - begun, "texts": count}
    peak = peak_mib()
    return {**found, "query_ms": 1000 * _query_seconds(encoder), "peak_mib": peak, "peak_mib_before": before}


def _encode_file(path: Path, encoder: Encoder, side: str, folder: Path) -> int:
    """Encode the documents in a file and return their number."""
    if side == BASE:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        return len(encoder.encode([f"{row['title']}\n{row['text']}" for row in rows], "passage"))
    from panglot.search.ingest.documents import read_documents
    from panglot.search.ingest.encode import encode_documents

    on = side if side.startswith("processes") else ""
    with tempfile.TemporaryDirectory(dir=folder) as shards:
        return sum(len(part) for part, _ in encode_documents(read_documents(path), encoder, shards, on=on))


def _query_seconds(encoder: Encoder) -> float:
    """Return the median processor seconds of one query."""
    seconds: list[float] = []
    for _ in range(QUERIES):
        begin = time.process_time()
        encoder.encode(WARM[:1], "question")
        seconds.append(time.process_time() - begin)
    return statistics.median(seconds)


def _processor_seconds() -> float:
    """Return the processor seconds of this process and of those that it started and that have ended."""
    return sum(os.times()[:4])


def _encoder(side: str, model: str) -> Encoder:
    from panglot.encoders.load import load

    return Baseline(model) if side == BASE else load(model, **OPTIONS.get(side, OPTIONS["panglot"]))


def speed(options: argparse.Namespace) -> dict[str, Any]:
    """Run the sides in turn, and return their figures."""
    sides = [*options.sides, *(f"processes:{count}" for count in options.processes)]
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        _child(options, "write", folder, texts=options.texts)
        for repeat in range(options.repeats):
            for side in in_turn(sides, repeat):
                runs[side].append(_child(options, side, folder))
    return {
        side: {
            "texts_per_second": statistics.median(run["texts"] / run["seconds"] for run in each),
            "texts_per_processor_second": statistics.median(run["texts"] / run["processor_seconds"] for run in each),
            "query_ms": statistics.median(run["query_ms"] for run in each),
            "ratio": statistics.median(
                base["seconds"] / run["seconds"] for base, run in zip(runs[sides[0]], each, strict=True)
            ),
            "peak_mib": max(run["peak_mib"] for run in each),
            "runs": each,
        }
        for side, each in runs.items()
    }


def quality(options: argparse.Namespace) -> dict[str, Any]:
    """Return mAP and rank distance on XQuAD-R with the vectors of each side."""
    from panglot.evaluation.evaluate import evaluate
    from panglot.evaluation.figures import SETTINGS

    found: dict[str, Any] = {}
    for name in options.sides:
        encoder = _encoder(name, options.model)
        figures = evaluate(encoder, "xquad-r", data_dir=options.data_dir, draws=0).figures["datasets"]["xquad-r"]
        means = {setting: figures[setting]["mAP"] for setting in SETTINGS}
        found[name] = {**means, "rank_distance": figures["multilingual"]["rank_distance"]}
    return found


def generated_rows(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of reading and encoding generated rows."""
    with tempfile.TemporaryDirectory() as folder:
        _child(options, "write", folder, made=options.made)
        return _child(options, "stand-in", folder)


def _child(options: argparse.Namespace, side: str, folder: str, **more: int) -> dict[str, Any]:
    same = {"side": side, "folder": folder, "model": options.model, "data_dir": options.data_dir}
    return child(options.threads, **same, **more)


def main() -> None:
    """Measure what the options ask for; print and write the figures."""
    options = parse_arguments()
    if options.side:
        answer(options.answer, run_side(options))
        return
    found: dict[str, Any] = {}
    if options.texts:
        found["sides"] = speed(options)
        columns = {
            "texts/s": "{texts_per_second:.1f}", "ratio": "{ratio:.2f}",
            "texts/processor s": "{texts_per_processor_second:.1f}", "ms/query": "{query_ms:.1f}",
            "peak MiB": "{peak_mib:,.0f}",
        }  # fmt: skip
        print(figures_table("encoder", columns, found["sides"]))
    if options.quality:
        found["xquad-r"] = quality(options)
        names = next(iter(found["xquad-r"].values()))
        print(figures_table("encoder", {name: f"{{{name}:.4f}}" for name in names}, found["xquad-r"]))
    if options.made:
        found["made"] = generated_rows(options)
        seconds, peak = found["made"]["seconds"], found["made"]["peak_mib"]
        print(f"{options.made:,} generated rows: {seconds:.0f} s, {peak:,.0f} MiB")
    record(options.json, options.threads, model=options.model, texts=options.texts, repeats=options.repeats, **found)


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__, data_dir=True, threads=True, results="search_encoding.json")
    parser.add_argument("--texts", type=int, default=2000, help="passages to measure speed on; 0 skips this part")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side")
    parser.add_argument(
        "--sides", nargs="+", choices=(BASE, *OPTIONS), default=[BASE, "panglot"],
        help="sides to measure; ratios are to the first",
    )  # fmt: skip
    parser.add_argument(
        "--processes", type=int, nargs="*", default=[], metavar="N", help="measure panglot in N processes too"
    )
    parser.add_argument("--quality", action="store_true", help="measure mAP on XQuAD-R too")
    parser.add_argument("--made", type=int, default=0, help="generated rows to measure peak memory on")
    parser.add_argument("--model", default="bundled", help="bundled, or a sentence-transformers folder")
    add_hidden(parser, side=str, folder=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
