"""Shards made by several processes of this machine."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from typing import TYPE_CHECKING

from panglot._environment import machine
from panglot._errors import PanglotError
from panglot.encoders.progress import progress
from panglot.search._shards import Shard, Shelf
from panglot.search._worker import packed, work

if TYPE_CHECKING:
    from panglot.encoders.protocol import Encoder, Vectors

AHEAD = 2
"""Shards of each process that are made or wait to be yielded."""


def on_processes(
    encoder: Encoder, shelf: Shelf, count: int, shards: Iterator[Shard]
) -> Iterator[tuple[Shard, Vectors]]:
    """Yield each shard with its vectors, in order; those that are not on the shelf are made by ``count`` processes.

    The processes share the processors. They end with this one, however it ends.

    Raises:
        PanglotError: The encoder fails or cannot travel, or a process dies.
    """
    threads = max(1, int(machine()["cores"]) // count)
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_start)
    waiting: deque[tuple[Shard, Vectors | Future[Vectors]]] = deque()
    sent = packed(encoder)
    try:
        for shard in shards:
            found = shelf.get(shard)
            if found is None:
                task = pool.submit(work, sent, shard.key, shard.ids, shard.texts, shard.languages, threads)
                found = _kept(task, shelf, shard)
            waiting.append((shard, found))
            while len(waiting) >= AHEAD * count:
                yield _done(*waiting.popleft())
        while waiting:
            yield _done(*waiting.popleft())
    except BrokenProcessPool as error:
        raise PanglotError(
            "a process that encodes has died", field="on", cure="take fewer, they may need too much memory; then go on"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _kept(task: Future[bytes], shelf: Shelf, shard: Shard) -> Future[Vectors]:
    """Return the vectors to come, which are on the shelf as soon as they are there, whoever waits for others."""
    kept: Future[Vectors] = Future()

    def keep(done: Future[bytes]) -> None:
        if done.cancelled():
            kept.cancel()
        elif error := done.exception():
            kept.set_exception(error)
        else:
            try:
                kept.set_result(shelf.put(shard, done.result()))
            except PanglotError as unwritten:
                kept.set_exception(unwritten)

    task.add_done_callback(keep)
    return kept


def _done(shard: Shard, vectors: Vectors | Future[Vectors]) -> tuple[Shard, Vectors]:
    found = vectors.result() if isinstance(vectors, Future) else vectors
    with progress("encoding", None) as advance:
        advance(len(found))
    return shard, found


def _start() -> None:
    """Let this process end with its parent, and at Ctrl-C without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
