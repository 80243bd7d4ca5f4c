"""Run the two threads behind the routes: one encodes, one ranks and refreshes the index."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from panglot._errors import PanglotError
from panglot.search.request import SearchRequest
from panglot.search.storage.store import pieces
from panglot.service.batcher import Batcher, Encoded, EncodingError, StoppedError
from panglot.service.errors import CLIENT_GONE, RequestError, of_panglot
from panglot.service.limits import Admission, estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from starlette.requests import Request

    from panglot.encoders.protocol import Encoder, Side, Vectors
    from panglot.search.index import Index
    from panglot.service.limits import Limits
    from panglot.service.metrics import Metrics

__all__ = ["Engine", "SentenceEncoder"]

_logger = logging.getLogger(__name__)

_AT_ONCE = 32
"""Sentences of highlights that are encoded together."""

#: An error that names another field is a fault of the service, not of the client.
_REQUEST_FIELDS = frozenset(field.name for field in fields(SearchRequest))

_Result = TypeVar("_Result")


class SentenceEncoder:
    """Encode the sentences of highlights some at a time, so that queries are encoded in between.

    Args:
        encoder: The model.
        lock: Held while the model works.
        gone: Set when nobody waits for the response any more.
    """

    def __init__(self, encoder: Encoder, lock: threading.Lock, gone: threading.Event) -> None:
        self.name, self.fingerprint = encoder.name, encoder.fingerprint
        self._encoder, self._lock, self._gone = encoder, lock, gone

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:  # noqa: ARG002
        """Return one row per text."""
        found: list[Vectors] = []
        for part in pieces(len(texts), _AT_ONCE):
            if self._gone.is_set():
                raise StoppedError
            with self._lock:
                found.append(self._encoder.encode(texts[part], side))
        return np.concatenate(found)


class Engine:
    """Answer many requests at once with one index.

    Only the ranking thread uses the index, which is not made for several threads. The model is used by the encoding
    thread and, for sentences of highlights, by the ranking thread, but never by both at once.

    Args:
        index: The index. Its opener closes it.
        limits: The limits of requests and batches.
        metrics: The figures in which batches are counted.
    """

    def __init__(self, index: Index, limits: Limits, metrics: Metrics) -> None:
        self.index, self.limits = index, limits
        self._model = threading.Lock()
        self._batcher = Batcher(self._encode, limits.batch_tokens, metrics.batch)
        self._ranker = ThreadPoolExecutor(1, "panglot-rank")
        self.admission = Admission(limits, lambda: self._batcher.rate)
        metrics.watch("queue_requests", "Requests in progress", lambda: self.admission.requests)
        metrics.watch("queue_tokens", "Estimated tokens of their texts", lambda: self.admission.tokens)

    async def embed(self, texts: Sequence[str], side: Side, notes: dict[str, Any]) -> tuple[Vectors, int]:
        """Return one vector per text, and the estimated number of their tokens."""
        sizes = [estimate_tokens(text) for text in texts]
        with self.admission.enter(sum(sizes)):
            encoded = await self._encoded(side, texts, sizes, notes)
        return encoded.vectors, sum(sizes)

    async def search(self, request: SearchRequest, notes: dict[str, Any]) -> dict[str, Any]:
        """Return the result of a request as JSON."""
        sizes = [estimate_tokens(request.query)]
        with self.admission.enter(sum(sizes)):
            encoded = await self._encoded("question", [request.query], sizes, notes)
            started = time.monotonic()
            gone = threading.Event()
            sentences = SentenceEncoder(self.index.encoder, self._model, gone)
            try:
                result = await self.ranked(
                    functools.partial(self.index.searcher.search, request, encoded.vectors[0], sentences)
                )
            finally:
                gone.set()
            notes["rank_ms"] = round(1000 * (time.monotonic() - started), 1)
        seconds = {**result.seconds, "wait": encoded.waited, "encode": encoded.seconds}
        return replace(result, seconds=seconds).as_json()

    async def ranked(self, work: Callable[[], _Result]) -> _Result:
        """Return what ``work`` returns, run on the thread that owns the index."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._ranker, work)
        except PanglotError as error:
            if error.field in _REQUEST_FIELDS:
                raise of_panglot(error) from error
            raise

    async def outcome(self, work: Coroutine[object, object, _Result], request: Request) -> _Result:
        """Return what ``work`` returns, but cancel it when time is up or the client has left.

        Raises:
            RequestError: 504 or 499.
        """
        task = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(_gone(request))
        try:
            done, _ = await asyncio.wait({task, gone}, timeout=self.limits.seconds, return_when=asyncio.FIRST_COMPLETED)
            if task in done:
                return task.result()
            if gone in done:
                raise RequestError(CLIENT_GONE, "the client has left")
            problem = f"there was no response within {self.limits.seconds:g} seconds"
            raise RequestError(504, problem, code="time", headers={"Retry-After": "5"})
        finally:
            task.cancel()
            gone.cancel()
            # Work that nobody waits for is dropped before the client hears of it, so that it may ask again at once.
            await asyncio.wait({task, gone})

    async def keep_fresh(self) -> None:
        """Check for a newer version of the index again and again, until cancelled."""
        while True:
            await asyncio.sleep(self.limits.refresh)
            # An index that cannot be read for a moment is logged, and checked again.
            with contextlib.suppress(Exception):
                await self.ranked(self._refresh)

    async def close(self) -> None:
        """Finish the requests in progress, and end both threads."""
        await asyncio.to_thread(self._batcher.close)
        await asyncio.to_thread(self._ranker.shutdown)

    async def _encoded(self, side: Side, texts: Sequence[str], sizes: list[int], notes: dict[str, Any]) -> Encoded:
        try:
            encoded = await asyncio.wrap_future(self._batcher.submit(side, texts, sizes))
        except StoppedError as error:
            raise RequestError(503, "the service is stopping", code="stopping", headers={"Retry-After": "5"}) from error
        except EncodingError as error:
            raise RequestError(500, "the model failed at a text of this request", code="encoding") from error
        notes.update(texts=len(texts), batch=encoded.batch, wait_ms=round(1000 * encoded.waited, 1))
        return encoded

    def _encode(self, texts: Sequence[str], side: Side) -> Vectors:
        with self._model:
            return self.index.encoder.encode(texts, side)

    def _refresh(self) -> None:
        try:
            if self.index.refresh():
                _logger.info("index", extra={"fields": {"documents": sum(self.index.counts().values())}})
        except Exception:
            _logger.exception("the index could not be refreshed")
            raise


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
