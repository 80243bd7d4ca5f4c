"""Encode documents shard by shard, here, in processes or on a Ray cluster, and resume after a kill.

A shard is a file with the vectors of some documents, made wherever, whose name says what they were made of.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import chain, islice
from multiprocessing import connection, get_context, parent_process
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._environment import machine
from panglot._errors import PanglotError
from panglot._files import atomic_file, digest
from panglot._progress import be_quiet
from panglot._progress import progress as progress_bar
from panglot.encoders.protocol import LanguageAware
from panglot.search.storage.store import check_encoded

if TYPE_CHECKING:
    from panglot.encoders.protocol import CutTexts, Encoder, Vectors
    from panglot.search.document import Document

SHARD = 1024
"""Documents of a shard: some ten seconds of a CPU, which is the most that a kill loses."""

_AHEAD = 2  # Shards per process that are being made or wait to be yielded.
_WAVE = 8  # The same, per processor of a Ray cluster.

_LAYOUT = "1"
"""Part of each shard's name. Raise it when the content of the files changes."""

_CHECKSUM = 32
"""Bytes of the SHA-256 at the end of a shard."""


def encode_documents(
    documents: Iterable[Sequence[Document]],
    encoder: Encoder,
    folder: str | Path,
    *,
    on: str = "",
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[list[Document], Vectors]]:
    """Yield documents and their vectors, a shard at a time, in the order of the documents.

    A shard is :data:`SHARD` documents in a row. Its vectors are kept in ``folder``, with a checksum, under a name that
    depends on encoder, texts, ids and languages. A shard that is there and sound is never made again. The same call
    therefore resumes after a kill at any moment, and after a change of some documents it makes only the shards that are
    affected. Memory holds one shard, two for each process, or eight for each processor of a Ray cluster. The bytes of a
    shard are the same wherever it is made, if the encoder computes the same numbers there. A model on another kind of
    processor or with another number of threads may round otherwise.

    Args:
        documents: Pieces of any size, as :func:`panglot.search.ingest.documents.read_documents` yields them.
        encoder: What makes vectors. For processes and Ray, ``pickle`` must be able to copy it, as all of panglot's.
        folder: Where shards are kept. The caller may remove it when all is done.
        on: ``""`` for this process, ``processes:N`` for N others on this machine, ``ray`` for the Ray cluster that
            ``RAY_ADDRESS`` names, or else one that is started on this machine, ``ray://host:port`` for a remote one.
        progress: Called with a line about damaged shards, and at the end about how many were made and found.

    Raises:
        PanglotError: At once, if ``on`` is none of these. While encoding: the encoder fails, the folder cannot be
            written, a process dies, or Ray is not there.
    """
    cache = ShardCache(Path(folder), progress)
    make = _maker(on, encoder, cache)

    def made() -> Iterator[tuple[list[Document], Vectors]]:
        for shard, vectors in make(_shards(documents, encoder.fingerprint)):
            yield list(shard.documents), vectors
        progress(f"shards encoded: {cache.made:,}" + (f"; found: {cache.found:,}" if cache.found else ""))

    return made()


def _shards(documents: Iterable[Sequence[Document]], fingerprint: str) -> Iterator[Shard]:
    flat = chain.from_iterable(documents)
    while part := tuple(islice(flat, SHARD)):
        yield Shard(part, fingerprint)


_Made = Iterator[tuple["Shard", "Vectors"]]
_Submit = Callable[[tuple[Any, ...]], Future[bytes]]  # Takes a task of a shard. See `work`.


def _maker(on: str, encoder: Encoder, cache: ShardCache) -> Callable[[Iterator[Shard]], _Made]:
    kind, _, rest = on.partition(":")
    if not on:
        return partial(_here, encoder, cache)
    if kind == "processes" and rest.isascii() and rest.isdigit() and int(rest):
        return partial(_elsewhere, _processes(encoder, int(rest)), cache)
    if on == "ray" or (kind == "ray" and rest.startswith("//") and len(rest) > 2):
        return partial(_elsewhere, _cluster(encoder, "" if on == "ray" else on), cache)
    raise PanglotError(f"cannot encode on {on!r}", field="on", hint="write processes:N, ray or ray://host:port")


def _here(encoder: Encoder, cache: ShardCache, shards: Iterator[Shard]) -> _Made:
    for shard in shards:
        vectors = cache.get(shard)
        if vectors is not None:
            yield _done(shard, vectors)
        else:
            # Here the encoder itself advances the bar.
            yield shard, cache.put(shard, encode_shard(encoder, *shard.task))


def _elsewhere(
    workers: contextlib.AbstractContextManager[tuple[_Submit, int]], cache: ShardCache, shards: Iterator[Shard]
) -> _Made:
    """Yield each shard with its vectors, in order. ``workers`` make missing ones, so many ahead."""
    waiting: deque[tuple[Shard, Vectors | Future[Vectors]]] = deque()
    with contextlib.ExitStack() as stack:
        submit: _Submit | None = None
        ahead = 1
        for shard in shards:
            found = cache.get(shard)
            if found is None:
                if submit is None:
                    # Connecting to a cluster takes seconds, so that it waits until there is something to encode.
                    submit, ahead = stack.enter_context(workers)
                found = _cached(submit(shard.task), cache, shard)
            waiting.append((shard, found))
            while len(waiting) >= ahead:
                yield _done(*waiting.popleft())
        while waiting:
            yield _done(*waiting.popleft())


def _cached(task: Future[bytes], cache: ShardCache, shard: Shard) -> Future[Vectors]:
    """Return the vectors to come. They are in the cache as soon as they are made, though others are awaited first."""
    cached: Future[Vectors] = Future()

    def put(done: Future[bytes]) -> None:
        if done.cancelled():
            cached.cancel()
        elif error := done.exception():
            cached.set_exception(error)
        else:
            try:
                cached.set_result(cache.put(shard, done.result()))
            except PanglotError as unwritten:
                cached.set_exception(unwritten)

    task.add_done_callback(put)
    return cached


@contextlib.contextmanager
def _processes(encoder: Encoder, count: int) -> Generator[tuple[_Submit, int]]:
    """Start ``count`` processes, which share the processors and end with this one, however it ends."""
    packed, threads = pack(encoder), max(1, int(machine()["cores"]) // count)
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_start)
    try:
        yield lambda task: pool.submit(work, packed, task, threads), _AHEAD * count
    except BrokenProcessPool as error:
        hint = "use fewer processes, they may need too much memory, and run the same command again"
        raise PanglotError("a process that encodes has died", field="on", hint=hint) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _done(shard: Shard, vectors: Vectors | Future[Vectors]) -> tuple[Shard, Vectors]:
    """Return both, and advance the progress bar by a shard that was not encoded in this process."""
    found = vectors.result() if isinstance(vectors, Future) else vectors
    with progress_bar("encoding", None) as advance:
        advance(len(found))
    return shard, found


def _start() -> None:
    """Let this process end with its parent, and at Ctrl-C without a message."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@contextlib.contextmanager
def _cluster(encoder: Encoder, address: str) -> Generator[tuple[_Submit, int]]:
    """Connect to Ray, whose workers make shards, each on one processor, or on one GPU if the cluster has some.

    Texts go to the workers and shards come back, so that the nodes need no folder in common. They need panglot, and the
    model under the same name.
    """
    from panglot.data.ray import cluster

    with cluster(address, "encoding on a cluster") as ray:
        there = ray.cluster_resources()
        need = "GPU" if there.get("GPU", 0) >= 1 else "CPU"
        encode = ray.remote(**{f"num_{need.lower()}s": 1})(work)
        packed = ray.put(pack(encoder))
        try:
            yield lambda task: encode.remote(packed, task).future(), _WAVE * max(1, int(there.get(need, 1)))
        except ray.exceptions.RayError as error:
            if isinstance(cause := getattr(error, "cause", None), PanglotError):
                raise cause from None
            last = str(error).strip().rpartition("\n")[2] or type(error).__name__
            problem = f"encoding in Ray's workers failed: {last}"
            raise PanglotError(problem, field="on", hint="install the same panglot on all nodes") from error


def columns(documents: Sequence[Document]) -> tuple[list[str], list[str], list[str]]:
    """Return what an encoder sees of documents: their ids, titles with texts, and languages."""
    return (
        [each.id for each in documents],
        [each.full_text for each in documents],
        [each.language for each in documents],
    )


@dataclass(frozen=True)
class Shard:
    """Documents that are encoded together by the encoder with this fingerprint."""

    documents: tuple[Document, ...]
    fingerprint: str

    @cached_property
    def key(self) -> str:
        """The digest of the encoder and of all that it sees of the documents."""
        return digest(_LAYOUT, self.fingerprint, *chain.from_iterable(columns(self.documents)))

    @property
    def task(self) -> tuple[str, list[str], list[str], list[str]]:
        """What :func:`encode_shard` takes besides the encoder."""
        return self.key, *columns(self.documents)


def vectors_of(encoder: Encoder, ids: Sequence[str], texts: Sequence[str], languages: Sequence[str]) -> Vectors:
    """Return the checked vectors of documents, shape ``[documents, dimension]``."""
    if isinstance(encoder, LanguageAware):
        found = encoder.encode(texts, "passage", ids=ids, languages=languages)
    else:
        found = encoder.encode(texts, "passage", ids=ids)
    return check_encoded(found, ids, encoder)


def encoded(encoder: Encoder, documents: Sequence[Document], cuts: CutTexts) -> Vectors:
    """Return the checked vectors of documents, and count among ``cuts`` the texts that the encoder cuts."""
    ids, texts, languages = columns(documents)
    cuts.add(texts)
    return vectors_of(encoder, ids, texts, languages)


def encode_shard(
    encoder: Encoder, key: str, ids: Sequence[str], texts: Sequence[str], languages: Sequence[str]
) -> bytes:
    """Return the content of a shard's file: its vectors as ``.npy``, then the SHA-256 of key and vectors."""
    file = io.BytesIO()
    np.save(file, vectors_of(encoder, ids, texts, languages), allow_pickle=False)
    return file.getvalue() + _checksum(key, file.getvalue())


def pack(encoder: Encoder) -> bytes:
    """Return an encoder as bytes for other processes."""
    try:
        return bytes(ForkingPickler.dumps(encoder))
    except Exception as error:  # Pickling raises whatever the object does.
        problem = f"the encoder {encoder.name} cannot go to other processes: {error}"
        raise PanglotError(problem, field="on", hint="encode in this one") from error


def work(encoder: bytes, task: tuple[str, list[str], list[str], list[str]], threads: int = 0) -> bytes:
    """Return :func:`encode_shard` of a :attr:`Shard.task` with a packed encoder, opened once per process."""
    be_quiet()
    opened = _unpacked(encoder)
    # Only encoders of torch use its threads, and they have imported it.
    if threads and (torch := sys.modules.get("torch")):
        torch.set_num_threads(threads)
    return encode_shard(opened, *task)


@lru_cache(maxsize=1)
def _unpacked(encoder: bytes) -> Encoder:
    pickler: Any = ForkingPickler  # It reads what `pack` made in the parent process, never a file.
    return pickler.loads(encoder)


class ShardCache:
    """The folder of shards. It counts those that were ``found`` in it and those that were ``made``."""

    def __init__(self, folder: Path, progress: Callable[[str], None] = lambda _: None) -> None:
        self.folder, self._progress = folder, progress
        self.found = self.made = 0

    def get(self, shard: Shard) -> Vectors | None:
        """Return the vectors of a shard, shape ``[documents, dimension]``, or None if it is missing or damaged."""
        path = self._path(shard)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            data = b""
        vectors = _vectors(shard, data)
        if vectors is None:
            self._progress(f"{path}: damaged, and is made again")
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        else:
            self.found += 1
        return vectors

    def put(self, shard: Shard, data: bytes) -> Vectors:
        """Write what :func:`encode_shard` returned, as a whole or not at all, and return the vectors."""
        vectors = _vectors(shard, data)
        if vectors is None:
            raise PanglotError("a shard was damaged on its way here", file=self._path(shard), hint="try again")
        with atomic_file(self._path(shard)) as part:
            part.write_bytes(data)
        self.made += 1
        return vectors

    def _path(self, shard: Shard) -> Path:
        return self.folder / f"{shard.key[:32]}.npy"


def _vectors(shard: Shard, data: bytes) -> Vectors | None:
    vectors, checksum = data[:-_CHECKSUM], data[-_CHECKSUM:]
    if _checksum(shard.key, vectors) != checksum:
        return None
    return np.load(io.BytesIO(vectors), allow_pickle=False)


def _checksum(key: str, data: bytes) -> bytes:
    return hashlib.sha256(key.encode() + data).digest()
