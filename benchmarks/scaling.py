"""Measure what more processes bring: to the service, to encoding, and to writing into a Milvus server.

    python benchmarks/scaling.py                              # all parts
    python benchmarks/scaling.py --only serve                 # one part: serve, encode or stores
    python benchmarks/scaling.py --small --json small.json    # in small, to see that all parts run

The file of figures is written after each run of each side. After an interruption, the same command continues, and
refuses a file with other settings.

``serve``: one, two and four processes of ``panglot serve`` over the same index folder, behind nginx with the settings
of ``docs/deploy.md``, or without nginx with clients that take the processes in turn. Clients and queries are those of
``search_service.py``, and each process has one thread. Memory is that of all processes together. ``pss_mib`` counts
pages that they share once.

``encode``: ``panglot index`` in one process, with ``--processes 2``, and in a Ray cluster of one node with two workers.
The rate counts the shards that came after the first of each worker. ``start_seconds`` is what passed before that, less
the time in which these shards were encoded at that rate. The start of the cluster comes on top, as ``cluster_seconds``.

``stores``: the same documents and vectors in the folder, in milvus-lite and in a Milvus server (the package ``milvus``)
on the same machine. One process writes them, or two at once, each half of them, until Milvus has them on disk. Then
``panglot serve`` searches them. Figures of cores and memory are of the service and the Milvus server together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from _common import RESULTS, environment, figures_table, in_turn, make_parser, memory_mib, record, unit
from _servers import behind_nginx, milvus_server, nginx, ray_cluster
from panglot._files import cache_folder
from panglot.search.metadata import IndexMetadata, open_store
from panglot.search.storage.store import Store, documents_of, pieces
from search_encoding import shuffled_passages, write
from search_service import index_of, press, server, titles
from search_writes import processor_seconds


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    documents: int  # In the index that is served and written.
    clients: int
    seconds: float  # Of load per run, after the warm-up.
    settle: float  # Seconds between writing and serving, in which Milvus builds its graphs.
    shards: int  # To encode.
    shard_texts: int


FULL, SMALL = Sizes(10_000, 32, 40, 30, 8, 1024), Sizes(48, 2, 1, 0, 4, 16)
SIDES = {
    "serve": ("1", "2", "4"),
    "encode": ("one process", "--processes 2", "Ray, 2 workers"),
    "stores": ("folder", "milvus-lite", "milvus"),
}
LOAD_COLUMNS = {
    "requests/s": "{per_second:.1f}", "p50 ms": "{p50_ms:.0f}", "p99 ms": "{p99_ms:.0f}", "errors": "{error_rate:.2%}",
    "cores": "{cores:.2f}", "MiB": "{pss_mib:.0f}",
}  # fmt: skip
COLUMNS = {
    "serve": LOAD_COLUMNS,
    "encode": {
        "texts/s": "{texts_per_second:.1f}", "start s": "{start_seconds:.1f}", "cluster s": "{cluster_seconds:.1f}",
        "whole command s": "{seconds:.1f}", "least cosine": "{least_cosine:.6f}",
    },
    "stores": {
        **LOAD_COLUMNS, "written/s by 1": "{written_per_second_by_1:.0f}", "by 2": "{written_per_second_by_2:.0f}",
    },
}  # fmt: skip
PATIENCE, POLL = 600.0, 0.01  # Seconds.

INDEX = """
import sys
from panglot.search.ingest import encode
encode.SHARD = int(sys.argv.pop(1))
from panglot.cli.main import main
main()
"""
"""``panglot index`` with shards of another size, so that a small run has several."""


def pressed(options: argparse.Namespace, addresses: Sequence[str], processes: Sequence[int]) -> dict[str, Any]:
    """Put load on addresses; return the figures of the clients, and cores and memory of processes together."""
    sizes: Sizes = options.sizes
    queries = titles(options.data_dir)
    computed, begin = sum(map(processor_seconds, processes)), time.perf_counter()
    load = asyncio.run(press(addresses, processes, queries, sizes.clients, sizes.seconds))
    cores = (sum(map(processor_seconds, processes)) - computed) / (time.perf_counter() - begin)
    if not load.latencies:
        last = httpx.post(f"{addresses[0]}/search", json={"query": queries[0]}, timeout=120).text
        raise SystemExit(f"no request was answered: {dict(load.errors)}, {last[:500]}")
    shared_once = sum(memory_mib("Pss", each, "smaps_rollup") for each in processes)
    return {**load.figures(), "cores": round(cores, 3), "pss_mib": round(shared_once, 1)}


def serving(index: Path) -> list[str]:
    return ["-m", "panglot.cli.main", "serve", str(index), "--port", "0"]


def measure_serving(options: argparse.Namespace, side: str) -> dict[str, Any]:
    """Serve one folder from several processes."""
    index = index_of(options.data_dir, options.sizes.documents)
    with ExitStack() as stack:
        started = [stack.enter_context(server(serving(index), options.threads)) for _ in range(int(side))]
        addresses, processes = zip(*started, strict=True)
        front = [stack.enter_context(behind_nginx(addresses))] if nginx() else addresses
        return pressed(options, front, processes)


def measure_encoding(options: argparse.Namespace, side: str) -> dict[str, Any]:
    """Encode documents and compare their vectors with those of one process."""
    sizes: Sizes = options.sizes
    figures: dict[str, Any] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        passages = shuffled_passages(options.data_dir)[: sizes.shards * sizes.shard_texts]
        write(folder / "documents.jsonl", passages)
        words: list[str] = [] if side == SIDES["encode"][0] else side.split()
        if side.startswith("Ray"):
            begin = time.perf_counter()
            words = ["--encoder", stack.enter_context(ray_cluster(2))]
            figures["cluster_seconds"] = time.perf_counter() - begin
        command = [sys.executable, "-c", INDEX, str(sizes.shard_texts), "index", str(folder / "documents.jsonl")]
        arrivals, seconds = watch([*command, "--output", str(folder / "index"), *words], folder / "index" / "shards")
        if len(arrivals) != sizes.shards:
            raise SystemExit(f"{side}: saw {len(arrivals)} shards, expected {sizes.shards}")
        figures |= {**encoding_figures(arrivals, 2 if words else 1, sizes.shard_texts), "seconds": seconds}
        with closing(IndexMetadata.open(folder / "index").open_store(folder / "index")) as store:
            vectors = store.vectors("plain", [row["id"] for row in passages])
    reference = cache_folder() / "benchmarks" / f"scaling-{len(passages)}.npy"
    if not words:
        reference.parent.mkdir(parents=True, exist_ok=True)
        np.save(reference, vectors)
    first = np.load(reference)
    cosines = (unit(first) * unit(vectors)).sum(1)
    return {**figures, "equal": bool(np.array_equal(first, vectors)), "least_cosine": float(cosines.min())}


def watch(command: Sequence[str], shards: Path) -> tuple[list[float], float]:
    """Run ``panglot index`` and return when each shard was written, and how long all took, in seconds."""
    arrivals: list[float] = []
    begin = time.perf_counter()
    with subprocess.Popen(command, env=environment(None), stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            there, now = sum(1 for _ in shards.glob("*.npy")), time.perf_counter() - begin
            arrivals += [now] * (there - len(arrivals))
            time.sleep(POLL)
    if process.returncode:
        raise SystemExit(f"panglot index ended with status {process.returncode}")
    return arrivals, time.perf_counter() - begin


def encoding_figures(arrivals: Sequence[float], workers: int, shard_texts: int) -> dict[str, float]:
    """Return the rate once each worker has made a shard, and the seconds before the first text was encoded.

    >>> encoding_figures([7.0, 7.0, 9.0, 9.0], workers=2, shard_texts=100)
    {'texts_per_second': 100.0, 'start_seconds': 5.0}
    """
    first = arrivals[workers - 1]
    rate = shard_texts * (len(arrivals) - workers) / max(arrivals[-1] - first, POLL)
    return {"texts_per_second": rate, "start_seconds": first - workers * shard_texts / rate}


def measure_store(options: argparse.Namespace, side: str) -> dict[str, Any]:
    """Write an index into a store from one process and from two at once, and serve it."""
    source = index_of(options.data_dir, options.sizes.documents)
    figures: dict[str, Any] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        place, processes = f"milvus:{folder}/lite.db", list[int]()
        if side == "milvus":
            place, process = stack.enter_context(milvus_server(folder / "server"))
            processes.append(process)
        # One process at a time can open a file of milvus-lite. What one process wrote is served.
        for count in (1,) if side == "milvus-lite" else (2, 1):
            target = folder / f"index{count}"
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("store"))
            where = "" if side == "folder" else f"{place}/help{count}"
            replace(IndexMetadata.open(source), store=where).save(target)
            figures[f"written_per_second_by_{count}"] = written_per_second(source, target, count)
        time.sleep(options.sizes.settle)
        address, process = stack.enter_context(server(serving(folder / "index1"), options.threads))
        return {**figures, **pressed(options, [address], [process, *processes])}


def written_per_second(source: Path, target: Path, count: int) -> float:
    """Write the documents of an index into the store of another, from some processes at once, and return the rate."""
    context = get_context("spawn")
    shared = (context.Barrier(count),)
    with ProcessPoolExecutor(count, mp_context=context, initializer=_share, initargs=shared) as pool:
        pool.submit(_count, target, create=True).result()
        spans = list(pool.map(partial(_write_part, source, target, count), range(count)))
        written, expected = (pool.submit(_count, each).result() for each in (target, source))
    if written != expected:
        raise SystemExit(f"{written:,} of {expected:,} documents were written")
    return written / (max(end for _, end in spans) - min(begin for begin, _ in spans))


_shared: dict[str, Any] = {}


def _share(barrier: Any) -> None:
    _shared["barrier"] = barrier


def opened(folder: Path, *, create: bool = False) -> Store:
    """Open the store of an index."""
    metadata = IndexMetadata.open(folder)
    fields, size, build = metadata.vector_fields, metadata.dimension, metadata.build
    return open_store(
        metadata.store, folder / "store", vector_fields=fields, dimension=size, build=build, create=create
    )


def _count(folder: Path, *, create: bool = False) -> int:
    """Return the number of documents in the store of an index, after making it if it is to be made."""
    with closing(opened(folder, create=create)) as store:
        return sum(store.counts().values())


def _write_part(source: Path, target: Path, parts: int, part: int) -> tuple[float, float]:
    """Write a part of the documents as soon as all processes are ready, and return when that began and ended."""
    with closing(opened(source)) as store:
        documents = [each for piece in documents_of(store) for each in piece][part::parts]
        prepared: list[Any] = []
        for rows in pieces(len(documents), 1024):
            ids = [each.id for each in documents[rows]]
            prepared.append((documents[rows], {field: store.vectors(field, ids) for field in store.vector_fields}))
    with closing(opened(target)) as store:
        _shared["barrier"].wait(PATIENCE)
        begin = time.monotonic()
        with store.bulk():
            for piece, vectors in prepared:
                store.upsert(piece, vectors)
        return begin, time.monotonic()


PARTS = {"serve": measure_serving, "encode": measure_encoding, "stores": measure_store}


def medians(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the median of each figure that is a number. A figure that a side lacks is not a number."""
    numbers = [name for name, value in runs[0].items() if isinstance(value, int | float)]
    return defaultdict(lambda: float("nan"), {name: statistics.median(run[name] for run in runs) for name in numbers})


def main() -> None:
    """Run what the file of figures lacks, and print the medians."""
    options = parse_arguments()
    settings = {**asdict(options.sizes), "threads": options.threads, "proxy": "nginx" if nginx() else "none"}
    known: dict[str, Any] = {"settings": settings, "parts": {}}
    if options.json.is_file():
        known = json.loads(options.json.read_text("utf-8"))
    if known["settings"] != settings:
        raise SystemExit(f"{options.json} has other settings. Fix: name another file with --json")
    found: dict[str, dict[str, list[dict[str, Any]]]] = known["parts"]
    for part in options.only:
        sides = found.setdefault(part, {})
        for repeat in range(options.repeats):
            for side in in_turn(SIDES[part], repeat):
                if len(runs := sides.setdefault(side, [])) > repeat:
                    continue
                runs.append(PARTS[part](options, side))
                print(part, side, {key: value for key, value in runs[-1].items() if key != "mib"}, flush=True)
                record(options.json, options.threads, settings=settings, parts=found)
        print(figures_table(part, COLUMNS[part], {side: medians(runs) for side, runs in sides.items()}))


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__, data_dir=True, threads=True, results="scaling.json")
    parser.set_defaults(threads=1)
    parser.add_argument("--only", nargs="+", choices=[*PARTS], default=[*PARTS], help="parts to measure")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each side")
    parser.add_argument("--small", action="store_true", help="a small version, to see on any machine that it runs")
    options = parser.parse_args()
    options.sizes = SMALL if options.small else FULL
    if options.small and options.json == RESULTS / "scaling.json":
        parser.error("--small needs its own --json, because its figures are no result")
    return options


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # So that the servers are stopped too.
    main()
