"""One worker a cell: a claim on its folder that ends with the process that holds it."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from collections.abc import Generator
from pathlib import Path

from panglot._errors import PanglotError
from panglot._files import explain_write


@contextlib.contextmanager
def claim(folder: Path) -> Generator[bool]:
    """Try to claim a folder; yield whether it was free.

    The claim is a POSIX lock on ``folder/claim``: the system keeps it between processes, and between machines on a
    shared file system that has such locks (NFS does), and lets go of it when the process dies, however it dies. The
    file names the machine and the process that had it.

    Raises:
        PanglotError: The folder cannot be written, or its file system has no locks.
    """
    import fcntl

    with explain_write(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "claim", os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            yield False
            return
        except OSError as error:
            raise PanglotError(
                f"this file system has no locks: {error}", file=folder, hint="choose an output on another one"
            ) from error
        os.truncate(handle, 0)
        os.write(handle, f"{socket.gethostname()} {os.getpid()}\n".encode())
        yield True
    finally:
        os.close(handle)


def claimed(folder: Path) -> bool:
    """Whether another process holds a claim on a folder."""
    import fcntl

    if sys.platform != "linux":
        with claim(folder) as free:
            return not free
    try:
        handle = os.open(folder / "claim", os.O_RDWR)
    except OSError:
        return False
    try:
        # Asked, not taken: nobody is kept from a free cell by a look at it.
        wish = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        held = struct.unpack("hhqqi", fcntl.fcntl(handle, fcntl.F_GETLK, wish))
        return held[0] != fcntl.F_UNLCK
    finally:
        os.close(handle)
