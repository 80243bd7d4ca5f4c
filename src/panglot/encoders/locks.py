"""One process at a time."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from panglot._files import explain_write

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@contextlib.contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold the lock file ``path``; others wait. The system lets go of it when the process dies.

    Where the system has no such locks (``fcntl``), nothing is held.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with explain_write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
