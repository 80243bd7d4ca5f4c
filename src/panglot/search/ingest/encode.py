"""A corpus becomes vectors, shard by shard, and goes on where it was killed."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache, partial
from itertools import chain, islice
from multiprocessing import connection, get_context, parent_process
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot._environment import machine
from panglot._errors import PanglotError
from panglot._progress import be_quiet
from panglot._progress import progress as progress_bar
from panglot.search.ingest.shards import Shard, ShardCache, encoded

if TYPE_CHECKING:
    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.search.document import Document

SHARD = 1024
"""Documents of a shard: some ten seconds of a CPU, which is what a kill costs at most."""

_Make = Callable[[Iterator[Shard]], Iterator[tuple[Shard, "Vectors"]]]


def encode_documents(
    documents: Iterable[Sequence[Document]],
    encoder: Encoder,
    folder: str | Path,
    *,
    on: str = "",
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[list[Document], Vectors]]:
    """Yield documents and their vectors, a shard at a time, in the order of the documents.

    A shard is :data:`SHARD` documents in a row. Its vectors are kept in ``folder``, under a name that says from which
    encoder, texts, ids and languages they come, with a checksum; a shard that is there and sound is never made again.
    So the same call goes on after a kill at any moment, and after a change of some documents makes only the shards
    that are affected. Memory holds one shard, two for each process, or eight for each processor of a Ray cluster. The
    bytes of a shard are the same wherever it is made, as long as the encoder computes the same numbers there; a model
    on a processor of another kind, or in another number of threads, may round otherwise.

    Inside :func:`panglot._progress.progress`, its bar is advanced by documents.

    Args:
        documents: The documents in pieces of any size, as :func:`panglot.search.ingest.documents.read_documents`
            yields them.
        encoder: What makes vectors. For processes and Ray it must go through ``pickle``; all of panglot's do.
        folder: Where shards are kept; whoever called may remove it when all is done.
        on: ``""`` for this process, ``processes:N`` for N others on this machine, ``ray`` for the Ray cluster that
            ``RAY_ADDRESS`` names, else one that is started on this machine, ``ray://host:port`` for a cluster far away.
        progress: Called with a line about damaged shards, and at the end how many were made and how many were there.

    Raises:
        PanglotError: At once, if ``on`` is none of these. While encoding: the encoder fails, the folder cannot be
            written, a process dies, or Ray is not there.
    """
    shelf = ShardCache(Path(folder), progress)
    return _reported(_maker(on, encoder, shelf)(_shards(documents, encoder.fingerprint)), shelf, progress)


def _reported(
    done: Iterator[tuple[Shard, Vectors]], shelf: ShardCache, progress: Callable[[str], None]
) -> Iterator[tuple[list[Document], Vectors]]:
    for shard, vectors in done:
        yield list(shard.documents), vectors
    progress(f"shards encoded: {shelf.made:,}" + (f"; there already: {shelf.found:,}" if shelf.found else ""))


def _shards(documents: Iterable[Sequence[Document]], fingerprint: str) -> Iterator[Shard]:
    flat = chain.from_iterable(documents)
    while part := tuple(islice(flat, SHARD)):
        yield Shard(part, fingerprint)


def _maker(on: str, encoder: Encoder, shelf: ShardCache) -> _Make:
    kind, _, rest = on.partition(":")
    if not on:
        return partial(_here, encoder, shelf)
    if kind == "processes" and rest.isascii() and rest.isdigit() and int(rest):
        return partial(on_processes, encoder, shelf, int(rest))
    if on == "ray" or (kind == "ray" and rest.startswith("//") and len(rest) > 2):
        from panglot.search.ingest.ray import on_ray

        return partial(on_ray, encoder, shelf, "" if on == "ray" else on)
    raise PanglotError(f"cannot encode on {on!r}", field="on", hint="write processes:N, ray or ray://host:port")


def _here(encoder: Encoder, shelf: ShardCache, shards: Iterator[Shard]) -> Iterator[tuple[Shard, Vectors]]:
    for shard in shards:
        vectors = shelf.get(shard)
        if vectors is None:
            data = encoded(encoder, shard.key, shard.ids, shard.texts, shard.languages)
            vectors = shelf.put(shard, data)
        else:
            with progress_bar("encoding", None) as advance:
                advance(len(vectors))
        yield shard, vectors


def packed(encoder: Encoder) -> bytes:
    """Return the encoder as it travels.

    Raises:
        PanglotError: It cannot.
    """
    try:
        return bytes(ForkingPickler.dumps(encoder))
    except Exception as error:  # Pickling raises whatever the object does.
        raise PanglotError(
            f"the encoder {encoder.name} cannot go to other processes: {error}", field="on", hint="encode in this one"
        ) from error


def work(
    encoder: bytes, key: str, ids: Sequence[str], texts: Sequence[str], languages: Sequence[str], threads: int = 0
) -> bytes:
    """Return :func:`panglot.search.ingest.shards.encoded` with an encoder that travelled, opened once a process."""
    be_quiet()
    opened = _opened(encoder)
    if threads and (torch := sys.modules.get("torch")):
        torch.set_num_threads(threads)
    return encoded(opened, key, ids, texts, languages)


@lru_cache(maxsize=1)
def _opened(encoder: bytes) -> Encoder:
    pickler: Any = ForkingPickler  # what `packed` made in the parent process, never a file
    return pickler.loads(encoder)


AHEAD = 2
"""Shards of each process that are made or wait to be yielded."""


def on_processes(
    encoder: Encoder, shelf: ShardCache, count: int, shards: Iterator[Shard]
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
            "a process that encodes has died", field="on", hint="take fewer, they may need too much memory; then go on"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _kept(task: Future[bytes], shelf: ShardCache, shard: Shard) -> Future[Vectors]:
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
    with progress_bar("encoding", None) as advance:
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
