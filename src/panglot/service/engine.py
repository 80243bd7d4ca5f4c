"""The two threads behind the routes: one encodes, one ranks and keeps the index up to date."""

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
from panglot.search.storage.vectors import pieces
from panglot.service.batcher import Batcher, Encoded, EncodingError, StoppedError
from panglot.service.errors import RequestError, of_panglot
from panglot.service.limits import Admission, tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from panglot.encoders.protocol import Encoder, Side, Vectors
    from panglot.service.limits import Limits
    from panglot.service.metrics import Metrics
    from panglot.service.routes import Searchable

LOG = logging.getLogger(__name__)
ASKED = frozenset(field.name for field in fields(SearchRequest))
"""Fields of a request: an error that names another one is not the client's."""
AT_ONCE = 32
"""Sentences that are encoded together for highlights."""
Result = TypeVar("Result")


class Sentences:
    """The model as highlights use it: some texts at a time, so that questions come in between.

    Args:
        encoder: The model.
        lock: Held while it works.
        gone: Set when nobody waits for the answer any more.
    """

    def __init__(self, encoder: Encoder, lock: threading.Lock, gone: threading.Event) -> None:
        self.name, self.fingerprint = encoder.name, encoder.fingerprint
        self._encoder, self._lock, self._gone = encoder, lock, gone

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        """Return one row a text."""
        del ids
        found: list[Vectors] = []
        for part in pieces(len(texts), AT_ONCE):
            if self._gone.is_set():
                raise StoppedError
            with self._lock:
                found.append(self._encoder.encode(texts[part], side))
        return np.concatenate(found)


class Engine:
    """Answers with an index, for many requests at once.

    The index is touched by one thread alone. Its model is used by the encoding thread, and by the ranking thread for
    sentences of highlights only, never by both at once.

    Args:
        index: The index; whoever opened it closes it.
        limits: How many requests may be inside, and how much is encoded together.
        metrics: Told the batches.
    """

    def __init__(self, index: Searchable, limits: Limits, metrics: Metrics) -> None:
        self.index, self.limits = index, limits
        self._model = threading.Lock()
        self._batcher = Batcher(self._encode, limits.batch_tokens, metrics.batch)
        self._ranker = ThreadPoolExecutor(1, "panglot-rank")
        self.admission = Admission(limits, lambda: self._batcher.rate)
        metrics.watch("queue_requests", "Requests that are inside", lambda: self.admission.requests)
        metrics.watch("queue_tokens", "Tokens of their texts, estimated", lambda: self.admission.tokens)

    async def embed(self, texts: Sequence[str], kind: Side, notes: dict[str, Any]) -> tuple[Vectors, int]:
        """Return one vector a text and how many tokens they have, estimated."""
        sizes = [tokens(text) for text in texts]
        with self.admission.enter(sum(sizes)):
            encoded = await self._encoded(kind, texts, sizes, notes)
        return encoded.vectors, sum(sizes)

    async def search(self, request: SearchRequest, notes: dict[str, Any]) -> dict[str, Any]:
        """Return the result of a request as JSON."""
        sizes = [tokens(request.query)]
        with self.admission.enter(sum(sizes)):
            encoded = await self._encoded("question", [request.query], sizes, notes)
            begun = time.monotonic()
            gone = threading.Event()
            sentences = Sentences(self.index.encoder, self._model, gone)
            work = functools.partial(self.index.searcher.search, request, encoded.vectors[0], sentences)
            try:
                answer = await self.ranked(work)
            finally:
                gone.set()
            notes["rank_ms"] = round(1000 * (time.monotonic() - begun), 1)
        seconds = {**answer.seconds, "wait": encoded.waited, "encode": encoded.seconds}
        return replace(answer, seconds=seconds).as_json()

    async def ranked(self, work: Callable[[], Result]) -> Result:
        """Return what ``work`` returns, run on the thread that owns the index."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._ranker, work)
        except PanglotError as error:
            if error.field in ASKED:
                raise of_panglot(error) from error
            raise

    async def keep_fresh(self) -> None:
        """Look for a newer version of the index again and again, until cancelled."""
        while True:
            await asyncio.sleep(self.limits.refresh)
            with contextlib.suppress(Exception):
                await self.ranked(self._refresh)

    async def close(self) -> None:
        """Finish what is inside, and end both threads."""
        await asyncio.to_thread(self._batcher.close)
        await asyncio.to_thread(self._ranker.shutdown)

    async def _encoded(self, kind: Side, texts: Sequence[str], sizes: list[int], notes: dict[str, Any]) -> Encoded:
        try:
            encoded = await asyncio.wrap_future(self._batcher.submit(kind, texts, sizes))
        except StoppedError as error:
            raise RequestError(503, "the service stops", code="stopping", headers={"Retry-After": "5"}) from error
        except EncodingError as error:
            raise RequestError(500, "the model failed at a text of this request", code="encoding") from error
        notes.update(texts=len(texts), batch=encoded.batch, wait_ms=round(1000 * encoded.waited, 1))
        return encoded

    def _encode(self, texts: Sequence[str], kind: Side) -> Vectors:
        with self._model:
            return self.index.encoder.encode(texts, kind)

    def _refresh(self) -> None:
        try:
            if self.index.refresh():
                LOG.info("index", extra={"fields": {"documents": sum(self.index.counts().values())}})
        except Exception:
            LOG.exception("the index could not be looked at")
            raise
