"""API keys: read from a file or the environment, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from panglot._errors import PanglotError

SHORTEST = 16
"""Characters of a key, at least."""


def read_keys(file: str | Path | None = None) -> tuple[str, ...]:
    """Return the keys of a file, one a line (``#`` begins a comment), or of ``$PANGLOT_SERVICE_KEYS``, with commas.

    Raises:
        PanglotError: The file cannot be read or holds no key, or a key is short or not ASCII.
    """
    if file is None:
        found = [key.strip() for key in os.environ.get("PANGLOT_SERVICE_KEYS", "").split(",") if key.strip()]
        lines = list(enumerate(found, 1))
    else:
        try:
            text = Path(file).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PanglotError("the keys cannot be read", file=file, cure="name a text file, one key a line") from error
        lines = [(row, line.strip()) for row, line in enumerate(text.splitlines(), 1)]
        lines = [(row, line) for row, line in lines if line and not line.startswith("#")]
        if not lines:
            raise PanglotError("no key is in it", file=file, cure="write one key a line")
    for row, key in lines:
        if len(key) < SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
            raise PanglotError(
                "not a key",
                file=file or "PANGLOT_SERVICE_KEYS",
                line=row,
                cure=f"use {SHORTEST} or more ASCII letters and digits, such as from `openssl rand -hex 24`",
            )
    return tuple(key for _, key in lines)


def given_key(authorization: str) -> str:
    """Return the key in an ``Authorization`` header; empty: there is none.

    >>> given_key("Bearer abc"), given_key("Basic dXNlcjphYmM="), given_key("")
    ('abc', '', '')
    """
    scheme, _, value = authorization.strip().partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def is_allowed(given: str, keys: tuple[str, ...]) -> bool:
    """Return whether a key is one of ``keys``; how long that takes does not tell which, or how much of it was right.

    >>> is_allowed("b", ("a", "b")), is_allowed("", ("a", "b"))
    (True, False)
    """
    offered = _digest(given)
    return sum(hmac.compare_digest(offered, _digest(key)) for key in keys) > 0  # not any(): every key is compared


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()
