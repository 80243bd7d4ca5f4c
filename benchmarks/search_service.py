"""``panglot serve`` under load, beside sentence-transformers behind plain FastAPI.

    python benchmarks/search_service.py                    # 32 clients, the whole help corpus
    python benchmarks/search_service.py --memory 10        # ten minutes of load on panglot: does memory grow?

Both sides answer the titles of the help corpus, in all its languages, over the same passages with the same weights,
each in a process of its own, in turns: ``POST /search``, ten hits, each client asking again as soon as it is answered.
The other side encodes question by question in FastAPI's threads and compares with every passage; panglot also detects
the language and tells shares. Latency is what a client sees. Memory is what the server holds of its own; the pages of
files that it has mapped, such as the index and the model, are told apart: the system takes them back when it likes.
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
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from _common import DATA, RESULTS, ROOT, environment, record, table
from panglot._files import cache_folder
from panglot.datasets.registry import read
from panglot.search.document import Document
from panglot.search.index import Index

WARM = 5.0
"""Seconds of load that do not count."""
PAUSE = 10.0
"""Seconds between two looks at memory."""


@dataclass
class Load:
    """What the clients saw of one server."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list[float])
    errors: dict[str, int] = field(default_factory=dict[str, int])
    mib: list[float] = field(default_factory=list[float])
    mapped_mib: float = 0.0

    def figures(self) -> dict[str, Any]:
        """Return what is reported."""
        asked = len(self.latencies) + sum(self.errors.values())
        p50, p99 = np.percentile(self.latencies, [50, 99]) if self.latencies else (float("inf"), float("inf"))
        return {
            "requests": asked,
            "per_second": len(self.latencies) / self.seconds,
            "p50_ms": 1000 * float(p50),
            "p99_ms": 1000 * float(p99),
            "error_rate": sum(self.errors.values()) / max(1, asked),
            "errors": self.errors,
            "mib": self.mib,
            "mapped_mib": self.mapped_mib,
        }


def index_of(data_dir: Path, documents: int) -> Path:
    """Return an index of so many passages of the help corpus, drawn over all languages; made once, and kept."""
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
    """Write vectors and documents of an index for the other side."""
    opened = Index.open(index)
    documents = [each for piece in opened.documents() for each in piece]
    np.save(folder / "vectors.npy", opened.store.vectors("plain", [each.id for each in documents]))
    rows = [{"id": each.id, "text": each.text, "language": each.language} for each in documents]
    (folder / "documents.json").write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    opened.close()


@contextmanager
def server(command: Sequence[str], threads: int | None) -> Generator[tuple[str, int]]:
    """Start a server that prints its address to standard error; yield that and the process's id."""
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


def held(process: int, what: str = "RssAnon") -> float:
    """Return the memory of a process in MiB (Linux): its own, or with ``RssFile`` that of mapped files."""
    status = Path(f"/proc/{process}/status").read_text("utf-8")
    return round(int(status.split(f"{what}:")[1].split()[0]) / 1024, 1)


async def press(address: str, process: int, questions: Sequence[str], clients: int, seconds: float) -> Load:
    """Ask with so many clients for so long, and watch the server's memory."""
    load, turn = Load(), itertools.count()
    begun = time.perf_counter() + WARM
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)

    async with httpx.AsyncClient(base_url=address, timeout=120, limits=limits) as client:

        async def ask() -> None:
            while (asked := time.perf_counter()) < begun + seconds:
                body = {"query": questions[next(turn) % len(questions)], "k": 10}
                try:
                    problem = (
                        str(status) if (status := (await client.post("/search", json=body)).status_code) != 200 else ""
                    )
                except httpx.HTTPError as error:
                    problem = type(error).__name__
                if asked < begun:
                    continue
                if problem:
                    load.errors[problem] = load.errors.get(problem, 0) + 1
                else:
                    load.latencies.append(time.perf_counter() - asked)

        async def watch() -> None:
            await asyncio.sleep(WARM)
            while True:
                load.mib.append(held(process))
                await asyncio.sleep(PAUSE)

        watching = asyncio.create_task(watch())
        await asyncio.gather(*(ask() for _ in range(clients)))
        watching.cancel()
    load.seconds = time.perf_counter() - begun
    load.mib.append(held(process))
    load.mapped_mib = held(process, "RssFile")
    return load


def sides(index: Path, folder: Path) -> dict[str, list[str]]:
    """Return how each server is started."""
    return {
        "panglot serve": ["-m", "panglot.cli.main", "serve", str(index), "--port", "0"],
        "sentence-transformers, FastAPI": ["benchmarks/_plain_service.py", str(folder)],
    }


def main() -> None:
    """Let the sides take turns; print and write medians."""
    options = parser().parse_args()
    passages = read("libreoffice-help", data_dir=options.data_dir)
    titles = [each for each in dict.fromkeys(passages.questions["text"].to_pylist()) if each.strip()]
    questions = [titles[row] for row in np.random.default_rng(1).permutation(len(titles))]
    index = options.index or index_of(options.data_dir, options.documents)
    opened = Index.open(index)
    count = len(opened)
    opened.close()
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as name:
        compared = sides(index, Path(name))
        if options.memory:
            compared = dict(list(compared.items())[:1])
        else:
            export(index, Path(name))
        for repeat in range(1 if options.memory else options.repeats):
            for side in list(compared)[:: -1 if repeat % 2 else 1]:
                with server(compared[side], options.threads) as (address, process):
                    seconds = 60 * options.memory or options.seconds
                    load = asyncio.run(press(address, process, questions, options.clients, seconds))
                found.setdefault(side, []).append(load.figures())
                print(side, {key: value for key, value in found[side][-1].items() if key != "mib"}, flush=True)
    record(
        options.json, options.threads, documents=count, clients=options.clients,
        seconds=60 * options.memory or options.seconds, sides=found,
    )  # fmt: skip

    def middle(runs: list[dict[str, Any]], key: str) -> float:
        return statistics.median(run[key] for run in runs)

    head = ["server", "requests/s", "p50 ms", "p99 ms", "errors", "MiB at first", "MiB at last"]
    rows = [
        [
            side, f"{middle(runs, 'per_second'):.1f}", f"{middle(runs, 'p50_ms'):.0f}", f"{middle(runs, 'p99_ms'):.0f}",
            f"{middle(runs, 'error_rate'):.2%}", f"{runs[-1]['mib'][0]:.0f}", f"{runs[-1]['mib'][-1]:.0f}",
        ]
        for side, runs in found.items()
    ]  # fmt: skip
    print(table(head, rows))


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--documents", type=int, default=0, help="passages in the index; 0: all 54,377")
    found.add_argument("--index", type=Path, help="an index of the help corpus that is there already")
    found.add_argument("--clients", type=int, default=32)
    found.add_argument("--seconds", type=float, default=60.0, help="of load on a server, after the warm-up")
    found.add_argument("--repeats", type=int, default=3)
    found.add_argument("--memory", type=float, default=0.0, help="minutes of load on panglot alone")
    found.add_argument("--threads", type=int, help="of a server; by default as many as it likes")
    found.add_argument("--data-dir", type=Path, default=DATA, help="the folder of data sets")
    found.add_argument("--json", type=Path, default=RESULTS / "search_service.json")
    return found


if __name__ == "__main__":
    main()
