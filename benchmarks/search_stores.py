"""Measure search over many vectors with panglot's embedded store, faiss, milvus-lite and LanceDB in one run.

    python benchmarks/search_stores.py --vectors 54000
    python benchmarks/search_stores.py --vectors 1000000 --json benchmarks/results/search_stores_1m.json

The figures of each side are the seconds to build and to open its index, the bytes on disk, p50 and p99 of one query at
a time after 300 others, queries per second of 32 clients (threads), recall@10 against exact search, and peak memory.
Building and searching each have their own process. To lie as the vectors of the bundled model do, vectors and queries
are mixtures of the vectors of two real passages, with at least half of the first. Queries have some noise on top.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from _common import add_hidden, answer, child, figures_table, folder_bytes, make_parser, peak_mib, record, unit
from _search_sides import LANGUAGES, PIECE, SIDES, K, Vectors, pool
from panglot.search.ranking.modes import HEAD, SHARE

QUERIES = 1000


def passage_vectors(name: str, data_dir: Path) -> Vectors:
    """Return the vectors of a data set's passages with the bundled model."""
    import panglot
    from panglot.encoders.cache import cached

    texts = panglot.read(name, data_dir=data_dir).passages["text"].to_pylist()
    return cached(panglot.load("bundled")).encode(texts, "passage")


def mixtures(base: Vectors, count: int, random: np.random.Generator) -> Vectors:
    """Return unit vectors, each a mixture of two vectors of ``base``."""
    one, other = random.integers(0, len(base), (2, count))
    share = random.uniform(0.5, 1, (count, 1)).astype(np.float32)
    return unit(share * base[one] + (1 - share) * base[other])


def write_vectors(path: Path, base: Vectors, count: int) -> Vectors:
    """Write mixtures to a file, and return them memory-mapped."""
    random = np.random.default_rng(0)
    file: Any = np.lib.format.open_memmap(path, "w+", np.float32, (count, base.shape[1]))
    for begin in range(0, count, PIECE):
        end = min(begin + PIECE, count)
        file[begin:end] = mixtures(base, end - begin, random)
    file.flush()
    return mapped(path)


def mapped(path: Path) -> Vectors:
    """Return the vectors of a file, memory-mapped."""
    return np.load(path, mmap_mode="r", allow_pickle=False)


def make_queries(base: Vectors) -> Vectors:
    """Return other mixtures, with noise of a fifth of their length."""
    random = np.random.default_rng(1)
    noise = unit(random.normal(size=(QUERIES, base.shape[1])).astype(np.float32))
    return unit(mixtures(base, QUERIES, random) + noise / 5)


def nearest(vectors: Vectors, queries: Vectors, among: str, *, rounded: bool = False) -> list[list[int]]:
    """Return the ten best rows of each query by brute force, in a pool, over vectors or ``rounded`` ones (float16)."""
    best = np.full((len(queries), K), -np.inf, np.float32)
    rows = np.full((len(queries), K), -1)
    for begin in range(0, len(vectors), PIECE):
        numbers = range(begin, min(begin + PIECE, len(vectors)))
        part = np.array(numbers)[pool(among, numbers)]
        these = vectors[part].astype(np.float16).astype(np.float32) if rounded else vectors[part]
        scores = queries @ these.T
        # Of 10,000,000, most pieces have nothing better for most queries.
        better = np.flatnonzero((scores > best.min(axis=1, keepdims=True)).any(axis=1))
        both = np.hstack([best[better], scores[better]])
        order = np.argsort(-both, axis=1)[:, :K]
        best[better] = np.take_along_axis(both, order, 1)
        every = np.hstack([rows[better], np.broadcast_to(part, (len(better), len(part)))])
        rows[better] = np.take_along_axis(every, order, 1)
    return rows.tolist()


def nearest_balanced(vectors: Vectors, queries: Vectors) -> list[list[int]]:
    """Return the ten best rows of each query by the mode balanced: what stands out in its own language."""
    rows = np.hstack([np.array(nearest(vectors, queries, code)) for code in LANGUAGES])
    found: list[list[int]] = []
    for query, own in zip(queries, rows, strict=True):
        scores = (vectors[own] @ query).reshape(len(LANGUAGES), K)
        balanced = (scores - SHARE * scores[:, :HEAD].mean(axis=1, keepdims=True)).ravel()
        found.append(own[np.argsort(-balanced)[:K]].tolist())
    return found


def pool_of(name: str) -> str:
    """Return which documents a side finds: all, those of a language, a share of them, or by the mode balanced."""
    if "filter" in name:
        return name.rpartition(" ")[2]
    return "balanced" if "balanced" in name else "de" if "language" in name else ""


def build(name: str, folder: Path, vectors: Vectors) -> dict[str, Any]:
    """Build the index of one side."""
    side = SIDES[name][1]()
    begin = time.perf_counter()
    side.build(folder, vectors)
    seconds = time.perf_counter() - begin
    figures: dict[str, Any] = {
        "build_seconds": seconds, "bytes": folder_bytes(folder), "build_peak_mib": peak_mib()
    }  # fmt: skip
    if pieces := getattr(side, "piece_seconds", None):
        # Storing must not become slower as the store grows.
        tenth = max(1, len(pieces) // 10)
        figures["piece_ms"] = {
            "first tenth": 1000 * float(np.mean(pieces[:tenth])), "last tenth": 1000 * float(np.mean(pieces[-tenth:]))
        }  # fmt: skip
    return figures


def search(name: str, folder: Path, vectors: Vectors, queries: Vectors, options: argparse.Namespace) -> dict[str, Any]:
    """Search with one query at a time, then from many threads for some seconds."""
    side = SIDES[name][1]()
    begin = time.perf_counter()
    side.open(folder, vectors)
    opening = time.perf_counter() - begin
    for query in queries[:300]:
        side.search(query)
    time.sleep(3)  # What a store does beside the first searches, such as copying a graph, is done.
    milliseconds: list[float] = []
    found: list[list[int]] = []
    for query in queries:
        begin = time.perf_counter()
        found.append(side.search(query))
        milliseconds.append(1000 * (time.perf_counter() - begin))
    stop = threading.Event()

    def ask(client: int) -> int:
        done = 0
        while not stop.is_set():
            side.search(queries[(client * 31 + done) % len(queries)])
            done += 1
        return done

    with ThreadPoolExecutor(options.clients) as pool:
        begin = time.perf_counter()
        running = [pool.submit(ask, client) for client in range(options.clients)]
        time.sleep(options.seconds)
        stop.set()
        done = sum(each.result() for each in running)
        rate = done / (time.perf_counter() - begin)
    p50, p99 = np.percentile(milliseconds, [50, 99])
    return {
        "open_seconds": opening, "p50_ms": p50, "p99_ms": p99, "clients": options.clients, "questions_per_second": rate,
        "search_peak_mib": peak_mib(), "found": found,
    }  # fmt: skip


def run_stage(options: argparse.Namespace) -> dict[str, Any]:
    """Build or search one side's index in this process."""
    vectors = mapped(options.folder / "vectors.npy")
    folder = options.folder / SIDES[options.side][0]
    if options.stage == "build":
        folder.mkdir()
        return build(options.side, folder, vectors)
    queries = np.load(options.folder / "queries.npy", allow_pickle=False)
    return search(options.side, folder, vectors, queries, options)


def main() -> None:
    """Run all sides, then print and write their figures."""
    options = parse_arguments()
    if options.answer:
        answer(options.answer, run_stage(options))
        return
    work = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        sides, conditions = compare(work, options)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    record(options.json, **conditions, sides=sides)
    columns = {
        "build s": "{build_seconds:.0f}",
        "MB": "{megabytes:.0f}",
        "open s": "{open_seconds:.2f}",
        "p50 ms": "{p50_ms:.2f}",
        "p99 ms": "{p99_ms:.2f}",
        "questions/s": "{questions_per_second:.0f}",
        "recall@10": "{recall@10:.4f}",
        "MiB": "{search_peak_mib:.0f}",
    }
    print(figures_table("store", columns, {n: {**side, "megabytes": side["bytes"] / 1e6} for n, side in sides.items()}))


def compare(work: Path, options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the figures of each side, and the conditions that all sides share."""
    base = passage_vectors(options.on, options.data_dir)
    vectors, queries = write_vectors(work / "vectors.npy", base, options.vectors), make_queries(base)
    np.save(work / "queries.npy", queries)
    of = {name: pool_of(name) for name in options.only or SIDES}
    truth: dict[str, list[list[int]]] = {
        each: nearest_balanced(vectors, queries) if each == "balanced" else nearest(vectors, queries, each)
        for each in set(of.values())
    }
    built: dict[str, dict[str, Any]] = {}
    sides: dict[str, Any] = {}
    for name in options.only or SIDES:
        index = SIDES[name][0]
        same: dict[str, Any] = {"folder": work, "clients": options.clients, "seconds": options.seconds, "side": name}
        if index not in built:
            built[index] = child(**same, stage="build")
        figures = child(**same, stage="search")
        found = figures.pop("found")
        share = recall(found, truth[of[name]])
        sides[name] = {**built[index], **figures, "recall@10": share}
        if name == "panglot":
            # Its store rounds vectors, so that in a dense set an exact search would not find all either.
            kept = nearest(vectors, queries, "", rounded=True)
            sides[name] |= {"recall@10 of the rounded": recall(found, kept), "rounded exact": recall(kept, truth[""])}
        print(f"{name}: recall@10 {share:.4f}, p50 {figures['p50_ms']:.2f} ms", flush=True)
    conditions = {"vectors": len(vectors), "dimension": vectors.shape[1], "questions": len(queries), "k": K}
    return sides, {**conditions, "mixed_from": len(base), "on": options.on}


def recall(found: list[list[int]], right: list[list[int]]) -> float:
    """Return the mean share of the right rows that were found."""
    return float(np.mean([len({*one} & {*other}) / K for one, other in zip(found, right, strict=True)]))


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__, data_dir=True, results="search_stores.json")
    parser.add_argument("--vectors", type=int, default=54_000, help="number of vectors to search")
    parser.add_argument("--on", default="xquad-r", help="data set whose passage vectors are mixed")
    parser.add_argument("--clients", type=int, default=32, help="number of threads that search at once")
    parser.add_argument("--seconds", type=float, default=10, help="seconds for which the threads search")
    parser.add_argument("--only", nargs="+", choices=SIDES, help="sides to run; default: all")
    parser.add_argument("--folder", type=Path, help="folder to build indexes in; default: the system's temporary one")
    add_hidden(parser, side=str, stage=str)
    return parser.parse_args()


if __name__ == "__main__":
    main()
