"""Guard every route: check host, key, size and time before it, add headers, a log line and figures after it."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from panglot.service.errors import CLIENT_GONE, RequestError
from panglot.service.limits import Access, Limits, Rates

_logger = logging.getLogger(__name__)

EMBEDDINGS, EMBED, RERANK = "/v1/embeddings", "/embed", "/rerank"
DOCUMENTS = "/documents"
"""The route to which documents are written."""
STREAM = f"{DOCUMENTS}/stream"
"""The route that reads a body of any size while it arrives."""
_LARGE = frozenset({EMBEDDINGS, EMBED, RERANK, f"/v1{RERANK}", f"/v2{RERANK}", DOCUMENTS})
"""The routes with large requests."""
_OTHER_BODY = 256 << 10
"""Most bytes of a request to another route."""
NOTES = "panglot.notes"
"""Where a route writes further fields of the log line, in the scope of a request."""
# Buckets up to the time limit of a request (60 s by default).
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_REASONS = {
    401: "key", 403: "forbidden", 404: "not_found", 408: "slow_body", 413: "too_large", 421: "host", 429: "queue_full",
    499: "client_gone", 503: "stopping", 504: "time",
}  # fmt: skip
"""Why requests fail, by status. Other statuses are ``invalid`` below 500 and ``fault`` from 500 on."""
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Metrics:
    """Hold the figures of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter("panglot_requests", "Requests", ["route", "status"], registry=self.registry)
        timer = functools.partial(Histogram, buckets=_SECONDS, registry=self.registry)
        self._seconds = timer("panglot_request_seconds", "Seconds per request", ["route"])
        self._key_requests = Counter("panglot_key_requests", "Requests", ["key", "status"], registry=self.registry)
        self._rejected = Counter("panglot_rejected", "Requests that failed", ["reason"], registry=self.registry)
        self._batch_texts = Histogram("panglot_batch_texts", "Texts per batch", buckets=_TEXTS, registry=self.registry)
        self._batch_seconds = timer("panglot_batch_seconds", "Seconds per batch")

    def watch(self, name: str, help_text: str, value: Callable[[], float]) -> None:
        """Show a value that is computed whenever the figures are read."""
        Gauge(f"panglot_{name}", help_text, registry=self.registry).set_function(value)

    def request(self, route: str, status: int, seconds: float, why: str = "", key: str = "") -> None:
        """Count a request, also for the label of its ``key``, and why it failed if its status does not say that.

        ``route`` is a route of the service, never text of a client, to bound the labels.
        """
        if key:
            self._key_requests.labels(key, str(status)).inc()
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if status >= 400:
            self._rejected.labels(why or _reason(status)).inc()

    def batch(self, texts: int, seconds: float) -> None:
        """Count a batch."""
        self._batch_texts.observe(texts)
        self._batch_seconds.observe(seconds)


def _reason(status: int) -> str:
    """Return why a request failed.

    >>> _reason(429), _reason(400), _reason(500)
    ('queue_full', 'invalid', 'fault')
    """
    return _REASONS.get(status, "invalid" if status < 500 else "fault")


def _path_of(scope: Scope) -> str:
    """Return the path of a request below the index that it is for, as the routes have it."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


class Guard:
    """Wrap an ASGI application.

    ``open_routes`` need no key, and no route that reads does if there are no ``keys``. ``hosts`` are the names under
    which the service may be called. If there are none, any name is accepted. Checking them prevents a web page whose
    name points to this machine from reading the index through a visitor's browser.
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, metrics: Metrics, open_routes: frozenset[str], access: Access,
        rates: Rates, hosts: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self._rates = rates
        self._app, self._limits, self._metrics = app, limits, metrics
        self._open, self._access, self._hosts = open_routes, access, frozenset(_host_name(host) for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        started = time.monotonic()
        status, why = 0, ""
        notes: dict[str, Any] = {}
        head = scope["method"] == "HEAD"
        # Every route that GET has answers HEAD with the same headers.
        scope = {**scope, NOTES: notes, "method": "GET" if head else scope["method"]}

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                # The files of the web page say themselves how long they may be kept.
                headers.setdefault("Cache-Control", "no-store")
                headers.update(_HEADERS)
            elif head:
                message = {**message, "body": b""}
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, await self._read_body(scope, receive), send_with_headers)
        except RequestError as error:
            status, why = error.status, error.code if error.code == "key_rate" else ""
            if status != CLIENT_GONE:
                await error.response()(scope, receive, send_with_headers)
        except Exception:
            _logger.exception("a request failed")
            # If the response has begun, it can only be cut off.
            if not status:
                error = RequestError(500, "the service failed at this request")
                await error.response()(scope, receive, send_with_headers)
            status = 500
        finally:
            self._record(scope, status or CLIENT_GONE, time.monotonic() - started, notes, why)

    def _check(self, scope: Scope) -> None:
        """Refuse a wrong host, a missing key and a declared size that is too large, before the body is read."""
        headers, path = Headers(scope=scope), _path_of(scope)
        if self._hosts and _host_name(headers.get("host", "")) not in self._hosts:
            hint = "start the service with panglot serve --allow-host NAME"
            raise RequestError(421, "this host name is not served", hint=hint, code="host")
        if headers.get("sec-fetch-site") == "cross-site" and path not in self._open:
            # A foreign page cannot read the response, but it could make a visitor's browser search without end.
            hint = "call the service from its own page or from a program"
            raise RequestError(403, "requests of other web sites are refused", hint=hint, code="cross_site")
        if path not in self._open:
            writes = scope["method"] != "GET" and f"{path}/".startswith(f"{DOCUMENTS}/")
            key = self._access.check(headers.get("authorization", ""), writes=writes)
            if key:
                scope[NOTES]["key"] = key.label
                self._rates.take(key.text, self._access.rate(key), time.monotonic())
        length = headers.get("content-length", "")
        if path != STREAM and length.isdecimal() and int(length) > self._max_bytes(scope):
            raise self._too_large(scope)

    async def _read_body(self, scope: Scope, receive: Receive) -> Receive:
        """Read the body within the limits and return a channel that yields it, then what comes after it."""
        if _path_of(scope) == STREAM and scope["method"] == "POST":
            return receive
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.seconds):
                more = scope["method"] != "GET"
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RequestError(CLIENT_GONE, "the client has left")
                    body += message.get("body", b"")
                    if len(body) > self._max_bytes(scope):
                        raise self._too_large(scope)
                    more = message.get("more_body", False)
        except TimeoutError as error:
            raise RequestError(408, "the request arrived too slowly") from error
        yielded = False

        async def channel() -> Message:
            nonlocal yielded
            if yielded:
                return await receive()
            yielded = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        return channel

    def _max_bytes(self, scope: Scope) -> int:
        return self._limits.body if _path_of(scope) in _LARGE else min(_OTHER_BODY, self._limits.body)

    def _too_large(self, scope: Scope) -> RequestError:
        problem = f"a request to {scope['path']} may have at most {self._max_bytes(scope):,} bytes"
        return RequestError(413, problem, hint="send less at once", code="size")

    def _record(self, scope: Scope, status: int, seconds: float, notes: dict[str, Any], why: str) -> None:
        # Unknown paths count as one route, because a client could make up any number of them.
        route = scope.get("root_path", "") + getattr(scope.get("route"), "path", "other")
        self._metrics.request(route, status, seconds, why, notes.get("key", ""))
        line = {"route": route, "status": status, "ms": round(1000 * seconds, 1), **notes}
        _logger.info("request", extra={"fields": line})


def _host_name(header: str) -> str:
    """Return the name in a ``Host`` header, without the port.

    >>> _host_name("LOCALHOST:8080"), _host_name("[::1]:8080"), _host_name("[::1]")
    ('localhost', '[::1]', '[::1]')
    """
    name, _, port = header.strip().lower().rpartition(":")
    return name if name and (port.isdecimal() or not port) else header.strip().lower()
