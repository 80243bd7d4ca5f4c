"""Admit requests, so many at once and per minute, and encode the texts of many together on a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, fields
from typing import NamedTuple, get_args

import numpy as np

from panglot._errors import PanglotError
from panglot.encoders.protocol import Side, Vectors
from panglot.service.errors import RequestError

_logger = logging.getLogger(__name__)

_MOST_TOKENS = 512  # Of one text. Most models read no more.


@dataclass(frozen=True)
class Limits:
    """Limits of a service. Requests above them are refused at once instead of waiting without end.

    Attributes:
        queue: Requests in progress or waiting. The next one gets status 429.
        queue_tokens: Tokens of those requests that do not fit into one batch. A single request may have more.
        batch_tokens: Tokens that are encoded together. A request waits for at most one batch before its own.
        body: Bytes of a request for embeddings, or to write documents. Other requests may have 256 KiB at most. Larger
            ones get status 413.
        texts: Texts per request for embeddings.
        documents: Documents per request to write them.
        characters: Characters per text.
        seconds: Time for a request to arrive, and again for its response. Then it gets status 408 or 504.
        refresh: Seconds between two checks for a newer version of the index.
    """

    queue: int = 256
    queue_tokens: int = 131_072
    batch_tokens: int = 2_048
    body: int = 8 << 20
    texts: int = 2_048
    documents: int = 500
    characters: int = 100_000
    seconds: float = 60.0
    refresh: float = 5.0

    def __post_init__(self) -> None:
        """Refuse limits that nothing can meet."""
        for each in fields(self):
            value = getattr(self, each.name)
            if not 0 < value < math.inf:
                problem = f"`{each.name}` must be a number above 0, got {value}"
                raise PanglotError(problem, field=each.name, hint="give a positive number")


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text without a tokenizer, as a quarter of its bytes in UTF-8 and a prompt.

    For a subword vocabulary, the estimate is right to a factor of about 2 in any script. It is 512 at most.

    >>> estimate_tokens("Wie drucke ich nur einen Teil?"), estimate_tokens("表の一部だけを印刷するには?")
    (11, 14)
    >>> estimate_tokens("a" * 10_000)
    512
    """
    return min(_MOST_TOKENS, len(text.encode("utf-8", "replace")) // 4 + 4)


class Admission:
    """Count the requests in progress. Only the event loop uses it, so that it needs no lock."""

    def __init__(self, limits: Limits, rate: Callable[[], float]) -> None:
        self._limits, self._rate = limits, rate
        self.requests = self.tokens = self._large = 0

    @contextlib.contextmanager
    def enter(self, tokens: int) -> Generator[None]:
        """Count a request as in progress until the block ends, or refuse it with status 429 and the seconds to wait.

        Requests that fit into one batch are limited in number only, so that a large one never keeps them out. If no
        other request is large, the new one may have any number of tokens.
        """
        large = tokens if tokens > self._limits.batch_tokens else 0
        too_large = large and self._large and self._large + large > self._limits.queue_tokens
        if self.requests >= self._limits.queue or too_large:
            rate = self._rate()
            wait = min(60, max(1, round(self.tokens / rate))) if rate > 0 else 1
            problem, hint = "too many requests are waiting", "try again later"
            raise RequestError(429, problem, hint=hint, code="queue_full", headers={"Retry-After": str(wait)})
        self.requests, self.tokens, self._large = self.requests + 1, self.tokens + tokens, self._large + large
        try:
            yield
        finally:
            self.requests, self.tokens, self._large = self.requests - 1, self.tokens - tokens, self._large - large


class Rates:
    """Bound the requests per minute of each key, all of which may come at once. Only the event loop uses it.

    >>> rates = Rates()
    >>> [rates.take("key", 2, now) for now in (0.0, 0.0)], rates.take("other", 2, 0.0), rates.take("key", 2, 30.0)
    ([None, None], None, None)
    >>> rates.take("key", 2, 45.0)
    Traceback (most recent call last):
    panglot.service.errors.RequestError: ...
    """

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}  # By key, how many were left, and when.

    def take(self, key: str, per_minute: int, now: float) -> None:
        """Count a request of a known key at a time in seconds, or refuse it with status 429. 0 allows any number."""
        if not per_minute:
            return
        left, before = self._left.get(key, (float(per_minute), now))
        left = min(per_minute, left + (now - before) * per_minute / 60)
        # Sums of parts of a minute are not exact, and whoever waited as long as told must not be refused.
        allowed = left > 1 - 1e-6
        self._left[key] = max(0.0, left - allowed), now
        if not allowed:
            wait = {"Retry-After": str(math.ceil((1 - left) * 60 / per_minute))}
            problem = f"this key may send {per_minute:,} requests per minute"
            raise RequestError(429, problem, hint="send fewer, or wait", code="key_rate", headers=wait)


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
