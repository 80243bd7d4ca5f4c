"""Guard every route: check host, key, size and time before it, add headers, a log line and figures after it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers, MutableHeaders

from panglot._errors import PanglotError
from panglot.service.errors import CLIENT_GONE, RequestError
from panglot.service.metrics import log_request

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from panglot.service.limits import Limits
    from panglot.service.metrics import Metrics

__all__ = ["EMBEDDINGS", "NOTES", "Guard", "host_name", "is_allowed", "key_in", "read_keys"]

_logger = logging.getLogger(__name__)

_SHORTEST_KEY = 16
"""Fewest characters of a key."""
EMBEDDINGS = "/v1/embeddings"
"""The one route with large requests."""
_OTHER_BODY = 256 << 10
"""Most bytes of a request to another route."""
NOTES = "panglot.notes"
"""Where a route writes further fields of the log line, in the scope of a request."""
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def read_keys(file: str | Path | None = None) -> tuple[str, ...]:
    """Return the keys in a file, one per line, or in ``$PANGLOT_SERVICE_KEYS``, separated by commas.

    A line that begins with ``#`` is a comment.

    Raises:
        PanglotError: The file cannot be read or has no key, or a key is short or not ASCII.
    """
    if file is None:
        names = os.environ.get("PANGLOT_SERVICE_KEYS", "").split(",")
        lines = list(enumerate([key.strip() for key in names if key.strip()], 1))
    else:
        try:
            text = Path(file).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PanglotError(
                "the keys cannot be read", file=file, hint="name a text file with one key per line"
            ) from error
        lines = [(row, line.strip()) for row, line in enumerate(text.splitlines(), 1)]
        lines = [(row, line) for row, line in lines if line and not line.startswith("#")]
        if not lines:
            raise PanglotError("the file has no key", file=file, hint="write one key per line")
    for row, key in lines:
        if len(key) < _SHORTEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
            raise PanglotError(
                "this is not a key",
                file=file or "PANGLOT_SERVICE_KEYS",
                line=row,
                hint=f"use {_SHORTEST_KEY} or more ASCII letters and digits, such as from `openssl rand -hex 24`",
            )
    return tuple(key for _, key in lines)


def key_in(authorization: str) -> str:
    """Return the key in an ``Authorization`` header, or an empty text.

    >>> key_in("Bearer abc"), key_in("Basic dXNlcjphYmM="), key_in("")
    ('abc', '', '')
    """
    scheme, _, value = authorization.strip().partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def is_allowed(key: str, keys: tuple[str, ...]) -> bool:
    """Whether a key is one of ``keys``. The time that this takes does not reveal which, or how much of it was right.

    >>> is_allowed("b", ("a", "b")), is_allowed("", ("a", "b"))
    (True, False)
    """
    digest = _digest(key)
    # Not any(), so that every key is compared.
    return sum(hmac.compare_digest(digest, _digest(known)) for known in keys) > 0


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


class Guard:
    """Wrap an ASGI application.

    Args:
        app: The routes.
        limits: The limits of bytes and seconds per request.
        metrics: The figures in which requests are counted.
        open_routes: Routes that need no key.
        keys: Accepted keys. If there are none, no key is needed.
        hosts: Host names under which the service may be called. If there are none, any name is accepted. Checking them
            prevents a web page whose name points to this machine from reading the index through a visitor's browser.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        metrics: Metrics,
        open_routes: frozenset[str],
        keys: tuple[str, ...] = (),
        hosts: tuple[str, ...] = (),
    ) -> None:
        self._app, self._limits, self._metrics = app, limits, metrics
        self._open, self._keys, self._hosts = open_routes, keys, frozenset(host_name(host) for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        started = time.monotonic()
        status = 0
        notes: dict[str, Any] = {}
        scope[NOTES] = notes

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-store")
                headers.update(_HEADERS)
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, await self._read_body(scope, receive), send_with_headers)
        except RequestError as error:
            status = error.status
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
            self._record(scope, status or CLIENT_GONE, time.monotonic() - started, notes)

    def _check(self, scope: Scope) -> None:
        """Refuse a wrong host, a missing key and a declared size that is too large, before the body is read."""
        headers = Headers(scope=scope)
        if self._hosts and host_name(headers.get("host", "")) not in self._hosts:
            hint = "start the service with panglot serve --allow-host NAME"
            raise RequestError(421, "this host name is not served", hint=hint, code="host")
        key = key_in(headers.get("authorization", ""))
        if self._keys and scope["path"] not in self._open and not is_allowed(key, self._keys):
            hint = "send a key as Authorization: Bearer KEY"
            challenge = {"WWW-Authenticate": 'Bearer realm="panglot"'}
            raise RequestError(401, "a key is required", hint=hint, code="invalid_api_key", headers=challenge)
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._max_bytes(scope):
            raise self._too_large(scope)

    async def _read_body(self, scope: Scope, receive: Receive) -> Receive:
        """Read the body within the limits and return a channel that yields it, then what comes after it."""
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.seconds):
                more = scope["method"] not in ("GET", "HEAD")
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
        return self._limits.body if scope["path"] == EMBEDDINGS else min(_OTHER_BODY, self._limits.body)

    def _too_large(self, scope: Scope) -> RequestError:
        problem = f"a request to {scope['path']} may have at most {self._max_bytes(scope):,} bytes"
        return RequestError(413, problem, hint="send less at once", code="size")

    def _record(self, scope: Scope, status: int, seconds: float, notes: dict[str, Any]) -> None:
        # Unknown paths count as one route, because a client could make up any number of them.
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.request(route, status, seconds)
        log_request({"route": route, "status": status, "ms": round(1000 * seconds, 1), **notes})


def host_name(header: str) -> str:
    """Return the name in a ``Host`` header, without the port.

    >>> host_name("LOCALHOST:8080"), host_name("[::1]:8080"), host_name("[::1]")
    ('localhost', '[::1]', '[::1]')
    """
    name, _, port = header.strip().lower().rpartition(":")
    return name if name and (port.isdecimal() or not port) else header.strip().lower()
