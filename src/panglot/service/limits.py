"""Limit how much is in progress at once."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, fields

from panglot._errors import PanglotError
from panglot.service.errors import RequestError

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
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value < math.inf:
                problem = f"`{field.name}` must be a number above 0, got {value}"
                raise PanglotError(problem, field=field.name, hint="give a positive number")


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
