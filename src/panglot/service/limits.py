"""Admit requests or refuse them: who may read and write, how often, and how much is in progress at once."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import math
import os
import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from panglot._errors import PanglotError
from panglot.service.errors import RequestError

_SHORTEST = 16
"""Fewest characters of a key."""
_SETTING = re.compile(r"name=(?P<name>[\w.-]{1,64})|rate=(?P<rate>\d{1,9})", re.ASCII)
_MOST_TOKENS = 512  # Of one text. Most models read no more.


@dataclass(frozen=True)
class Limits:
    """Limits of a service. Requests above them are refused at once instead of waiting without end.

    Attributes:
        queue: Requests in progress or waiting. The next one gets status 429.
        queue_tokens: Tokens of those requests that do not fit into one batch. A single request may have more.
        batch_tokens: Tokens that are encoded together. A request waits for at most one batch before its own.
        body: Bytes of a request for embeddings, or to write documents. Other requests may have 256 KiB at most. Larger
            ones get status 413.
        texts: Texts per request for embeddings.
        documents: Documents per request to write them.
        characters: Characters per text.
        seconds: Time for a request to arrive, and again for its response. Then it gets status 408 or 504.
        refresh: Seconds between two checks for a newer version of the index.
    """

    queue: int = 256
    queue_tokens: int = 131_072
    batch_tokens: int = 2_048
    body: int = 8 << 20
    texts: int = 2_048
    documents: int = 500
    characters: int = 100_000
    seconds: float = 60.0
    refresh: float = 5.0

    def __post_init__(self) -> None:
        """Refuse limits that nothing can meet."""
        for each in fields(self):
            value = getattr(self, each.name)
            if not 0 < value < math.inf:
                problem = f"`{each.name}` must be a number above 0, got {value}"
                raise PanglotError(problem, field=each.name, hint="give a positive number")


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text without a tokenizer, as a quarter of its bytes in UTF-8 and a prompt.

    For a subword vocabulary, the estimate is right to a factor of about 2 in any script. It is 512 at most.

    >>> estimate_tokens("Wie drucke ich nur einen Teil?"), estimate_tokens("表の一部だけを印刷するには?")
    (11, 14)
    >>> estimate_tokens("a" * 10_000)
    512
    """
    return min(_MOST_TOKENS, len(text.encode("utf-8", "replace")) // 4 + 4)


def _retry_after(waiting: int, rate: float) -> int:
    """Return the seconds after which a refused client may try again, for the waiting tokens and tokens per second.

    >>> _retry_after(9_000, 3_000.0), _retry_after(10, 3_000.0), _retry_after(9_000, 0), _retry_after(10**9, 1)
    (3, 1, 1, 60)
    """
    return min(60, max(1, round(waiting / rate))) if rate > 0 else 1


def _has_room(requests: int, large: int, more: int, limits: Limits) -> bool:
    """Return whether a request may join the ``requests`` in progress, of which the large ones have ``large`` tokens.

    Requests that fit into one batch have ``more = 0`` and are limited in number only, so that a large one never keeps
    them out. If no other request is large, the new one may have any number of tokens.

    >>> limits = Limits(queue=2, queue_tokens=100)
    >>> [_has_room(1, *tokens, limits) for tokens in ((0, 500), (50, 50), (50, 51), (90, 0))]
    [True, True, False, True]
    >>> _has_room(2, 0, 0, limits)
    False
    """
    return requests < limits.queue and (not large or not more or large + more <= limits.queue_tokens)


class Admission:
    """Count the requests in progress. Only the event loop uses it, so that it needs no lock."""

    def __init__(self, limits: Limits, rate: Callable[[], float]) -> None:
        self._limits, self._rate = limits, rate
        self.requests = self.tokens = self._large = 0

    @contextlib.contextmanager
    def enter(self, tokens: int) -> Generator[None]:
        """Count a request as in progress until the block ends, or refuse it with status 429 and the seconds to wait."""
        large = tokens if tokens > self._limits.batch_tokens else 0
        if not _has_room(self.requests, self._large, large, self._limits):
            problem, hint = "too many requests are waiting", "try again later"
            headers = {"Retry-After": str(_retry_after(self.tokens, self._rate()))}
            raise RequestError(429, problem, hint=hint, code="queue_full", headers=headers)
        self._add(1, tokens, large)
        try:
            yield
        finally:
            self._add(-1, -tokens, -large)

    def _add(self, requests: int, tokens: int, large: int) -> None:
        self.requests += requests
        self.tokens += tokens
        self._large += large


@dataclass(frozen=True)
class Key:
    """An API key.

    Attributes:
        text: What clients send.
        name: Who has it, for logs and metrics. Several keys may have one name, such as an old and a new one.
        rate: Requests per minute. 0: any number. None: those of :class:`Access`.
    """

    text: str = field(repr=False)
    name: str = ""
    rate: int | None = None

    @property
    def label(self) -> str:
        """The name, or else the first eight digits of the key's SHA-256.

        >>> Key("0123456789abcdef").label, Key("0123456789abcdef", "web").label
        ('9f9f5111', 'web')
        """
        return self.name or _digest(self.text).hex()[:8]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def find_key(text: str, keys: Sequence[Key]) -> Key | None:
    """Return the key with this text. The time that this takes does not reveal how much of the text was right.

    >>> find_key("b", (Key("a"), Key("b"))), find_key("", (Key("a"), Key("b")))
    (Key(name='', rate=None), None)
    """
    # Digests have one length, so that the time of a comparison does not reveal the length of a key. All are compared.
    asked = _digest(text)
    found = [key for key in keys if hmac.compare_digest(asked, _digest(key.text))]
    return found[0] if found else None


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


@dataclass(frozen=True)
class Access:
    """Who may read and write.

    Attributes:
        keys: Keys that allow reading. Without any, everybody may read.
        writable: Whether anybody may write.
        write_keys: Keys that allow writing, and reading too. Without any, everybody may write.
        key_rate: Requests per minute of each key that has no rate of its own. 0: any number.
    """

    keys: tuple[Key, ...] = ()
    writable: bool = False
    write_keys: tuple[Key, ...] = ()
    key_rate: int = 0

    def __post_init__(self) -> None:
        """Refuse keys that would not protect what they seem to."""
        if self.write_keys and not self.writable:
            hint = "add --writable, or leave the write keys out"
            raise PanglotError("there are write keys, but nobody may write", field="write-keys", hint=hint)
        if self.key_rate and not (self.keys or self.write_keys):
            problem = "requests are counted per key, but there are no keys"
            raise PanglotError(problem, field="key-rate", hint="name a file of keys with --keys")
        if self.writable and self.keys and not self.write_keys:
            problem = "a service that needs keys to search needs write keys to write"
            raise PanglotError(problem, field="write-keys", hint="name a file of such keys with --write-keys")
        every = {*self.keys, *self.write_keys}
        if len({key.text for key in every}) < len(every):
            problem = "one key has two names or rates"
            raise PanglotError(problem, field="keys", hint="write each key with the same name and rate everywhere")

    def check(self, authorization: str, *, writes: bool) -> Key | None:
        """Refuse a request whose ``Authorization`` header does not allow it to read or write.

        Return its key, or nothing if it has none that is known.
        """
        if writes and not self.writable:
            hint = "start the service with panglot serve --writable"
            raise RequestError(403, "documents can only be read here", hint=hint, code="read_only")
        scheme, _, text = authorization.strip().partition(" ")
        text = text.strip() if scheme.lower() == "bearer" else ""
        writer, reader = find_key(text, self.write_keys), find_key(text, self.keys)
        if (self.write_keys if writes else self.keys) and not (writer or (reader and not writes)):
            if reader:
                hint = "send one of the write keys"
                raise RequestError(403, "this key does not allow writing", hint=hint, code="write_key")
            hint = "send a key as Authorization: Bearer KEY"
            challenge = {"WWW-Authenticate": 'Bearer realm="panglot"'}
            raise RequestError(401, "a key is required", hint=hint, code="invalid_api_key", headers=challenge)
        return writer or reader

    def rate(self, key: Key) -> int:
        """Return the requests per minute of a key. 0: any number."""
        return self.key_rate if key.rate is None else key.rate


class Rates:
    """Bound the requests per minute of each key, all of which may come at once. Only the event loop uses it.

    >>> rates = Rates()
    >>> [rates.take("key", 2, now) for now in (0.0, 0.0)], rates.take("other", 2, 0.0), rates.take("key", 2, 30.0)
    ([None, None], None, None)
    >>> rates.take("key", 2, 45.0)
    Traceback (most recent call last):
    panglot.service.errors.RequestError: ...
    """

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}  # By key, how many were left, and when.

    def take(self, key: str, per_minute: int, now: float) -> None:
        """Count a request of a known key at a time in seconds, or refuse it with status 429. 0 allows any number."""
        if not per_minute:
            return
        left, before = self._left.get(key, (float(per_minute), now))
        left = min(per_minute, left + (now - before) * per_minute / 60)
        # Sums of parts of a minute are not exact, and whoever waited as long as told must not be refused.
        allowed = left > 1 - 1e-6
        self._left[key] = max(0.0, left - allowed), now
        if not allowed:
            wait = {"Retry-After": str(math.ceil((1 - left) * 60 / per_minute))}
            problem = f"this key may send {per_minute:,} requests per minute"
            raise RequestError(429, problem, hint="send fewer, or wait", code="key_rate", headers=wait)
