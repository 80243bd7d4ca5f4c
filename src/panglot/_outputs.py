"""Try whether a place can be written before long work, and leave no new folder behind if the work fails."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

from panglot._files import explain_write


def check_writable(path: str | Path) -> None:
    """Refuse a file or folder that could not be written after the work whose result it is to hold.

    Raises:
        PanglotError: The system does not allow it, or a folder of the path is a file.
    """
    with explain_write(Path(path)):
        place = Path(path)
        if place.exists() and not (place.is_file() or place.is_dir()):  # Nothing is made beside a device or a pipe.
            if not os.access(place, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return
        place = place.resolve()
        # Folders that are missing are made later. A file is replaced by another one, which is made beside it.
        folder = next(each for each in (place, *place.parents) if each.is_dir() or (each.exists() and each != place))
        # Only the system knows whether it allows that: permissions are not all that counts.
        tempfile.TemporaryFile(dir=folder).close()


@contextlib.contextmanager
def new_folder(path: Path) -> Generator[None]:
    """Make a folder with those above it. If the block raises, remove those that were made and are empty."""
    new = [each for each in (path, *path.parents) if not each.exists()]
    try:
        with explain_write(path):
            path.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for each in new:
            with contextlib.suppress(OSError):
                each.rmdir()
        raise
