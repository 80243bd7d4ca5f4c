"""Run the service until it is stopped: read its keys, write its log, listen, and close what is too slow.

A connection of a client that sends or reads too slowly is closed, so that it cannot keep others out.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import os
import re
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar

import h11
from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from panglot._errors import PanglotError
from panglot.service.batcher import Limits
from panglot.service.errors import RequestError
from panglot.service.middleware import Access, Key

if TYPE_CHECKING:
    from panglot._environment import Precision
    from panglot.search.index import Index
    from panglot.search.ranking.modes import Mode

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_NAME = r"[A-Za-z0-9_-]{1,64}="
_SHORTEST = 16
"""Fewest characters of a key."""
_SETTING = re.compile(r"name=(?P<name>[\w.-]{1,64})|rate=(?P<rate>\d{1,9})", re.ASCII)
_HEAD_SECONDS = 10.0
"""Time for the head of a request to arrive. Browsers and libraries send it in one packet."""
_GRACE = 5.0
"""Seconds that a stop may take beyond the time limit of a request."""
_OTHER_FILES = 128
"""Files that the process needs for itself, of those that the system lets it open."""


def serve(
    index: Index | Mapping[str, Index], limits: Limits, *, host: str = "127.0.0.1", port: int = 8080,
    access: Access | None = None, hosts: tuple[str, ...] = (), mode: Mode = "plain",
    progress: Callable[[str], None] = lambda _line: None,
) -> None:  # fmt: skip
    """Serve an index, or several by name, until SIGTERM or SIGINT, then finish the requests in progress and return.

    A second SIGINT ends the process at once. Clients then find the connection closed. The index is not damaged, and
    what was acknowledged is written. Port 0 takes any free port. Without ``access``, everybody may read and nobody may
    write. ``hosts`` are further host names under which a service may be called that listens on this machine only.
    ``mode`` ranks searches that do not name one.
    """
    from panglot.service.app import create_app

    access = access or Access()
    local = _is_loopback(host)
    shown = f"[{host}]" if ":" in host else host
    with _listen(host, port) as listening:
        if not local and not access.keys:
            progress(f"warning: anybody who reaches {host} may search and encode. Set keys with --keys")
        if not local and access.writable and not access.write_keys:
            progress(f"warning: anybody who reaches {host} may write and delete. Set keys with --write-keys")
        names = (*_LOOPBACK, shown, *hosts) if local else hosts
        app = create_app(index, limits, access=access, hosts=names, mode=mode)
        _start_logging()
        # uvicorn raises the signal again after it has stopped, when SIGTERM has been dealt with.
        signal.signal(signal.SIGTERM, lambda _number, _frame: None)
        progress(f"panglot serves at http://{shown}:{listening.getsockname()[1]}/")
        server = Server(server_config(app, limits))
        finish = server.handle_exit

        def stop(sig: int, frame: FrameType | None) -> None:
            if server.should_exit and sig == signal.SIGINT:
                progress("stopped at once")
                os._exit(128 + sig)
            progress("stopping after the requests in progress. Press Ctrl-C again to stop at once")
            finish(sig, frame)

        server.handle_exit = stop
        server.run(sockets=[listening])


def read_keys(file: str | Path | None = None, variable: str = "PANGLOT_SERVICE_KEYS") -> tuple[Key, ...]:
    """Return the keys in a file, one per line, or in a variable of the environment, separated by commas.

    ``name=NAME`` and ``rate=N`` may follow a key after blanks. A line that begins with ``#`` is a comment.

    Raises:
        PanglotError: The file cannot be read or has no key, a key is too short, or something else follows it.
    """
    if file is None:
        lines = os.environ.get(variable, "").split(",")
    else:
        try:
            lines = Path(file).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            hint = "name a text file with one key per line"
            raise PanglotError("the keys cannot be read", file=file, hint=hint) from error
    rows = [(row, line.strip()) for row, line in enumerate(lines, 1)]
    rows = [(row, line) for row, line in rows if line and not (file and line.startswith("#"))]
    if file and not rows:
        raise PanglotError("the file has no key", file=file, hint="write one key per line")
    return tuple(_read_key(line, file or variable, row) for row, line in rows)


def _read_key(line: str, place: str | Path, row: int) -> Key:
    # What is refused is not quoted, because it may be a key.
    text, *parts = line.split()
    if len(text) < _SHORTEST or not text.isascii() or not text.isprintable():
        hint = f"use {_SHORTEST} or more ASCII letters and digits, such as from `openssl rand -hex 24`"
        raise PanglotError("this is not a key", file=place, line=row, hint=hint)
    found: dict[str, str] = {}
    for part in parts:
        match = _SETTING.fullmatch(part)
        if match is None or match.lastgroup in found:
            hint = "write KEY name=web rate=600, with letters, digits, `.`, `-` and `_` in the name"
            raise PanglotError("only `name` and `rate` may follow a key, once each", file=place, line=row, hint=hint)
        found[match.lastgroup or ""] = match[match.lastgroup or 0]
    return Key(text, found.get("name", ""), int(found["rate"]) if "rate" in found else None)


def open_indexes(
    places: Sequence[str], *, model: str | None = None, precision: Precision = "auto", reranker: str = "",
    progress: Callable[[str], None] = lambda _line: None,
) -> Index | dict[str, Index]:  # fmt: skip
    """Open the index in a folder, or several that are written as NAME=FOLDER. Those with the same model share it.

    Raises:
        PanglotError: A name is missing, is not one or occurs twice, or an index cannot be opened.
    """
    from panglot.search.index import Index
    from panglot.search.metadata import IndexMetadata

    if len(places) == 1 and (Path(places[0]).exists() or not re.match(_NAME, places[0])):
        progress(f"opening {places[0]} and its model")
        return Index.open(places[0], model=model, precision=precision, reranker=reranker)
    folders: dict[str, Path] = {}
    for place in places:
        name = (re.match(_NAME, place) or [""])[0]
        if not name or name[:-1] in folders:
            problem = f"{name[:-1]} names two indexes" if name else f"{place} has no name"
            hint = "write NAME=INDEX for each, with letters, digits, - and _ in the name"
            raise PanglotError(problem, field="index", hint=hint)
        folders[name[:-1]] = Path(place.removeprefix(name))
    heads = {name: IndexMetadata.open(folder) for name, folder in folders.items()}
    opened: dict[str, Index] = {}
    for name, folder in folders.items():
        progress(f"opening {folder} as {name}")
        model_of = heads[name].fingerprint
        known = (each for at, each in opened.items() if model_of in (each.encoder.fingerprint, heads[at].fingerprint))
        if (same := next(known, None)) is not None:
            opened[name] = Index.open(folder, model=same.encoder)
        else:
            cross_encoder = "" if opened else reranker
            opened[name] = Index.open(folder, model=model, precision=precision, reranker=cross_encoder)
        # One cross-encoder serves all.
        first = next(iter(opened.values())).searcher.reranker
        opened[name].searcher = replace(opened[name].searcher, reranker=first)
    return opened


class JsonLines(logging.Formatter):
    """Write a record as one line of JSON: ``time``, ``level``, ``event`` and the record's ``fields``.

    Of an exception, only the type and the last lines of code are written, because its message may quote a text.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = type(record.exc_info[1]).__name__
            frames = traceback.extract_tb(record.exc_info[2])[-3:]
            line["at"] = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames]
        return json.dumps(line, ensure_ascii=True)


def _start_logging() -> None:
    """Write the log of the service and of uvicorn to standard output as JSON lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    for name in ("panglot.service", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.INFO if name == "panglot.service" else logging.WARNING)


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address.

    >>> [_is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # The backlog is uvicorn's own default.
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        problem = f"cannot listen on {host}, port {port}: {error.strerror or error}"
        raise PanglotError(problem, field="port", hint="choose another --port or --host") from error


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
