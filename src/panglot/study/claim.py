"""One worker a cell: a claim on its folder that ends with the process that holds it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

from panglot._files import explain_write


@contextlib.contextmanager
def claim(folder: Path) -> Generator[bool]:
    """Try to claim a folder; yield whether it was free.

    The claim is a POSIX lock on ``folder/claim``: the system keeps it between processes, and between machines on a
    shared file system that has such locks (NFS does), and lets go of it when the process dies, however it dies.
    """
    import fcntl

    with explain_write(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "claim", os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
    finally:
        os.close(handle)


def claimed(folder: Path) -> bool:
    """Whether another process holds a claim on a folder."""
    if not (folder / "claim").exists():
        return False
    with claim(folder) as free:
        return not free
