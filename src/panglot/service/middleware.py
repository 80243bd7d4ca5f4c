"""What stands before every route: hosts, keys, sizes, time to send; and behind it: headers, a log line, figures."""

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
from panglot.service.errors import GONE, RequestError
from panglot.service.metrics import log_request

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from panglot.service.limits import Limits
    from panglot.service.metrics import Metrics

SHORTEST = 16
"""Characters of a key, at least."""


def read_keys(file: str | Path | None = None) -> tuple[str, ...]:
    """Return the keys of a file, one a line (``#`` begins a comment), or of ``$PANGLOT_SERVICE_KEYS``, with commas.

    Raises:
        PanglotError: The file cannot be read or holds no key, or a key is short or not ASCII.
    """
    if file is None:
        found = [key.strip() for key in os.environ.get("PANGLOT_SERVICE_KEYS", "").split(",") if key.strip()]
        lines = list(enumerate(found, 1))
    else:
        try:
            text = Path(file).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PanglotError("the keys cannot be read", file=file, hint="name a text file, one key a line") from error
        lines = [(row, line.strip()) for row, line in enumerate(text.splitlines(), 1)]
        lines = [(row, line) for row, line in lines if line and not line.startswith("#")]
        if not lines:
            raise PanglotError("no key is in it", file=file, hint="write one key a line")
    for row, key in lines:
        if len(key) < SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
            raise PanglotError(
                "not a key",
                file=file or "PANGLOT_SERVICE_KEYS",
                line=row,
                hint=f"use {SHORTEST} or more ASCII letters and digits, such as from `openssl rand -hex 24`",
            )
    return tuple(key for _, key in lines)


def given_key(authorization: str) -> str:
    """Return the key in an ``Authorization`` header; empty: there is none.

    >>> given_key("Bearer abc"), given_key("Basic dXNlcjphYmM="), given_key("")
    ('abc', '', '')
    """
    scheme, _, value = authorization.strip().partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def is_allowed(given: str, keys: tuple[str, ...]) -> bool:
    """Return whether a key is one of ``keys``; how long that takes does not tell which, or how much of it was right.

    >>> is_allowed("b", ("a", "b")), is_allowed("", ("a", "b"))
    (True, False)
    """
    offered = _digest(given)
    return sum(hmac.compare_digest(offered, _digest(key)) for key in keys) > 0  # not any(): every key is compared


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


LOG = logging.getLogger(__name__)

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
EMBEDDINGS = "/v1/embeddings"
"""The route that takes many texts."""
QUESTION = 256 << 10
"""Bytes of a request to any other."""
NOTES = "panglot.notes"
"""Where in a request's scope a route writes what the log line shows besides."""


class Guard:
    """An ASGI application around another one.

    Args:
        app: The routes.
        limits: Bytes and seconds of a request.
        metrics: Told every request.
        open_routes: Those that need no key.
        keys: Who may ask; none: everybody.
        hosts: The names under which the service may be called; none: any. It keeps web pages of others, whose name is
            made to point to this machine, from reading the index through a visitor's browser.
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
        """SearchResult one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        begun = time.monotonic()
        status = 0
        notes: dict[str, Any] = {}
        scope[NOTES] = notes

        async def headed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-store")
                headers.update(HEADERS)
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, await self._whole(scope, receive), headed)
        except RequestError as failure:
            status = failure.status
            if status != GONE:
                await failure.response()(scope, receive, headed)
        except Exception:
            LOG.exception("a request failed")
            if not status:
                await RequestError(500, "the service failed at this request").response()(scope, receive, headed)
            status = 500
        finally:
            self._tell(scope, status or GONE, time.monotonic() - begun, notes)

    def _check(self, scope: Scope) -> None:
        """Refuse a wrong host, a missing key and a size that is too large, before anything is read."""
        headers = Headers(scope=scope)
        if self._hosts and host_name(headers.get("host", "")) not in self._hosts:
            raise RequestError(421, "this host name is not served", hint="panglot serve --allow-host NAME", code="host")
        given = given_key(headers.get("authorization", ""))
        if self._keys and scope["path"] not in self._open and not is_allowed(given, self._keys):
            raise RequestError(
                401,
                "a key is needed",
                hint="send it as Authorization: Bearer KEY",
                code="invalid_api_key",
                headers={"WWW-Authenticate": 'Bearer realm="panglot"'},
            )
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._most(scope):
            raise self._too_large(scope)

    async def _whole(self, scope: Scope, receive: Receive) -> Receive:
        """Read the body within the limits and return a channel that hands it on, then what comes after it."""
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.seconds):
                more = scope["method"] not in ("GET", "HEAD")
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RequestError(GONE, "the client is gone")
                    body += message.get("body", b"")
                    if len(body) > self._most(scope):
                        raise self._too_large(scope)
                    more = message.get("more_body", False)
        except TimeoutError as error:
            raise RequestError(408, "the request came too slowly") from error
        handed = False

        async def channel() -> Message:
            nonlocal handed
            if handed:
                return await receive()
            handed = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        return channel

    def _most(self, scope: Scope) -> int:
        return self._limits.body if scope["path"] == EMBEDDINGS else min(QUESTION, self._limits.body)

    def _too_large(self, scope: Scope) -> RequestError:
        problem = f"a request may have {self._most(scope):,} bytes here"
        return RequestError(413, problem, hint="send less at once", code="size")

    def _tell(self, scope: Scope, status: int, seconds: float, notes: dict[str, Any]) -> None:
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
