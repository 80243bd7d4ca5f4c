"""Measure ``panglot serve`` under load beside sentence-transformers behind plain FastAPI.

    python benchmarks/search_service.py                    # 32 clients, the whole help corpus
    python benchmarks/search_service.py --memory 10        # ten minutes of load on panglot: does memory grow?

Both servers have the same passages and weights, and take turns. The clients send ``POST /search`` for ten hits with the
titles of the help corpus in all its languages, each as soon as its last request is answered. The plain server encodes
query by query in FastAPI's threads and compares each with every passage. Panglot also detects the language and reports
the share of each language. Latency is measured at the client. Memory is that of the server without mapped files, such
as the index and the model. Those are reported separately, because the system can reclaim their pages at any time.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from _common import ROOT, environment, figures_table, in_turn, make_parser, memory_mib, record
from panglot._files import cache_folder
from panglot.datasets.registry import read
from panglot.search.document import Document
from panglot.search.index import Index

WARM = 20.0
"""Seconds of load before the measurement, in which torch is opened."""
PAUSE = 10.0
"""Seconds between two measurements of memory."""


@dataclass
class Load:
    """Latencies and errors that the clients of one server see, and the server's memory over time."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list[float])
    errors: Counter[str] = field(default_factory=Counter[str])
    mib: list[float] = field(default_factory=list[float])
    mapped_mib: float = 0.0

    def figures(self) -> dict[str, Any]:
        """Return the figures to report."""
        requests = len(self.latencies) + self.errors.total()
        p50, p99 = np.percentile(self.latencies, [50, 99]) if self.latencies else (float("inf"), float("inf"))
        return {
            "requests": requests,
            "per_second": len(self.latencies) / self.seconds,
            "p50_ms": 1000 * float(p50),
            "p99_ms": 1000 * float(p99),
            "error_rate": self.errors.total() / max(1, requests),
            "errors": self.errors,
            "mib": self.mib,
            "mapped_mib": self.mapped_mib,
        }


def index_of(data_dir: Path, documents: int) -> Path:
    """Return an index of passages drawn from all languages of the help corpus; build it once and keep it."""
    folder = cache_folder() / "benchmarks" / f"search-service-{documents}"
    if not (folder / "index.json").exists():
        rows = read("libreoffice-help", data_dir=data_dir).passages.to_pylist()
        drawn = np.random.default_rng(0).permutation(len(rows))[: documents or None]
        chosen = [rows[row] for row in sorted(drawn)]
        Index.build(
            (Document(row["id"], row["text"], language=row["language"], group=row["group"]) for row in chosen),
            folder,
            progress=print,
        ).close()
    return folder


def export(index: Path, folder: Path) -> None:
    """Write the vectors and documents of an index for the plain server."""
    opened = Index.open(index)
    documents = [each for piece in opened.documents() for each in piece]
    np.save(folder / "vectors.npy", opened.store.vectors("plain", [each.id for each in documents]))
    rows = [{"id": each.id, "text": each.text, "language": each.language} for each in documents]
    (folder / "documents.json").write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    opened.close()


@contextmanager
def server(command: Sequence[str], threads: int | None) -> Generator[tuple[str, int]]:
    """Start a server that prints its address to standard error; yield the address and the id of its process."""
    with subprocess.Popen(
        [sys.executable, *command], env=environment(threads), cwd=ROOT, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            address = next(line.split()[-1].rstrip("/") for line in lines if "http://" in line)
            yield address, process.pid
        finally:
            process.terminate()
            process.communicate()


def server_mib(*processes: int, field: str = "RssAnon") -> float:
    """Return the memory of servers without mapped files, or of their mapped files with ``RssFile``, in MiB (Linux)."""
    return round(sum(memory_mib(field, process) for process in processes), 1)


@cache
def titles(data_dir: Path) -> list[str]:
    """Return the titles of the help corpus in a random order, as queries."""
    table = read("libreoffice-help", data_dir=data_dir).questions
    found = [each for each in dict.fromkeys(table["text"].to_pylist()) if each.strip()]
    return [found[row] for row in np.random.default_rng(1).permutation(len(found))]


async def press(
    addresses: Sequence[str], processes: Sequence[int], queries: Sequence[str], clients: int, seconds: float
) -> Load:  # fmt: skip
    """Send requests from all clients to the addresses in turn for some seconds, and watch the processes' memory.

    On a slow machine, the load lasts until a request is answered.
    """
    load, turn = Load(), itertools.count()
    begin = time.perf_counter() + WARM
    most = clients * len(addresses)
    limits = httpx.Limits(max_connections=most, max_keepalive_connections=most)

    async with httpx.AsyncClient(timeout=120, limits=limits) as client:

        async def ask() -> None:
            while (sent := time.perf_counter()) < begin + seconds or not (load.latencies or load.errors):
                number = next(turn)
                body = {"query": queries[number % len(queries)], "k": 10}
                address = addresses[number % len(addresses)]
                try:
                    status = (await client.post(f"{address}/search", json=body)).status_code
                    problem = "" if status == 200 else str(status)
                except httpx.HTTPError as error:
                    problem = type(error).__name__
                if sent < begin:
                    continue
                if problem:
                    load.errors[problem] += 1
                else:
                    load.latencies.append(time.perf_counter() - sent)

        async def watch() -> None:
            await asyncio.sleep(WARM)
            while True:
                load.mib.append(server_mib(*processes))
                await asyncio.sleep(PAUSE)

        watching = asyncio.create_task(watch())
        await asyncio.gather(*(ask() for _ in range(clients)))
        watching.cancel()
    load.seconds = time.perf_counter() - begin
    load.mib.append(server_mib(*processes))
    load.mapped_mib = server_mib(*processes, field="RssFile")
    return load


def main() -> None:
    """Run the servers in turn, then print and write the medians."""
    options = parse_arguments()
    queries = titles(options.data_dir)
    index = options.index or index_of(options.data_dir, options.documents)
    opened = Index.open(index)
    count = len(opened)
    opened.close()
    seconds = 60 * options.memory or options.seconds
    commands = {"panglot serve": ["-m", "panglot.cli.main", "serve", str(index), "--port", "0"]}
    runs: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        if not options.memory:
            export(index, Path(folder))
            commands["sentence-transformers, FastAPI"] = ["benchmarks/_plain_service.py", folder]
        for repeat in range(1 if options.memory else options.repeats):
            for side in in_turn(commands, repeat):
                with server(commands[side], options.threads) as (address, process):
                    load = asyncio.run(press([address], [process], queries, options.clients, seconds))
                runs.setdefault(side, []).append(load.figures())
                print(side, {key: value for key, value in runs[side][-1].items() if key != "mib"}, flush=True)
    record(options.json, options.threads, documents=count, clients=options.clients, seconds=seconds, sides=runs)
    columns = {
        "requests/s": "{per_second:.1f}",
        "p50 ms": "{p50_ms:.0f}",
        "p99 ms": "{p99_ms:.0f}",
        "errors": "{error_rate:.2%}",
        "MiB at first": "{first_mib:.0f}",
        "MiB at last": "{last_mib:.0f}",
    }
    figures = {
        side: {
            **{
                key: statistics.median(run[key] for run in each)
                for key in ("per_second", "p50_ms", "p99_ms", "error_rate")
            },
            "first_mib": each[-1]["mib"][0],
            "last_mib": each[-1]["mib"][-1],
        }
        for side, each in runs.items()
    }
    print(figures_table("server", columns, figures))


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__, data_dir=True, threads=True, results="search_service.json")
    parser.add_argument("--documents", type=int, default=0, help="passages in the index; 0: all 54,377")
    parser.add_argument("--index", type=Path, help="an existing index of the help corpus")
    parser.add_argument("--clients", type=int, default=32, help="number of clients")
    parser.add_argument("--seconds", type=float, default=60.0, help="seconds of load per server, after the warm-up")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each server")
    parser.add_argument("--memory", type=float, default=0.0, help="put load on panglot alone for so many minutes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
