"""Encodes the texts of many requests together, on a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, get_args

import numpy as np

from panglot.encoders.protocol import Side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.encoders.protocol import Vectors


def share(waiting: Sequence[Sequence[int]], budget: int) -> list[int]:
    """Return how many texts of each waiting request form the next batch.

    The requests take turns, the oldest first, with one text each, until the next text would exceed the budget. So a
    question does not wait behind the thousands of texts of an earlier request, and the oldest request always moves.

    Args:
        waiting: For each request, oldest first, the tokens of its texts that are left.
        budget: Tokens of a batch. The first text is taken whatever its size.

    >>> share([[5, 5, 5, 5], [3], [2]], 16)
    [2, 1, 1]
    >>> share([[90], [3]], 16)
    [1, 0]
    """
    taken = [0] * len(waiting)
    left = budget
    turns = deque(place for place, sizes in enumerate(waiting) if sizes)
    while turns:
        place = turns.popleft()
        size = waiting[place][taken[place]]
        if size > left and left < budget:
            break
        taken[place] += 1
        left -= size
        if taken[place] < len(waiting[place]):
            turns.append(place)
    return taken


LOG = logging.getLogger(__name__)


class Encoded(NamedTuple):
    """The vectors of one request.

    Attributes:
        vectors: One row a text.
        waited: Seconds until its first text was encoded.
        seconds: Seconds from then on.
        batch: Texts in the largest batch that it was in, those of other requests counted.
    """

    vectors: Vectors
    waited: float
    seconds: float
    batch: int


class EncodingError(Exception):
    """The encoder failed at a text of this request."""


class StoppedError(Exception):
    """The service takes no more requests."""


@dataclass(eq=False)
class _Job:
    kind: Side
    texts: Sequence[str]
    sizes: Sequence[int]
    future: Future[Encoded] = field(default_factory=Future[Encoded])
    rows: list[Vectors] = field(default_factory=list["Vectors"])
    done: int = 0
    batch: int = 0
    submitted: float = field(default_factory=time.monotonic)
    begun: float = 0.0


class _Piece(NamedTuple):
    """The texts of a request that are in the next batch."""

    job: _Job
    texts: Sequence[str]


class Batcher:
    """Encodes what was submitted, batch by batch; a batch is formed when the one before it is done.

    A request that was cancelled is dropped before it is encoded. Where a batch fails, its requests are tried one by
    one, so that only those fail that fail alone.

    Args:
        encode: Gives one row a text.
        budget: Tokens of a batch.
        seen: Told the texts and seconds of each batch.
    """

    def __init__(
        self,
        encode: Callable[[Sequence[str], Side], Vectors],
        budget: int,
        seen: Callable[[int, float], None] = lambda _texts, _seconds: None,
    ) -> None:
        self._encode, self._budget, self._seen = encode, budget, seen
        self._changed = threading.Condition()
        self._jobs: list[_Job] = []
        self._stopping = False
        self.rate = 0.0
        """Tokens a second, lately."""
        self._thread = threading.Thread(target=self._run, name="panglot-encode", daemon=True)
        self._thread.start()

    def submit(self, kind: Side, texts: Sequence[str], sizes: Sequence[int]) -> Future[Encoded]:
        """Return the coming vectors of a request; cancel the future to drop it.

        Args:
            kind: What the texts are encoded for.
            texts: At least one.
            sizes: The tokens of each.

        Raises:
            StoppedError: :meth:`close` was called.
        """
        job = _Job(kind, texts, sizes)
        with self._changed:
            if self._stopping:
                raise StoppedError
            self._jobs.append(job)
            self._changed.notify()
        return job.future

    def close(self) -> None:
        """Refuse what is submitted from now on, finish what was submitted before, and return."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            begun = time.monotonic()
            for kind in get_args(Side):
                if pieces := [piece for piece in batch if piece.job.kind == kind]:
                    self._together(kind, pieces)
            spent = time.monotonic() - begun
            texts = [size for job, part in batch for size in job.sizes[job.done - len(part) : job.done]]
            now = sum(texts) / max(spent, 1e-6)
            self.rate = 0.8 * self.rate + 0.2 * now if self.rate else now
            self._seen(len(texts), spent)

    def _next(self) -> list[_Piece]:
        """Wait for texts and return the next batch; nothing when all is done and no more comes."""
        with self._changed:
            while True:
                self._jobs = [job for job in self._jobs if job.done < len(job.texts) and not job.future.done()]
                if self._jobs or self._stopping:
                    break
                self._changed.wait()
            counts = share([job.sizes[job.done :] for job in self._jobs], self._budget)
            chosen = [(job, count) for job, count in zip(self._jobs, counts, strict=True) if count]
        batch: list[_Piece] = []
        for job, count in chosen:
            job.begun = job.begun or time.monotonic()
            job.batch = max(job.batch, sum(counts))
            batch.append(_Piece(job, job.texts[job.done : job.done + count]))
            job.done += count
        return batch

    def _together(self, kind: Side, pieces: list[_Piece]) -> None:
        try:
            vectors = self._vectors(kind, [text for piece in pieces for text in piece.texts])
        except Exception:
            LOG.exception("a batch failed")
            if len(pieces) == 1:
                _fail(pieces[0].job)
                return
            for piece in pieces:
                self._together(kind, [piece])
            return
        begin = 0
        for job, texts in pieces:
            _deliver(job, vectors[begin : begin + len(texts)])
            begin += len(texts)

    def _vectors(self, kind: Side, texts: list[str]) -> Vectors:
        vectors = self._encode(texts, kind)
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            raise ValueError("the encoder did not give one row of numbers a text")
        return vectors


def _deliver(job: _Job, vectors: Vectors) -> None:
    job.rows.append(vectors)
    if job.done == len(job.texts) and job.future.set_running_or_notify_cancel():
        seconds = time.monotonic() - job.begun
        whole = job.rows[0] if len(job.rows) == 1 else np.concatenate(job.rows)
        job.future.set_result(Encoded(whole, job.begun - job.submitted, seconds, job.batch))


def _fail(job: _Job) -> None:
    if job.future.set_running_or_notify_cancel():
        job.future.set_exception(EncodingError())
