"""Encode the texts of many requests together, and write to the index, each on a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar, get_args

import numpy as np

from panglot.encoders.protocol import Side, Vectors

if TYPE_CHECKING:
    from panglot.search.storage.store import Store

_logger = logging.getLogger(__name__)


def share(waiting: Sequence[Sequence[int]], budget: int) -> list[int]:
    """Return how many texts of each waiting request form the next batch.

    Requests take turns, the oldest first, with one text each, until the next text would exceed the budget. A query
    therefore does not wait behind the thousands of texts of an earlier request, and the oldest request always moves.

    ``waiting`` has for each request, oldest first, the tokens of each of its remaining texts. ``budget`` is the tokens
    per batch. The first text is taken whatever its size.

    >>> share([[5, 5, 5, 5], [3], [2]], 16)
    [2, 1, 1]
    >>> share([[90], [3]], 16)
    [1, 0]
    """
    counts = [0] * len(waiting)
    left = budget
    turns = deque(request for request, sizes in enumerate(waiting) if sizes)
    while turns:
        request = turns.popleft()
        size = waiting[request][counts[request]]
        if size > left and left < budget:
            break
        counts[request] += 1
        left -= size
        if counts[request] < len(waiting[request]):
            turns.append(request)
    return counts


class Encoded(NamedTuple):
    """The vectors of one request, one row per text."""

    vectors: Vectors
    waited: float  # Seconds until its first text was encoded.
    seconds: float  # Seconds from then on.
    batch: int  # Texts of all requests in the largest batch that it was part of.


class EncodingError(Exception):
    """The encoder failed at a text of this request."""


class StoppedError(Exception):
    """The service accepts no more requests."""


@dataclass(eq=False)
class _Job:
    side: Side
    texts: Sequence[str]
    sizes: Sequence[int]
    future: Future[Encoded] = field(default_factory=Future[Encoded])
    rows: list[Vectors] = field(default_factory=list["Vectors"])
    done: int = 0
    batch: int = 0
    submitted: float = field(default_factory=time.monotonic)
    started: float = 0.0


class Batcher:
    """Encode submitted texts batch by batch. Each batch is formed when the one before it is done.

    A cancelled request is dropped before it is encoded. If a batch fails, its requests are tried one by one, so that
    only those fail that fail alone.

    ``encode`` returns one row per text. ``budget`` is in tokens per batch. ``on_batch`` is called with the number of
    texts and the seconds of each batch.
    """

    def __init__(
        self, encode: Callable[[Sequence[str], Side], Vectors], budget: int,
        on_batch: Callable[[int, float], None] = lambda _texts, _seconds: None,
    ) -> None:  # fmt: skip
        self._encode, self._budget, self._on_batch = encode, budget, on_batch
        self._changed = threading.Condition()
        self._jobs: list[_Job] = []
        self.rate = 0.0
        """Tokens encoded per second lately."""
        self.stopping = False
        self.busy_since: float | None = None
        """When the batch that is encoded now began, in seconds of the monotonic clock."""
        # A daemon, so that an encoder that never returns does not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="panglot-encode", daemon=True)
        self._thread.start()

    def submit(self, side: Side, texts: Sequence[str], sizes: Sequence[int]) -> Future[Encoded]:
        """Return the coming vectors of at least one text, given the tokens of each. Cancel the future to drop them."""
        job = _Job(side, texts, sizes)
        with self._changed:
            if self.stopping:
                raise StoppedError
            self._jobs.append(job)
            self._changed.notify()
        return job.future

    def close(self) -> None:
        """Refuse new requests, finish those that were submitted, and return."""
        with self._changed:
            self.stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            started = self.busy_since = time.monotonic()
            # Both sides have prompts of their own, which an encoder takes one at a time.
            for side in get_args(Side):
                if pieces := [piece for piece in batch if piece[0].side == side]:
                    self._encode_together(side, pieces)
            self.busy_since, seconds = None, time.monotonic() - started
            sizes = [size for job, texts in batch for size in job.sizes[job.done - len(texts) : job.done]]
            rate = sum(sizes) / max(seconds, 1e-6)  # a coarse clock may not have moved
            # A moving average, because batches differ in size.
            self.rate = 0.8 * self.rate + 0.2 * rate if self.rate else rate
            self._on_batch(len(sizes), seconds)

    def _next(self) -> list[tuple[_Job, Sequence[str]]]:
        """Wait for texts and return the next batch, which is empty when all is done and no more comes."""
        with self._changed:
            while True:
                # A future that is done was cancelled by its client, or failed in an earlier batch.
                self._jobs = [job for job in self._jobs if job.done < len(job.texts) and not job.future.done()]
                if self._jobs or self.stopping:
                    break
                self._changed.wait()
            counts = share([job.sizes[job.done :] for job in self._jobs], self._budget)
            chosen = [(job, count) for job, count in zip(self._jobs, counts, strict=True) if count]
        batch: list[tuple[_Job, Sequence[str]]] = []
        for job, count in chosen:
            job.started = job.started or time.monotonic()
            job.batch = max(job.batch, sum(counts))
            batch.append((job, job.texts[job.done : job.done + count]))
            job.done += count
        return batch

    def _encode_together(self, side: Side, pieces: list[tuple[_Job, Sequence[str]]]) -> None:
        texts = [text for _, part in pieces for text in part]
        try:
            vectors = self._encode_checked(side, texts)
        except Exception:
            _logger.exception("a batch failed")
            if len(pieces) > 1:
                for piece in pieces:
                    self._encode_together(side, [piece])
            elif (future := pieces[0][0].future).set_running_or_notify_cancel():
                future.set_exception(EncodingError())
            return
        begin = 0
        for job, part in pieces:
            _deliver(job, vectors[begin : begin + len(part)])
            begin += len(part)

    def _encode_checked(self, side: Side, texts: list[str]) -> Vectors:
        vectors = self._encode(texts, side)
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            raise ValueError(f"the encoder must return {len(texts)} finite rows, got shape {vectors.shape}")
        return vectors


def _deliver(job: _Job, vectors: Vectors) -> None:
    job.rows.append(vectors)
    # A future that the client cancelled takes no result.
    if job.done == len(job.texts) and job.future.set_running_or_notify_cancel():
        seconds = time.monotonic() - job.started
        rows = job.rows[0] if len(job.rows) == 1 else np.concatenate(job.rows)
        job.future.set_result(Encoded(rows, job.started - job.submitted, seconds, job.batch))


_IDLE = 1.0
"""Seconds without a write after which the store is tidied up."""
_MOST = 1_000
"""Writes after which the store is tidied up even if more are waiting."""

_Result = TypeVar("_Result")


class Writer:
    """Carry out submitted writes in their order.

    A write is answered when it is safe. The store merges what many writes have left, and makes graphs of it, when no
    more writes wait. Another thread does that, so that no client waits for it.
    """

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._tidying: threading.Thread | None = None
        self._stopping = False

    def submit(self, work: Callable[[], _Result]) -> Future[_Result]:
        """Return the coming result of ``work``. Cancel the future to drop it, unless it has begun."""
        if self._stopping:
            raise StoppedError
        future: Future[_Result] = Future()

        def carry_out() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except Exception as error:  # noqa: BLE001  (the client gets it)
                    future.set_exception(error)

        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="panglot-write", daemon=True)
            self._thread.start()
        self._jobs.put(carry_out)
        return future

    def close(self) -> None:
        """Finish the writes that were submitted, and return. The next write merges what they leave."""
        self._stopping = True
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
        if self._tidying is not None:
            self._tidying.join()

    def _run(self) -> None:
        while job := self._jobs.get():
            try:
                with contextlib.ExitStack() as stack:
                    stack.enter_context(self._store().bulk())
                    self._write_until_idle(job)
                    block = stack.pop_all()
            except StoppedError:
                return
            except Exception:
                _logger.exception("the documents could not be written")
                continue
            self._tidying = threading.Thread(
                target=_tidy, args=(block, self._tidying), name="panglot-tidy", daemon=True
            )
            self._tidying.start()

    def _write_until_idle(self, job: Callable[[], None]) -> None:
        job()
        with contextlib.suppress(queue.Empty):
            for _ in range(_MOST):
                following = self._jobs.get(timeout=_IDLE)
                if following is None:
                    # Merging many documents takes longer than a stop may take.
                    raise StoppedError
                following()


def _tidy(bulk: contextlib.ExitStack, before: threading.Thread | None) -> None:
    """Leave a block of writes, after the one before it."""
    if before is not None:
        before.join()
    try:
        bulk.close()
    except Exception:
        # All writes have been answered. The next one tries this again.
        _logger.exception("the documents that were written could not be merged")
