"""Run the service until it is stopped."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
from typing import TYPE_CHECKING

from panglot._errors import PanglotError
from panglot.service.metrics import start_logging

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from panglot.search.index import Index
    from panglot.service.limits import Limits

__all__ = ["is_loopback", "serve"]

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_GRACE = 5.0
"""Seconds that a stop may take beyond the time limit of a request."""


def serve(
    index: Index,
    limits: Limits,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    keys: tuple[str, ...] = (),
    hosts: tuple[str, ...] = (),
    progress: Callable[[str], None] = lambda _line: None,
) -> None:
    """Serve an index until SIGTERM or SIGINT, then finish the requests in progress and return.

    A second SIGINT ends the process at once. Clients then find the connection closed. The index is only read, so that
    it is not damaged.

    Args:
        index: An open index.
        limits: The limits of requests.
        host: The address to listen on.
        port: The port. 0 takes any free one.
        keys: Accepted keys. If there are none, no key is needed.
        hosts: Further host names under which the service may be called, if it listens on this machine only.
        progress: Called with lines of text about the service.

    Raises:
        PanglotError: The service cannot listen on the address.
    """
    import uvicorn

    from panglot.service.app import create_app

    local = is_loopback(host)
    shown = f"[{host}]" if ":" in host else host
    with _listen(host, port) as listening:
        if not local and not keys:
            progress(f"warning: anybody who reaches {host} may search and encode. Set keys with --keys")
        app = create_app(index, limits, keys=keys, hosts=(*_LOOPBACK, shown, *hosts) if local else hosts)
        start_logging()
        # Far more connections than the queue, so that most refusals are a 429 in JSON and not uvicorn's plain text.
        config = uvicorn.Config(
            app, ws="none", log_config=None, access_log=False, server_header=False, proxy_headers=False,
            limit_concurrency=4 * limits.queue + 64, timeout_graceful_shutdown=round(limits.seconds + _GRACE),
        )  # fmt: skip
        # uvicorn raises the signal again after it has stopped, when SIGTERM has been dealt with.
        signal.signal(signal.SIGTERM, lambda _number, _frame: None)
        progress(f"panglot serves at http://{shown}:{listening.getsockname()[1]}/")
        server = uvicorn.Server(config)
        finish = server.handle_exit

        def stop(sig: int, frame: FrameType | None) -> None:
            if server.should_exit and sig == signal.SIGINT:
                progress("stopped at once")
                os._exit(128 + sig)
            progress("stopping after the requests in progress. Press Ctrl-C again to stop at once")
            finish(sig, frame)

        server.handle_exit = stop
        server.run(sockets=[listening])


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address.

    >>> [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = error.strerror or str(error)
        raise PanglotError(
            f"cannot listen on {host}, port {port}: {reason}", field="port", hint="choose another --port or --host"
        ) from error
