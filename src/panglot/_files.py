"""Atomic writes, digests and the folders that panglot keeps for itself."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from panglot._errors import PanglotError


def cache_folder() -> Path:
    """Return the cache folder: ``$PANGLOT_CACHE``, else ``$XDG_CACHE_HOME/panglot``, else ``~/.cache/panglot``."""
    if chosen := os.environ.get("PANGLOT_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "panglot"


@contextlib.contextmanager
def explain_write(path: Path) -> Generator[None]:
    """Turn the operating system's refusal to write ``path`` into a :class:`PanglotError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "free some space or choose another place" if error.errno == 28 else "choose a place that can be written"
        raise PanglotError(f"cannot write: {reason}", file=path, hint=hint) from error


@contextlib.contextmanager
def atomic_file(path: str | Path) -> Generator[Path]:
    """Yield a temporary path beside ``path``; move it there when the block ends well, remove it otherwise.

    A reader sees the old content or the whole new one, also after a kill or a power cut.

    Raises:
        PanglotError: The place cannot be written.
    """
    path = Path(path)
    with explain_write(path):
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
    """Yield a temporary folder beside ``path``; move it there when the block ends well, remove it otherwise.

    An existing folder at ``path`` is replaced whole.

    Raises:
        PanglotError: The place cannot be written.
    """
    path = Path(path)
    with explain_write(path):
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


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, in UTF-8."""
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: object) -> None:
    """Write ``value`` to ``path`` atomically as indented JSON."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Return what a TOML file holds; ``what`` says what the file is, in errors.

    Raises:
        PanglotError: It is not there or not TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise PanglotError(f"no such {what}", file=path, hint="check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PanglotError(f"not TOML: {error}", file=path, hint="write `name = value` lines") from error


def digest(*parts: str | bytes) -> str:
    """Return the SHA-256 of ``parts`` in hexadecimal; their boundaries count.

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
    """Return a digest of what files hold, remembered in the cache folder by their paths, sizes and times of change."""
    found = [path.resolve() for path in paths]
    now = [[state.st_size, state.st_mtime_ns] for state in (path.stat() for path in found)]
    memory = cache_folder() / "digests" / f"{digest(*map(str, found))[:32]}.json"
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
        if known["state"] == now and isinstance(known["sha256"], str):
            return known["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    computed = compute()
    with contextlib.suppress(PanglotError):  # A cache that cannot be written costs time, no more.
        write_json(memory, {"paths": [str(path) for path in found], "state": now, "sha256": computed})
    return computed


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
