"""Measure writes to ``panglot serve --writable``: documents per second, mixed load, and kills.

    python benchmarks/search_writes.py                 # documents per second, with and without a model
    python benchmarks/search_writes.py --mixed 10      # ten minutes of searches, writes and deletions by 32 clients
    python benchmarks/search_writes.py --kills 200     # kill the service under writes, start it again and compare

Passages of the help corpus are sent by a few clients, each of which sends its next request as soon as the last one is
acknowledged. A request that is refused because too much waits (429) is sent again. Without a model, vectors are random,
so that the rest of the work shows. Server and clients share the machine, so there is also a rate per second that the
server computes. At the end, the index must have every document that was acknowledged.

A kill is SIGKILL. It comes while clients write, or, in every second round, while the service merges what they wrote.
After it, a document must have the text that was acknowledged last. A request without an answer must have been carried
out as a whole or not at all. At the end, each text is compared with its vector.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

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


def processor_seconds(process: int) -> float:
    """Return how long a process has computed so far, on all cores together (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def fill(
    address: str, process: int, rows: Sequence[dict[str, str]], size: int, clients: int
) -> dict[str, Any]:  # fmt: skip
    """Write all rows, ``size`` per request, or as one stream of each client if it is 0, and return the figures."""
    streamed, size = not size, size or -(-len(rows) // clients)
    parts: Iterator[Sequence[dict[str, str]]] = iter([rows[at : at + size] for at in range(0, len(rows), size)])
    problems: Counter[str] = Counter()
    begin, computed = time.perf_counter(), processor_seconds(process)
    async with httpx.AsyncClient(base_url=address, timeout=600) as client:

        async def write() -> None:
            for part in parts:
                if streamed:
                    await stream(client, part, problems)
                else:
                    await send(client, "PUT", "/documents", {"documents": part}, problems)

        await asyncio.gather(*(write() for _ in range(clients)))
        seconds, computed = time.perf_counter() - begin, processor_seconds(process) - computed
        count = (await client.get("/about")).json()["documents"]
    written = count - 1  # All but the one that the index began with.
    figures = {"documents": len(rows), "per_second": written / seconds, "per_processor_second": written / computed}
    return {**figures, "problems": problems, "missing": len(rows) - written}


async def stream(client: httpx.AsyncClient, rows: Sequence[dict[str, str]], problems: Counter[str]) -> None:
    """Write rows as the lines of one request."""

    async def lines() -> AsyncIterator[bytes]:
        for row in rows:
            yield json.dumps(row).encode() + b"\n"

    try:
        response = await client.post("/documents/stream", content=lines())
        problem = "" if response.status_code == 200 else str(response.status_code)
    except httpx.HTTPError as error:
        problem = type(error).__name__
    if problem:
        problems[problem] += 1


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


@dataclass
class Killed:
    """What was acknowledged by a service that is killed again and again, and what was found after each start."""

    texts: dict[str, str | None]
    """The text that each document must have, or None if it must not exist."""
    unanswered: dict[int, dict[str, str | None]] = field(default_factory=dict[int, dict[str, str | None]])
    """By client, what its last request would have made of documents, if no answer came."""
    found: Counter[str] = field(default_factory=Counter[str])
    start_seconds: list[float] = field(default_factory=list[float])

    async def compare(self, client: httpx.AsyncClient, names: Iterable[str]) -> None:
        """Decide which requests without an answer were carried out, and compare documents with their right texts."""
        for changes in self.unanswered.values():
            fetched = {name: await text_of(client, name) for name in changes}
            done = fetched == changes
            self.found["unanswered, done" if done else "unanswered, not done"] += 1
            self.found["in part"] += not done and fetched != {name: self.texts[name] for name in changes}
            self.texts.update(fetched)
        self.unanswered.clear()
        for name in names:
            found = await text_of(client, name)
            self.found["lost or wrong"] += found != self.texts[name]
            self.found["compared"] += 1
        count = (await client.get("/about")).json()["documents"]
        self.found["wrong number"] += count != 1 + sum(text is not None for text in self.texts.values())

    async def round(self, address: str, process: int, clients: int, seed: int) -> None:
        """Compare, let the clients write, and kill the service after a drawn number of answers."""
        dice, ids, answers = np.random.default_rng(seed), [*self.texts], 0
        left = int(dice.integers(1, 30))
        async with httpx.AsyncClient(base_url=address, timeout=600) as client:
            await self.compare(client, dice.choice(ids, 50, replace=False).tolist())

            async def write(number: int) -> None:
                nonlocal answers
                own, draw = ids[number::clients], np.random.default_rng([seed, number])
                while answers < left or not seed % 2:
                    deletes = draw.random() < 0.2
                    names = [own[row] for row in draw.choice(len(own), 10, replace=False)]
                    word = f"{draw.integers(1 << 30)}"
                    changes = {name: None if deletes else f"{word} {name} was written again." for name in names}
                    rows = [{"id": name, "text": text, "language": "en"} for name, text in changes.items()]
                    method, route = ("POST", "/documents/delete") if deletes else ("PUT", "/documents")
                    self.unanswered[number] = changes
                    body = {"ids": names} if deletes else {"documents": rows}
                    if await send(client, method, route, body, self.found) is None:
                        return
                    self.texts.update(self.unanswered.pop(number))
                    answers += 1

            tasks = [asyncio.create_task(write(number)) for number in range(clients)]
            while answers < left:
                await asyncio.sleep(0.01)
            if seed % 2:
                await asyncio.gather(*tasks)
                # The service merges when nothing was written for a second.
                await asyncio.sleep(0.9 + dice.random())
            os.kill(process, signal.SIGKILL)
            await asyncio.gather(*tasks)
            self.found["answers"] += answers


async def text_of(client: httpx.AsyncClient, name: str) -> str | None:
    """Return the text of a document, or None if there is none."""
    response = await client.get(f"/documents/{quote(name, safe='')}")
    return None if response.status_code == 404 else response.raise_for_status().json()["text"]


def kill(command: Sequence[str], index: Path, options: argparse.Namespace, clients: int) -> dict[str, Any]:
    """Kill a service so many times, compare all documents and vectors at the end, and return the figures."""
    killed = Killed(dict.fromkeys(f"{number}" for number in range(500 * clients)))
    for number in range(options.kills + 1):
        begin = time.perf_counter()
        with server(command, options.threads) as (address, process):
            killed.start_seconds.append(time.perf_counter() - begin)
            if number < options.kills:
                asyncio.run(killed.round(address, process, clients, number))
            else:
                asyncio.run(last(killed, address))
        if number % 10 == 0:
            print(number, dict(killed.found), flush=True)
    opened = Index.open(index)
    texts = {name: text for name, text in killed.texts.items() if text is not None}
    cosines = (opened.store.vectors("plain", [*texts]) * opened.encoder.encode([*texts.values()], "passage")).sum(1)
    opened.close()
    wrong = {"documents": len(texts), "vectors of other texts": int((cosines < 0.999).sum())}
    return {"kills": options.kills, "start_seconds": statistics.median(killed.start_seconds), **killed.found, **wrong}


async def last(killed: Killed, address: str) -> None:
    """Compare all documents."""
    async with httpx.AsyncClient(base_url=address, timeout=600) as client:
        await killed.compare(client, killed.texts)


def main() -> None:
    """Measure, print and write the figures."""
    parser = make_parser(__doc__, data_dir=True, threads=True, results="search_writes.json")
    parser.add_argument("--documents", type=int, default=10_000, help="passages to write")
    parser.add_argument("--clients", type=int, default=0, help="number of clients; by default 4, or 32 with --mixed")
    parser.add_argument("--mixed", type=float, default=0.0, help="put mixed load on the service for so many minutes")
    parser.add_argument("--kills", type=int, default=0, help="kill the service so many times")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve_without_model(options.serve)
    rows, figures = documents(options), dict[str, Any]()
    clients = options.clients or (32 if options.mixed else 4)
    for side in ("bundled",) if options.mixed or options.kills else ("bundled", "no model"):
        for size in (10,) if options.mixed or options.kills else (1, 10, 100, 0):
            with tempfile.TemporaryDirectory() as folder:
                index = Path(folder) / "index"
                start = [{"id": "start", "text": "Begin.", "language": "en"}]
                Index.build(start, index, model="bundled" if side == "bundled" else NoModel()).close()
                served = ["-m", "panglot.cli.main", "serve", str(index), "--port", "0", "--writable"]
                command = served if side == "bundled" else [__file__, "--serve", str(index)]
                name = f"{side}, {size} per request" if size else f"{side}, streams"
                if options.kills:
                    figures[name] = kill(command, index, options, clients)
                else:
                    with server(command, options.threads) as (address, process):
                        work = mix(address, process, rows, clients, 60 * options.mixed) if options.mixed else (
                            fill(address, process, rows[: 100 * (size or 100) * clients], size, clients))  # fmt: skip
                        figures[name] = asyncio.run(work)
            print(name, figures[name], flush=True)
    record(options.json, options.threads, clients=clients, figures=figures)
    return None


def serve_without_model(folder: Path) -> None:
    """Serve an index with random vectors."""
    from panglot.service.batcher import Limits
    from panglot.service.middleware import Access
    from panglot.service.serve import serve

    index = Index.open(folder, model=NoModel())
    access = Access(writable=True)
    serve(index, Limits(), port=0, access=access, progress=lambda line: print(line, file=sys.stderr, flush=True))


if __name__ == "__main__":
    main()
