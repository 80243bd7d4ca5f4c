"""Running the service until it is told to stop."""

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

    from panglot.service.limits import Limits
    from panglot.service.routes import Searchable

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
GRACE = 5.0
"""Seconds that a stop may take on top of the time limit of a request."""


def serve(
    index: Searchable,
    limits: Limits,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    keys: tuple[str, ...] = (),
    hosts: tuple[str, ...] = (),
    tell: Callable[[str], None] = lambda _line: None,
) -> None:
    """Serve an index until SIGTERM or SIGINT; then finish what is inside, and return.

    A second SIGINT ends the process at once: clients find the connection closed, the index is only read.

    Args:
        index: An open index.
        limits: What is let in.
        host: The address to listen at.
        port: The port; 0: any that is free.
        keys: Who may ask; none: everybody.
        hosts: Further names under which the service may be called, if it listens on this machine only.
        tell: Takes lines for a person.

    Raises:
        PanglotError: The address cannot be listened at.
    """
    import uvicorn

    from panglot.service.app import create_app

    local = is_loopback(host)
    shown = f"[{host}]" if ":" in host else host
    with _listen(host, port) as listening:
        if not local and not keys:
            tell(f"warning: everybody who reaches {host} may search and encode; set keys with --keys")
        app = create_app(index, limits, keys=keys, hosts=(*LOOPBACK, shown, *hosts) if local else hosts)
        start_logging()
        config = uvicorn.Config(
            app, ws="none", log_config=None, access_log=False, server_header=False, proxy_headers=False,
            limit_concurrency=4 * limits.queue + 64, timeout_graceful_shutdown=round(limits.seconds + GRACE),
        )  # fmt: skip
        # uvicorn raises the signal again when it has stopped; SIGTERM is then done with.
        signal.signal(signal.SIGTERM, lambda _number, _frame: None)
        tell(f"panglot serves at http://{shown}:{listening.getsockname()[1]}/")
        server = uvicorn.Server(config)
        finish = server.handle_exit

        def stop(sig: int, frame: FrameType | None) -> None:
            if server.should_exit and sig == signal.SIGINT:
                tell("stopped at once")
                os._exit(128 + sig)
            tell("stops when what is inside is answered; Ctrl-C again stops it at once")
            finish(sig, frame)

        server.handle_exit = stop
        server.run(sockets=[listening])


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address.

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
            f"cannot listen at {host}, port {port}: {reason}", field="port", hint="choose another --port or --host"
        ) from error
