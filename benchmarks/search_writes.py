"""Measure writes to ``panglot serve --writable``: documents per second, and mixed load.

    python benchmarks/search_writes.py                 # documents per second, with and without a model
    python benchmarks/search_writes.py --mixed 10      # ten minutes of searches, writes and deletions by 32 clients

Passages of the help corpus are sent by a few clients, each of which sends its next request as soon as the last one is
acknowledged. A request that is refused because too much waits (429) is sent again. Without a model, vectors are random,
so that the rest of the work shows. At the end, the index must have every document that was acknowledged.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from _common import make_parser, record
from panglot.datasets.registry import read
from panglot.encoders.protocol import Side, Vectors
from panglot.search.index import Index
from search_service import server, server_mib

_DIMENSION = 384


class NoModel:
    """Give each text a random unit vector, always the same."""

    name = fingerprint = "random vectors"

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        """Return one row per text."""
        del side, ids
        rows = [np.random.default_rng(zlib.crc32(text.encode())).standard_normal(_DIMENSION) for text in texts]
        found = np.array(rows, np.float32).reshape(-1, _DIMENSION)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def documents(options: argparse.Namespace) -> list[dict[str, str]]:
    """Return passages of the help corpus in all its languages, in a drawn order."""
    table = read("libreoffice-help", data_dir=options.data_dir).passages
    drawn = np.random.default_rng(0).permutation(len(table))[: options.documents]
    return table.select(["id", "text", "language", "group"]).take(drawn).to_pylist()


async def send(client: httpx.AsyncClient, method: str, route: str, body: Any, problems: Counter[str]) -> Any:
    """Return the answer to a request that is sent until it is not refused for lack of room, or None if it fails."""
    while True:
        try:
            response = await client.request(method, route, json=body)
        except httpx.HTTPError as error:
            problems[type(error).__name__] += 1
            return None
        if response.status_code != 429:
            break
        problems["429, sent again"] += 1
        await asyncio.sleep(float(response.headers["Retry-After"]))
    if response.status_code != 200:
        problems[str(response.status_code)] += 1
        return None
    return response.json()


async def fill(address: str, rows: Sequence[dict[str, str]], size: int, clients: int) -> dict[str, Any]:
    """Write all rows, ``size`` per request, and return the figures."""
    parts: Iterator[Sequence[dict[str, str]]] = iter([rows[at : at + size] for at in range(0, len(rows), size)])
    problems: Counter[str] = Counter()
    begin = time.perf_counter()
    async with httpx.AsyncClient(base_url=address, timeout=600) as client:

        async def write() -> None:
            for part in parts:
                await send(client, "PUT", "/documents", {"documents": part}, problems)

        await asyncio.gather(*(write() for _ in range(clients)))
        seconds = time.perf_counter() - begin
        count = (await client.get("/about")).json()["documents"]
    return {"per_second": len(rows) / seconds, "problems": problems, "missing": len(rows) + 1 - count}


async def mix(
    address: str, process: int, rows: Sequence[dict[str, str]], clients: int, seconds: float
) -> dict[str, Any]:  # fmt: skip
    """Let each client search, write or delete documents of its own for some seconds, and return the figures."""
    problems, done, mib = Counter[str](), Counter[str](), list[float]()
    begin = time.perf_counter()
    known: set[str] = set()
    async with httpx.AsyncClient(base_url=address, timeout=600) as client:

        async def act(number: int) -> None:
            dice, own = np.random.default_rng(number), rows[number::clients]
            while time.perf_counter() < begin + seconds:
                chosen = [own[row] for row in dice.choice(len(own), 5, replace=False)]
                action = dice.choice(["search", "write", "delete"], p=[0.7, 0.2, 0.1])
                names = {row["id"] for row in chosen}
                if action == "search":
                    answer = await send(client, "POST", "/search", {"query": chosen[0]["text"][:80]}, problems)
                elif action == "write":
                    answer = await send(client, "PUT", "/documents", {"documents": chosen}, problems)
                    known.update(names if answer else ())
                else:
                    answer = await send(client, "POST", "/documents/delete", {"ids": list(names)}, problems)
                    known.difference_update(names if answer else ())
                done[str(action)] += answer is not None

        async def watch() -> None:
            while True:
                mib.append(server_mib(process))
                await asyncio.sleep(10)

        watching = asyncio.create_task(watch())
        await asyncio.gather(*(act(number) for number in range(clients)))
        watching.cancel()
        count = (await client.get("/about")).json()["documents"]
    return {"requests": done, "problems": problems, "missing": len(known) + 1 - count, "mib": mib}


def main() -> None:
    """Measure, print and write the figures."""
    parser = make_parser(__doc__, data_dir=True, threads=True, results="search_writes.json")
    parser.add_argument("--documents", type=int, default=10_000, help="passages to write")
    parser.add_argument("--clients", type=int, default=0, help="number of clients; by default 4, or 32 with --mixed")
    parser.add_argument("--mixed", type=float, default=0.0, help="put mixed load on the service for so many minutes")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve_without_model(options.serve)
    rows, figures = documents(options), dict[str, Any]()
    clients = options.clients or (32 if options.mixed else 4)
    for side in ("bundled", "no model"):
        for size in (10,) if options.mixed else (1, 10, 100):
            with tempfile.TemporaryDirectory() as folder:
                index = Path(folder) / "index"
                start = [{"id": "start", "text": "Begin.", "language": "en"}]
                Index.build(start, index, model="bundled" if side == "bundled" else NoModel()).close()
                served = ["-m", "panglot.cli.main", "serve", str(index), "--port", "0", "--writable"]
                command = served if side == "bundled" else [__file__, "--serve", str(index)]
                with server(command, options.threads) as (address, process):
                    work = mix(address, process, rows, clients, 60 * options.mixed) if options.mixed else (
                        fill(address, rows[: 100 * size * clients], size, clients))  # fmt: skip
                    figures[f"{side}, {size} per request"] = asyncio.run(work)
            print(side, size, figures[f"{side}, {size} per request"], flush=True)
    record(options.json, options.threads, clients=clients, mixed=options.mixed, figures=figures)
    return None


def serve_without_model(folder: Path) -> None:
    """Serve an index with random vectors."""
    from panglot.service.limits import Limits
    from panglot.service.middleware import Access
    from panglot.service.serve import serve

    index = Index.open(folder, model=NoModel())
    access = Access(writable=True)
    serve(index, Limits(), port=0, access=access, progress=lambda line: print(line, file=sys.stderr, flush=True))


if __name__ == "__main__":
    main()
