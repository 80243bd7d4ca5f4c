"""Guard every route: check host, key, size and time before it, add headers, a log line and figures after it."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from panglot._errors import PanglotError
from panglot.service.batcher import Limits, Rates
from panglot.service.errors import CLIENT_GONE, RequestError

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
            why = why or _REASONS.get(status, "invalid" if status < 500 else "fault")
            self._rejected.labels(why).inc()

    def batch(self, texts: int, seconds: float) -> None:
        """Count a batch."""
        self._batch_texts.observe(texts)
        self._batch_seconds.observe(seconds)


@dataclass(frozen=True)
class Key:
    """An API key.

    Attributes:
        text: What clients send.
        name: Who has it, for logs and metrics. Several keys may have one name, such as an old and a new one.
        rate: Requests per minute. 0: any number. None: those of :class:`Access`.
    """

    text: str = field(repr=False)
    name: str = ""
    rate: int | None = None

    @property
    def label(self) -> str:
        """The name, or else the first eight digits of the key's SHA-256.

        >>> Key("0123456789abcdef").label, Key("0123456789abcdef", "web").label
        ('9f9f5111', 'web')
        """
        return self.name or _digest(self.text).hex()[:8]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def find_key(text: str, keys: Sequence[Key]) -> Key | None:
    """Return the key with this text. The time that this takes does not reveal how much of the text was right.

    >>> find_key("b", (Key("a"), Key("b"))), find_key("", (Key("a"), Key("b")))
    (Key(name='', rate=None), None)
    """
    # Digests have one length, so that the time of a comparison does not reveal the length of a key. All are compared.
    asked = _digest(text)
    found = [key for key in keys if hmac.compare_digest(asked, _digest(key.text))]
    return found[0] if found else None


@dataclass(frozen=True)
class Access:
    """Who may read and write.

    Attributes:
        keys: Keys that allow reading. Without any, everybody may read.
        writable: Whether anybody may write.
        write_keys: Keys that allow writing, and reading too. Without any, everybody may write.
        key_rate: Requests per minute of each key that has no rate of its own. 0: any number.
    """

    keys: tuple[Key, ...] = ()
    writable: bool = False
    write_keys: tuple[Key, ...] = ()
    key_rate: int = 0

    def __post_init__(self) -> None:
        """Refuse keys that would not protect what they seem to."""
        if self.write_keys and not self.writable:
            hint = "add --writable, or leave the write keys out"
            raise PanglotError("there are write keys, but nobody may write", field="write-keys", hint=hint)
        if self.key_rate and not (self.keys or self.write_keys):
            problem = "requests are counted per key, but there are no keys"
            raise PanglotError(problem, field="key-rate", hint="name a file of keys with --keys")
        if self.writable and self.keys and not self.write_keys:
            problem = "a service that needs keys to search needs write keys to write"
            raise PanglotError(problem, field="write-keys", hint="name a file of such keys with --write-keys")
        every = {*self.keys, *self.write_keys}
        if len({key.text for key in every}) < len(every):
            problem = "one key has two names or rates"
            raise PanglotError(problem, field="keys", hint="write each key with the same name and rate everywhere")

    def check(self, authorization: str, *, writes: bool) -> Key | None:
        """Refuse a request whose ``Authorization`` header does not allow it to read or write.

        Return its key, or nothing if it has none that is known.
        """
        if writes and not self.writable:
            hint = "start the service with panglot serve --writable"
            raise RequestError(403, "documents can only be read here", hint=hint, code="read_only")
        scheme, _, text = authorization.strip().partition(" ")
        text = text.strip() if scheme.lower() == "bearer" else ""
        writer, reader = find_key(text, self.write_keys), find_key(text, self.keys)
        if (self.write_keys if writes else self.keys) and not (writer or (reader and not writes)):
            if reader:
                hint = "send one of the write keys"
                raise RequestError(403, "this key does not allow writing", hint=hint, code="write_key")
            hint = "send a key as Authorization: Bearer KEY"
            challenge = {"WWW-Authenticate": 'Bearer realm="panglot"'}
            raise RequestError(401, "a key is required", hint=hint, code="invalid_api_key", headers=challenge)
        return writer or reader

    def rate(self, key: Key) -> int:
        """Return the requests per minute of a key. 0: any number."""
        return self.key_rate if key.rate is None else key.rate


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
        self._app, self._limits, self._metrics, self._open = app, limits, metrics, open_routes
        self._access, self._rates, self._hosts = access, rates, frozenset(map(_host_name, hosts))

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
