"""Write files atomically, lock and digest them, try whether a place can be written, and find the cache folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import mmap
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from panglot._environment import __version__, free_memory
from panglot._errors import PanglotError


def cache_folder() -> Path:
    """Return the cache folder: ``$PANGLOT_CACHE``, else ``$XDG_CACHE_HOME/panglot``, else ``~/.cache/panglot``."""
    if chosen := os.environ.get("PANGLOT_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "panglot"


@contextlib.contextmanager
def explain_write(path: Path) -> Generator[None]:
    """Turn an error of the operating system or of safetensors about writing ``path`` into a :class:`PanglotError`."""
    try:
        yield
    except Exception as error:
        if (found := _system_error(error)) is None:
            raise
        number, problem = found
        full = number == errno.ENOSPC
        hint = "free some space or choose another place" if full else "choose a place that can be written"
        raise PanglotError(f"cannot write: {problem}", file=path, hint=hint) from error


def _system_error(error: Exception) -> tuple[int | None, str] | None:
    """Return the number and the text of an error of the operating system, and None for any other error."""
    if isinstance(error, OSError):
        return error.errno, error.strerror or str(error)
    # safetensors has an error of its own, which quotes the system's. Most commands never import safetensors.
    if type(error).__name__ != "SafetensorError":
        return None
    # As newer versions quote it, and as 0.5 does.
    patterns = (
        r"(?P<text>[^:]+) \(os error (?P<number>\d+)\)",
        r"code: (?P<number>\d+),.* message: \"(?P<text>[^\"]*)\"",
    )
    quoted = next(filter(None, (re.search(pattern, str(error)) for pattern in patterns)), None)
    return (int(quoted["number"]), quoted["text"].strip()) if quoted else None


def _is_stream(place: Path) -> bool:
    """Return whether a path is a device or a pipe, which is written to and not replaced."""
    return place.exists() and not (place.is_file() or place.is_dir())


@contextlib.contextmanager
def atomic_file(path: str | Path) -> Generator[Path]:
    """Yield a temporary path beside ``path``, and move it there at the end of the block unless the block raises.

    A reader sees the old content or the complete new one, even after a kill or a power cut. A symbolic link stays, and
    the file that it leads to is replaced. A device or a pipe, such as ``/dev/null``, is written to.
    """
    with explain_write(Path(path)):
        if _is_stream(place := Path(path)):
            with tempfile.TemporaryDirectory() as folder:
                (part := Path(folder) / "part").touch()
                yield part
                place.write_bytes(part.read_bytes())
            return
        path = place.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        part = Path(name)
        try:
            yield part
            with part.open("rb") as written:
                os.fsync(written.fileno())
            part.chmod(0o666 & ~_umask())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Generator[Path]:
    """Yield a temporary folder beside ``path``, and move it there at the end of the block unless the block raises.

    An existing folder at ``path`` is replaced as a whole. A symbolic link stays, and the folder that it leads to is
    replaced.
    """
    with explain_write(Path(path)):
        path = Path(path).resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        old = part.with_suffix(".old")
        try:
            yield part
            part.chmod(0o777 & ~_umask())
            if path.exists():
                path.rename(old)
            part.rename(path)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            if old.exists() and not path.exists():
                old.rename(path)
            shutil.rmtree(old, ignore_errors=True)


def mark_folder(folder: Path, form: str) -> None:
    """Write into a folder that panglot wrote it in the format ``form``, and so may replace it."""
    write_json(folder / _MARK, {"format": form, "panglot": __version__})


def is_marked(folder: Path, form: str) -> bool:
    """Return whether :func:`mark_folder` marked a folder with the same format."""
    try:
        return json.loads((folder / _MARK).read_text("utf-8"))["format"] == form
    except (OSError, ValueError, KeyError, TypeError):
        return False


_MARK = "panglot.json"


@contextlib.contextmanager
def lock(path: Path, *, wait: bool = True) -> Generator[bool]:
    """Hold the lock file ``path`` until the block ends, and yield whether it is held.

    If somebody else holds the lock, wait for it or, without ``wait``, yield False. The system releases the lock when
    the process dies, however it dies. The file names the machine and the process that held it last.

    Raises:
        PanglotError: The file cannot be written, or its file system has no locks.
    """
    from filelock import FileLock, Timeout

    with explain_write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    # A generator may be closed by another thread than the one that began it.
    held = FileLock(path, thread_local=False)
    try:
        # `is_locked` takes the lock for an instant, which must not keep anybody from a free one.
        held.acquire(timeout=-1 if wait else 0.2, poll_interval=0.02)
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError) as error:
        number = error.errno if isinstance(error, OSError) else None
        if number in (errno.EACCES, errno.EPERM, errno.EROFS):
            problem, hint = f"cannot write: {os.strerror(number)}", "choose a place that can be written"
        else:  # The file system has no locks.
            problem, hint = f"cannot lock: {error}", "choose a folder on another file system"
        raise PanglotError(problem, file=path, hint=hint) from error
    try:
        # Windows lets nobody write to a locked file.
        with contextlib.suppress(OSError):
            path.write_text(f"{socket.gethostname()} {os.getpid()}\n", encoding="utf-8")
        yield True
    finally:
        held.release()


def is_locked(path: Path, *, seconds: float = 0.1) -> bool:
    """Return whether a process holds :func:`lock` on ``path``. Asking does not keep anybody from a free lock.

    Whoever asks at the same moment may look like a holder, unless ``seconds`` leaves time to ask again.
    """
    from filelock import FileLock, Timeout

    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=seconds, poll_interval=0.01, thread_local=False):
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):  # Where nothing can be locked, nothing is.
        return False


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, in UTF-8."""
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: object) -> None:
    """Write ``value`` to ``path`` atomically as indented JSON."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def shareable(place: str | Path) -> str:
    """Return a name or path without the folders of this machine, for files that are passed on.

    A path within the working directory becomes relative. Of another one, only the last part is left.

    >>> shareable("/srv/data/my-docs.jsonl"), shareable("bundled"), shareable("runs/first")
    ('my-docs.jsonl', 'bundled', 'runs/first')
    """
    text = str(place)
    path = Path(text).expanduser()
    if path.is_absolute() or ".." in path.parts:
        whole = Path(os.path.abspath(path))  # noqa: PTH100  (resolving would follow links)
        return whole.relative_to(Path.cwd()).as_posix() if whole.is_relative_to(Path.cwd()) else whole.name
    return text


def digest(*parts: str | bytes) -> str:
    """Return the SHA-256 of ``parts`` in hexadecimal. It depends on the boundaries between them.

    >>> digest("ab", "c") == digest("a", "bc")
    False
    """
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "little"))
        whole.update(data)
    return whole.hexdigest()


def file_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_once(paths: Sequence[Path], compute: Callable[[], str]) -> str:
    """Return ``compute()``, a digest of files. It is cached by the paths, sizes and modification times of the files."""
    resolved = [path.resolve() for path in paths]
    state = [[each.st_size, each.st_mtime_ns] for each in (path.stat() for path in resolved)]
    cache = cache_folder() / "digests" / f"{digest(*map(str, resolved))[:32]}.json"
    try:
        known = json.loads(cache.read_text(encoding="utf-8"))
        if known["state"] == state and isinstance(known["sha256"], str):
            return known["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    computed = compute()
    with contextlib.suppress(PanglotError):  # Without a cache, the digest is computed again.
        write_json(cache, {"paths": [str(path) for path in resolved], "state": state, "sha256": computed})
    return computed


def known_digest(path: Path) -> str:
    """Return the SHA-256 of a file. It is computed once, until the file changes."""
    return digest_once([path], lambda: file_digest(path))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def in_large_pages(path: Path) -> mmap.mmap | None:
    """Return a file's bytes in large pages of memory, in which random reads are faster than in a mapped file.

    Return None if there are no such pages, or if the file takes more than a quarter of the memory that is free.
    """
    size = path.stat().st_size
    if not sys.platform.startswith("linux") or not size or 4 * size > free_memory():
        return None
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    with path.open("rb") as file:
        return memory if file.readinto(memory) == size else None


def check_writable(path: str | Path) -> None:
    """Refuse a file or folder that could not be written after the work whose result it is to hold.

    Raises:
        PanglotError: The system does not allow it, or a folder of the path is a file.
    """
    with explain_write(Path(path)):
        place = Path(path)
        if _is_stream(place):  # Nothing is made beside it.
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
