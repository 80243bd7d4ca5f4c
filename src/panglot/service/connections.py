"""Close connections of clients that send or read too slowly, so that they cannot keep others out."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import h11
from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from panglot.service.errors import RequestError
from panglot.service.limits import Limits

_HEAD_SECONDS = 10.0
"""Time for the head of a request to arrive. Browsers and libraries send it in one packet."""
_GRACE = 5.0
"""Seconds that a stop may take beyond the time limit of a request."""
_OTHER_FILES = 128
"""Files that the process needs for itself, of those that the system lets it open."""


class Connection(H11Protocol):
    """Serve one connection as uvicorn does, within limits.

    uvicorn waits for the head of a request without end. This closes a connection whose request or whose reading of a
    response takes too long. If there are too many connections, the one that has waited longest for the rest of a
    request makes room for the next. Connections whose request has arrived are not closed, because :class:`Limits`
    bound their number.
    """

    head_seconds: ClassVar[float]
    write_seconds: ClassVar[float]
    most: ClassVar[int]
    unfinished: ClassVar[dict[Connection, None]]

    _head: asyncio.TimerHandle | None = None
    _write: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for a new connection, and wait for the head of its first request."""
        super().connection_made(transport)
        if len(self.connections) > self.most and self.unfinished:
            next(iter(self.unfinished)).end()
        self._watch(await_head=True)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        super().data_received(data)
        self._watch(await_head=True)

    def on_response_complete(self) -> None:
        """Wait for the next request, for the seconds that uvicorn keeps a connection alive."""
        super().on_response_complete()
        self._watch(await_head=False)

    def pause_writing(self) -> None:
        """Give the client time to read a response."""
        super().pause_writing()
        if self._write is None:
            self._write = self.loop.call_later(self.write_seconds, self.end)

    def resume_writing(self) -> None:
        """Note that the client has read."""
        super().resume_writing()
        self._write = _cancelled(self._write)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self.unfinished.pop(self, None)
        self._head, self._write = _cancelled(self._head), _cancelled(self._write)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP in the form of all errors."""
        del msg
        self._refuse(RequestError(400, "the request is not HTTP/1.1", hint="send it with an HTTP client"))

    def end(self) -> None:
        """Close the connection at once, whatever is still unsent."""
        self.unfinished.pop(self, None)
        self.transport.abort()

    def _watch(self, *, await_head: bool) -> None:
        if self.transport.is_closing():
            return
        head_missing = self.conn.their_state is h11.IDLE
        if head_missing or self.conn.their_state is h11.SEND_BODY:
            self.unfinished[self] = None
        else:
            self.unfinished.pop(self, None)
        if not head_missing:
            self._head = _cancelled(self._head)
        elif await_head and self._head is None:
            self._head = self.loop.call_later(self.head_seconds, self._refuse_slow_head)

    def _refuse_slow_head(self) -> None:
        self._refuse(RequestError(408, "the request arrived too slowly"))

    def _refuse(self, error: RequestError) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = error.response()
            headers = [*response.raw_headers, (b"connection", b"close")]
            for event in (
                h11.Response(status_code=response.status_code, headers=headers),
                h11.Data(data=bytes(response.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def _cancelled(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def server_config(app: ASGIApp, limits: Limits) -> Config:
    """Return uvicorn's configuration of a service. Its logs and its number of connections are those of the service."""
    served = {
        "head_seconds": min(_HEAD_SECONDS, limits.seconds),
        "write_seconds": limits.seconds,
        "most": _most_connections(limits),
        "unfinished": {},
    }
    return Config(
        app, http=type("Connection", (Connection,), served), ws="none", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, timeout_graceful_shutdown=round(limits.seconds + _GRACE),
    )  # fmt: skip


def _most_connections(limits: Limits) -> int:
    # Far more connections than the queue, so that most refusals are a 429.
    most = 4 * limits.queue + 64
    try:
        import resource
    except ImportError:  # Windows limits connections in other ways.
        return most
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft == resource.RLIM_INFINITY else max(1, min(most, soft - _OTHER_FILES))
