"""Search over many vectors: panglot's embedded store beside faiss, milvus-lite and LanceDB, in one run.

    python benchmarks/search_stores.py --vectors 54000
    python benchmarks/search_stores.py --vectors 1000000 --json benchmarks/results/search_stores_1m.json

For each side: seconds to build, bytes on the disk, seconds to open, p50 and p99 of one question at a time, questions
per second of 32 clients (threads), recall@10 against exact search, and peak memory while building and while searching,
in a process of its own each. Vectors and questions are mixtures of two vectors of real passages, half to all of the one
and the rest of the other, so that they lie as the bundled model's do; questions have some noise beside.
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
import numpy.typing as npt

from _common import DATA, RESULTS, answer, child, peak_mib, record, table
from _search_sides import PIECE, SIDES, K, Vectors, language

QUESTIONS = 1000


def real(name: str, data_dir: Path) -> Vectors:
    """Return the vectors of a set's passages by the bundled model."""
    import panglot
    from panglot.encoders.cache import cached

    texts = panglot.read(name, data_dir=data_dir).passages["text"].to_pylist()
    return cached(panglot.load("bundled")).encode(texts, "passage")


def mixed(base: Vectors, count: int, dice: np.random.Generator) -> Vectors:
    """Return mixtures of two vectors each, of unit length."""
    one, other = dice.integers(0, len(base), (2, count))
    share = dice.uniform(0.5, 1, (count, 1)).astype(np.float32)
    return unit(share * base[one] + (1 - share) * base[other])


def made(path: Path, base: Vectors, count: int) -> Vectors:
    """Write so many mixtures, and return them mapped."""
    dice = np.random.default_rng(0)
    held: Any = np.lib.format.open_memmap(path, "w+", np.float32, (count, base.shape[1]))
    for begin in range(0, count, PIECE):
        end = min(begin + PIECE, count)
        held[begin:end] = mixed(base, end - begin, dice)
    held.flush()
    return mapped(path)


def mapped(path: Path) -> Vectors:
    """Return the vectors of a file."""
    return np.load(path, mmap_mode="r", allow_pickle=False)


def unit(vectors: npt.NDArray[Any]) -> Vectors:
    """Return vectors of unit length."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def asked(base: Vectors) -> Vectors:
    """Return questions: other mixtures, with noise of a fifth of their length."""
    dice = np.random.default_rng(1)
    noise = unit(dice.normal(size=(QUESTIONS, base.shape[1])).astype(np.float32))
    return unit(mixed(base, QUESTIONS, dice) + noise / 5)


def nearest(vectors: Vectors, questions: Vectors, wanted: str) -> list[list[int]]:
    """Return the ten best rows of each question by brute force, of one language or, where it is empty, of all."""
    best = np.full((len(questions), K), -np.inf, np.float32)
    rows = np.full((len(questions), K), -1)
    for begin in range(0, len(vectors), PIECE):
        part = np.arange(begin, min(begin + PIECE, len(vectors)))
        part = part[[not wanted or language(int(row)) == wanted for row in part]]
        scores = np.hstack([best, questions @ vectors[part].T])
        order = np.argsort(-scores, axis=1)[:, :K]
        rows = np.take_along_axis(np.hstack([rows, np.broadcast_to(part, (len(questions), len(part)))]), order, 1)
        best = np.take_along_axis(scores, order, 1)
    return rows.tolist()


def build(name: str, folder: Path, vectors: Vectors) -> dict[str, Any]:
    """Build one side's index."""
    begin = time.perf_counter()
    SIDES[name][1]().build(folder, vectors)
    seconds = time.perf_counter() - begin
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {"build_seconds": seconds, "bytes": size, "build_peak_mib": peak_mib()}


def search(
    name: str, folder: Path, vectors: Vectors, questions: Vectors, clients: int, seconds: float
) -> dict[str, Any]:
    """Ask one at a time, then from many threads for some seconds."""
    side = SIDES[name][1]()
    begin = time.perf_counter()
    side.open(folder, vectors)
    opening = time.perf_counter() - begin
    for question in questions[:50]:
        side.search(question)
    spent: list[float] = []
    found: list[list[int]] = []
    for question in questions:
        begin = time.perf_counter()
        found.append(side.search(question))
        spent.append(1000 * (time.perf_counter() - begin))
    stop = threading.Event()

    def ask(client: int) -> int:
        done = 0
        while not stop.is_set():
            side.search(questions[(client * 31 + done) % len(questions)])
            done += 1
        return done

    with ThreadPoolExecutor(clients) as pool:
        begin = time.perf_counter()
        running = [pool.submit(ask, client) for client in range(clients)]
        time.sleep(seconds)
        stop.set()
        done = sum(each.result() for each in running)
        rate = done / (time.perf_counter() - begin)
    p50, p99 = np.percentile(spent, [50, 99])
    return {
        "open_seconds": opening, "p50_ms": p50, "p99_ms": p99, "clients": clients, "questions_per_second": rate,
        "search_peak_mib": peak_mib(), "found": found,
    }  # fmt: skip


def main() -> None:
    """Run all sides, or as a child one of them; print and write what was found."""
    options = parser().parse_args()
    if options.answer:
        work, name = options.folder, options.side
        vectors = mapped(work / "vectors.npy")
        folder = work / SIDES[name][0]
        if options.stage == "build":
            folder.mkdir()
            answer(options.answer, build(name, folder, vectors))
        else:
            questions = np.load(work / "questions.npy", allow_pickle=False)
            answer(options.answer, search(name, folder, vectors, questions, options.clients, options.seconds))
        return
    work = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        sides, about = compared(work, options)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    record(options.json, **about, sides=sides)
    head = ["store", "build s", "MB", "open s", "p50 ms", "p99 ms", "questions/s", "recall@10", "MiB"]
    rows = [
        [
            name,
            f"{side['build_seconds']:.0f}",
            f"{side['bytes'] / 1e6:.0f}",
            f"{side['open_seconds']:.2f}",
            f"{side['p50_ms']:.2f}",
            f"{side['p99_ms']:.2f}",
            f"{side['questions_per_second']:.0f}",
            f"{side['recall@10']:.4f}",
            f"{side['search_peak_mib']:.0f}",
        ]
        for name, side in sides.items()
    ]
    print(table(head, rows))


def compared(work: Path, options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what each side did, and what it was asked."""
    base = real(options.on, options.data_dir)
    vectors, questions = made(work / "vectors.npy", base, options.vectors), asked(base)
    np.save(work / "questions.npy", questions)
    truth = {wanted: nearest(vectors, questions, wanted) for wanted in ("", "de")}
    common = ["--folder", str(work), "--clients", str(options.clients), "--seconds", str(options.seconds)]
    built: dict[str, dict[str, Any]] = {}
    sides: dict[str, Any] = {}
    for name in options.only or SIDES:
        index = SIDES[name][0]
        given = [*common, "--side", name]
        if index not in built:
            built[index] = child("search_stores.py", [*given, "--stage", "build"])
        done = child("search_stores.py", [*given, "--stage", "search"])
        pairs = zip(done.pop("found"), truth["de" if "language" in name else ""], strict=True)
        recall = float(np.mean([len({*found} & {*right}) / K for found, right in pairs]))
        sides[name] = {**built[index], **done, "recall@10": recall}
        print(f"{name}: recall@10 {recall:.4f}, p50 {done['p50_ms']:.2f} ms", flush=True)
    about = {"vectors": len(vectors), "dimension": vectors.shape[1], "questions": len(questions), "k": K}
    return sides, {**about, "mixed_from": len(base), "on": options.on}


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--vectors", type=int, default=54_000, help="how many to make")
    found.add_argument("--on", default="xquad-r", help="the set whose passages' vectors are mixed")
    found.add_argument("--data-dir", type=Path, default=DATA, help="the folder of data sets")
    found.add_argument("--clients", type=int, default=32)
    found.add_argument("--seconds", type=float, default=10, help="how long the clients ask")
    found.add_argument("--only", nargs="+", choices=SIDES, help="some sides only")
    found.add_argument("--folder", type=Path, help="where indexes are built; by default the system's temporary folder")
    found.add_argument("--json", type=Path, default=RESULTS / "search_stores.json")
    found.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    found.add_argument("--stage", choices=("build", "search"), help=argparse.SUPPRESS)
    found.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    return found


if __name__ == "__main__":
    main()
