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

from panglot._errors import PanglotError
from panglot.search.wish import Wish
from panglot.service.admission import Admission
from panglot.service.batcher import Batcher, Encoded, EncodingError, Kind, StoppedError
from panglot.service.errors import RequestError, of_panglot
from panglot.service.limits import tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from panglot.encoders.protocol import Vectors
    from panglot.search.answer import Answer
    from panglot.service.limits import Limits
    from panglot.service.metrics import Metrics
    from panglot.service.searchable import Searchable

LOG = logging.getLogger(__name__)
ASKED = frozenset({"question", *(field.name for field in fields(Wish))})
"""Fields of a request: an error that names another one is not the client's."""
Result = TypeVar("Result")


class Engine:
    """Answers with an index, for many requests at once.

    The index is touched by one thread alone. Its model is used by the encoding thread, and by the ranking thread for
    highlights only, never by both at once.

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

    async def embed(self, texts: Sequence[str], kind: Kind, notes: dict[str, Any]) -> tuple[Vectors, int]:
        """Return one vector a text and how many tokens they have, estimated."""
        sizes = [tokens(text) for text in texts]
        with self.admission.enter(sum(sizes)):
            encoded = await self._encoded(kind, texts, sizes, notes)
        return encoded.vectors, sum(sizes)

    async def search(self, question: str, wish: Wish, notes: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a question as JSON."""
        sizes = [tokens(question)]
        with self.admission.enter(sum(sizes)):
            encoded = await self._encoded("search", [question], sizes, notes)
            begun = time.monotonic()
            answer = await self.ranked(functools.partial(self._answer, question, encoded.vectors[0], wish))
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

    async def _encoded(self, kind: Kind, texts: Sequence[str], sizes: list[int], notes: dict[str, Any]) -> Encoded:
        try:
            encoded = await asyncio.wrap_future(self._batcher.submit(kind, texts, sizes))
        except StoppedError as error:
            raise RequestError(503, "the service stops", code="stopping", headers={"Retry-After": "5"}) from error
        except EncodingError as error:
            raise RequestError(500, "the model failed at a text of this request", code="encoding") from error
        notes.update(texts=len(texts), batch=encoded.batch, wait_ms=round(1000 * encoded.waited, 1))
        return encoded

    def _encode(self, texts: Sequence[str], kind: Kind) -> Vectors:
        with self._model:
            return self.index.encode(texts) if kind == "search" else self.index.encoder.encode(texts, kind)

    def _answer(self, question: str, vector: Vectors, wish: Wish) -> Answer:
        with self._model if wish.highlight else contextlib.nullcontext():
            return self.index.answer(question, vector, wish)

    def _refresh(self) -> None:
        try:
            if self.index.refresh():
                LOG.info("index", extra={"fields": {"documents": sum(self.index.counts().values())}})
        except Exception:
            LOG.exception("the index could not be looked at")
            raise
