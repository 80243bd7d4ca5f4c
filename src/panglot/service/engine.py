"""Run the threads behind the routes: one encodes, one writes, one per core ranks."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from starlette.requests import Request

from panglot._environment import cores
from panglot._errors import PanglotError
from panglot.encoders.light import LightEncoder
from panglot.encoders.protocol import Side, Vectors, Windowed
from panglot.search.document import Document
from panglot.search.query_language import query_language
from panglot.search.ranking.reranking import highlighted, sentences_of
from panglot.search.request import Hit, SearchRequest, SearchResult
from panglot.search.searcher import with_fields
from panglot.search.storage.store import Doubles, pieces
from panglot.service.batcher import Admission, Batcher, Encoded, EncodingError, Limits, StoppedError, estimate_tokens
from panglot.service.errors import CLIENT_GONE, RequestError, of_panglot
from panglot.service.writer import Writer

if TYPE_CHECKING:
    from panglot.search.index import Index
    from panglot.service.middleware import Metrics

_logger = logging.getLogger(__name__)

#: An error that names another field is a fault of the service, not of the client.
_REQUEST_FIELDS = frozenset(field.name for field in fields(SearchRequest))
_DOCUMENT_FIELDS = frozenset(field.name for field in fields(Document))

_MANY_HITS = 100  # More become JSON on a thread that ranks.
_PAIRS = 32  # Pairs of query and text that the cross-encoder scores at a time.

#: Tokens that are encoded without torch. In bfloat16, only batches of several queries count. Whoever had so many will
#: have more, and torch is faster for them.
_WITHOUT_TORCH = 1 << 11

_Result = TypeVar("_Result")


class Engine:
    """Answer many requests at once with one index, which its opener closes, or with one that is put in its place.

    Only the encoding thread uses the model, and only the writing thread changes the index. The ranking threads share
    the index, and one of them refreshes it at a time. A search that is under way meanwhile may meet two versions, as it
    may when another process writes.
    """

    def __init__(self, index: Index, limits: Limits, metrics: Metrics, others: Sequence[Engine] = ()) -> None:
        self.index, self.limits = index, limits
        if isinstance(index.encoder, LightEncoder):
            index.encoder.limit = _WITHOUT_TORCH
        # Indexes with one model share the thread that encodes, and all share the limits of the process.
        same = [each._batcher for each in others if each.index.encoder is index.encoder]
        self._batcher = same[0] if same else Batcher(index.encoder.encode, limits.batch_tokens, metrics.batch)
        self._writer = Writer(lambda: self.index.store)
        self._given = index
        self._retired: list[tuple[float, Index]] = []  # Indexes that were replaced, and when.
        self._ranker = others[0]._ranker if others else ThreadPoolExecutor(max(2, cores()), "panglot-rank")
        # A hybrid search after a write waits for the words of all documents, which must not keep out others.
        self._words = others[0]._words if others else ThreadPoolExecutor(max(2, cores()), "panglot-words")
        self._ranker_seen = time.monotonic()
        # The detection of languages takes a moment to open, for which the first search would wait.
        self._ranker.submit(query_language, "", tuple(index.counts()))
        if others:
            self.admission = others[0].admission
            return
        self.admission = Admission(limits, lambda: self._batcher.rate)
        metrics.watch("queue_requests", "Requests in progress", lambda: self.admission.requests)
        metrics.watch("queue_tokens", "Estimated tokens of their texts", lambda: self.admission.tokens)

    async def embed(self, texts: Sequence[str], side: Side, notes: dict[str, Any]) -> tuple[Vectors, dict[str, int]]:
        """Return one vector per text as the model of the index gives it, and what OpenAI calls ``usage``.

        This has the estimated number of tokens, and the number of texts that the model cut, if it can say that.
        """
        sizes = [estimate_tokens(text) for text in texts]
        with self.admission.enter(sum(sizes)):
            vectors = await self._debiased(side, texts, sizes, notes)
            usage = {"prompt_tokens": sum(sizes), "total_tokens": sum(sizes), **await self._cut(texts, side)}
        return vectors, usage

    async def rerank(self, query: str, texts: Sequence[str], notes: dict[str, Any]) -> tuple[Doubles, Doubles]:
        """Return how well each text answers a query, as the model gives it, and from 0 to 1.

        The model is the cross-encoder, whose scores become shares by the logistic function. Without one it is the
        encoder, whose cosines c become (1 + c) / 2. Both have one order.
        """
        sizes = [estimate_tokens(text) for text in texts]
        size = estimate_tokens(query)
        reranker = self.index.searcher.reranker
        with self.admission.enter(size + sum(sizes)):
            if reranker is None:
                vector = (await self._debiased("question", [query], [size], {}))[0]
                cosines = (await self._debiased("passage", texts, sizes, notes) @ vector).astype(np.float64)
                return cosines, (1 + cosines) / 2
            parts: list[Doubles] = []
            # Piece by piece, so that a client that leaves does not occupy a thread.
            for part in pieces(len(texts), _PAIRS):
                work = functools.partial(reranker.scores, query, texts[part], logits=True)
                parts.append(await self.ranked(work))
        logits = np.concatenate(parts)
        return logits, np.exp(-np.logaddexp(0, -logits))

    async def _debiased(self, side: Side, texts: Sequence[str], sizes: list[int], notes: dict[str, Any]) -> Vectors:
        """Return one vector per text as the model of the index gives it."""
        vectors = (await self._encoded(side, texts, sizes, notes)).vectors
        if self.index.debiased:
            return await self.ranked(functools.partial(self.index.debias, texts, vectors, side))
        return vectors

    async def upsert(
        self, rows: Sequence[Any], read: Callable[[], tuple[list[Document], list[str]]], notes: dict[str, Any]
    ) -> dict[str, Any]:
        """Write the documents that ``read`` makes of rows, all of them or none, and return what was done."""
        # What is refused because too much waits must not cost the detection of its languages.
        with self.admission.enter(sum(estimate_tokens(str(row)) for row in rows)):
            documents, noted = await asyncio.to_thread(read)
            texts = [each.full_text for each in documents]
            sizes = [estimate_tokens(text) for text in texts]
            vectors = (await self._encoded("passage", texts, sizes, notes)).vectors
            cut = await self._cut(texts, "passage")
            # Another index may be served when it is the turn of this request.
            await self._written(lambda: self.index.put(documents, vectors), notes)
        return {"written": len(documents), **cut, "notes": noted}

    async def delete(self, ids: Sequence[str], notes: dict[str, Any]) -> dict[str, int]:
        """Delete documents, and return how many were there."""
        with self.admission.enter(0):
            return {"deleted": await self._written(lambda: self.index.delete(ids), notes)}

    async def _written(self, work: Callable[[], _Result], notes: dict[str, Any]) -> _Result:
        """Return what ``work`` returns, run on the thread that writes, when it is its turn."""
        started = time.monotonic()
        try:
            return await asyncio.wrap_future(self._writer.submit(work))
        except StoppedError as error:
            raise _stopping() from error
        except PanglotError as error:
            if error.field in _DOCUMENT_FIELDS:
                raise of_panglot(error) from error
            fields = {"problem": error.problem, "hint": error.hint}
            _logger.error("the index could not be written", extra={"fields": fields})  # noqa: TRY400
            hint = "nothing of this request was written. The log of the service has the reason"
            raise RequestError(500, "the index could not be written", hint=hint, code="write") from error
        finally:
            notes["write_ms"] = round(1000 * (time.monotonic() - started), 1)

    async def _cut(self, texts: Sequence[str], side: Side) -> dict[str, int]:
        """Return how many texts the model cuts, if it can say that."""
        if not isinstance(encoder := self.index.encoder, Windowed):
            return {}
        windows = await asyncio.to_thread(encoder.window, texts, side)
        return {"cut_texts": sum(end - begin < len(text) for (begin, end), text in zip(windows, texts, strict=True))}

    async def search(
        self, requests: Sequence[SearchRequest], notes: dict[str, Any], *, several: bool = False
    ) -> list[dict[str, Any]]:
        """Return the results of requests as JSON. Their queries are encoded together.

        With ``several``, errors name the search by its number.
        """
        queries = [request.query for request in requests]
        sizes = [estimate_tokens(query) for query in queries]
        with self.admission.enter(sum(sizes)):
            encoded = await self._encoded("question", queries, sizes, notes)
            started = time.monotonic()
            results: list[SearchResult] = []
            # One after the other, so that many searches of one client do not take all threads.
            for number, (request, vector) in enumerate(zip(requests, encoded.vectors, strict=True)):
                work = functools.partial(self.index.searcher.find, request, vector)
                place = f"searches.{number}." if several else ""
                results.append(await self.ranked(work, place, self._words if request.hybrid else None))
            notes["rank_ms"] = round(1000 * (time.monotonic() - started), 1)
        found: list[dict[str, Any]] = []
        for request, vector, result in zip(requests, encoded.vectors, results, strict=True):
            hits = await self._highlighted(result, vector) if request.highlight else result.hits
            seconds = {**result.seconds, "wait": encoded.waited, "encode": encoded.seconds}
            whole = with_fields(replace(result, hits=hits, seconds=seconds), request.fields)
            # Thousands of hits would hold up other requests here.
            found.append(await self.ranked(whole.as_json) if len(hits) > _MANY_HITS else whole.as_json())
        return found

    async def _highlighted(self, result: SearchResult, query: Vectors) -> tuple[Hit, ...]:
        """Return hits with their best sentences, which wait for their turn as the texts of any request do."""
        sentences = await asyncio.to_thread(sentences_of, result.hits, self.index.encoder)
        vectors = query[None][:0]
        if sentences.texts:
            sizes = [estimate_tokens(text) for text in sentences.texts]
            with self.admission.enter(sum(sizes)):
                encoded = await self._encoded("passage", sentences.texts, sizes, {})
            vectors = encoded.vectors
        return highlighted(result.hits, sentences, vectors, query, result.language, self.index.debiasing)

    async def ranked(
        self, work: Callable[[], _Result], place: str = "", pool: ThreadPoolExecutor | None = None
    ) -> _Result:
        """Return what ``work`` returns, run on one of the threads that rank, or of another ``pool``.

        ``place`` is put before the name of a field that is wrong.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(pool or self._ranker, work)
        except PanglotError as error:
            if error.field in _REQUEST_FIELDS:
                raise of_panglot(error, place) from error
            raise

    async def outcome(self, work: Coroutine[object, object, _Result], request: Request) -> _Result:
        """Return what ``work`` returns, but cancel it when time is up (504) or the client has left (499)."""
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

    def unready(self) -> str | None:
        """Return why a search sent now would not be answered in time, or None."""
        now = time.monotonic()
        if self._batcher.stopping:
            return "the service is stopping"
        if now - (self._batcher.busy_since or now) > self.limits.seconds:
            return f"the model has encoded one batch for more than {self.limits.seconds:g} seconds"
        if now - self._ranker_seen > self.limits.refresh + self.limits.seconds:
            return f"the index has not answered for more than {self.limits.seconds:g} seconds"
        return None

    async def keep_fresh(self) -> None:
        """Check for a newer version of the index again and again, until cancelled."""
        while True:
            await asyncio.sleep(self.limits.refresh)
            # An index that cannot be read for a moment is logged, and checked again.
            with contextlib.suppress(Exception):
                await self.ranked(self._refresh)
            self._ranker_seen = time.monotonic()

    async def close(self) -> None:
        """Finish the requests in progress, and end the threads."""
        await asyncio.to_thread(self._batcher.close)
        await asyncio.to_thread(self._writer.close)
        for pool in (self._ranker, self._words):
            await asyncio.to_thread(pool.shutdown)
        self._retired.append((0.0, self.index))
        self._close_retired()

    async def _encoded(self, side: Side, texts: Sequence[str], sizes: list[int], notes: dict[str, Any]) -> Encoded:
        try:
            encoded = await asyncio.wrap_future(self._batcher.submit(side, texts, sizes))
        except StoppedError as error:
            raise _stopping() from error
        except EncodingError as error:
            raise RequestError(500, "the model failed at a text of this request", code="encoding") from error
        notes.update(texts=len(texts), batch=encoded.batch, wait_ms=round(1000 * encoded.waited, 1))
        return encoded

    def _close_retired(self, seconds: float = 0.0) -> None:
        """Close the indexes that were replaced so many seconds ago, except the one that was given."""
        due = [each for each in self._retired if time.monotonic() - each[0] >= seconds]
        self._retired = [each for each in self._retired if each not in due]
        for _, index in due:
            if index is not self._given:
                index.close()

    def _refresh(self) -> None:
        try:
            # By then, no request that began with one of them goes on.
            self._close_retired(2 * self.limits.seconds)
            if (successor := self.index.successor()) is not None:
                # Requests in progress may end with the old index or go on with this one, as both have the same model.
                self._retired.append((time.monotonic(), self.index))
                self.index = successor
                fields = {"documents": sum(successor.counts().values())}
                _logger.info("another index is served", extra={"fields": fields})
            elif self.index.refresh():
                _logger.info("index", extra={"fields": {"documents": sum(self.index.counts().values())}})
        except PanglotError as error:
            # It says what happened to the files, such as that another index was put there.
            fields = {"problem": error.problem, "hint": error.hint}
            _logger.error("the index could not be refreshed", extra={"fields": fields})  # noqa: TRY400
            raise
        except Exception:
            _logger.exception("the index could not be refreshed")
            raise


def _stopping() -> RequestError:
    return RequestError(503, "the service is stopping", code="stopping", headers={"Retry-After": "5"})


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
