"""Limit what a service accepts at once."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from panglot._errors import PanglotError
from panglot.service.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["Admission", "Limits", "estimate_tokens", "has_room", "retry_after"]


@dataclass(frozen=True)
class Limits:
    """Limits of a service. Requests above them are refused at once instead of waiting without end.

    Attributes:
        queue: Requests in progress or waiting. The next one gets status 429.
        queue_tokens: Tokens of those requests that do not fit into one batch. A single request may have more.
        batch_tokens: Tokens that are encoded together. A request waits for at most one batch before its own.
        body: Bytes of a request for embeddings. Other requests may have 256 KiB at most. Larger ones get status 413.
        texts: Texts per request for embeddings.
        characters: Characters per text.
        seconds: Time for a request to arrive, and again for its response. Then it gets status 408 or 504.
        refresh: Seconds between two checks for a newer version of the index.
    """

    queue: int = 256
    queue_tokens: int = 131_072
    batch_tokens: int = 2_048
    body: int = 8 << 20
    texts: int = 2_048
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


def estimate_tokens(text: str, most: int = 512) -> int:
    """Estimate the tokens of a text without a tokenizer, as a quarter of its bytes in UTF-8 and a prompt.

    For a subword vocabulary, the estimate is right to a factor of about 2 in any script.

    >>> estimate_tokens("Wie drucke ich nur einen Teil?"), estimate_tokens("表の一部だけを印刷するには?")
    (11, 14)
    >>> estimate_tokens("a" * 10_000)
    512
    """
    return min(most, len(text.encode("utf-8", "replace")) // 4 + 4)


def retry_after(waiting: int, rate: float) -> int:
    """Return the whole seconds after which a refused client may try again.

    Args:
        waiting: The number of waiting tokens.
        rate: Tokens encoded per second lately, 0 if unknown.

    >>> retry_after(9_000, 3_000.0), retry_after(10, 3_000.0), retry_after(9_000, 0), retry_after(10**9, 1)
    (3, 1, 1, 60)
    """
    return min(60, max(1, round(waiting / rate))) if rate > 0 else 1


def has_room(requests: int, large: int, more: int, limits: Limits) -> bool:
    """Return whether a request may join those in progress.

    Requests that fit into one batch are limited in number only, so that a large one never keeps them out.

    Args:
        requests: The number of requests in progress.
        large: Tokens of the large ones among them.
        more: Tokens of the new request if it is large, else 0. If no other is large, it may have any number.
        limits: The limits.

    >>> limits = Limits(queue=2, queue_tokens=100)
    >>> [has_room(1, *tokens, limits) for tokens in ((0, 500), (50, 50), (50, 51), (90, 0))]
    [True, True, False, True]
    >>> has_room(2, 0, 0, limits)
    False
    """
    return requests < limits.queue and (not large or not more or large + more <= limits.queue_tokens)


class Admission:
    """Count the requests in progress. Only the event loop uses it, so that it needs no lock.

    Args:
        limits: The limits.
        rate: Returns the tokens encoded per second lately.
    """

    def __init__(self, limits: Limits, rate: Callable[[], float]) -> None:
        self._limits, self._rate = limits, rate
        self.requests = 0
        self.tokens = 0
        self._large = 0

    @contextlib.contextmanager
    def enter(self, tokens: int) -> Generator[None]:
        """Count a request as in progress until the block ends.

        Raises:
            RequestError: 429 with the seconds to wait, if there are too many requests.
        """
        large = tokens if tokens > self._limits.batch_tokens else 0
        if not has_room(self.requests, self._large, large, self._limits):
            headers = {"Retry-After": str(retry_after(self.tokens, self._rate()))}
            raise RequestError(
                429, "too many requests are waiting", hint="try again later", code="queue_full", headers=headers
            )
        self.requests += 1
        self.tokens += tokens
        self._large += large
        try:
            yield
        finally:
            self.requests -= 1
            self.tokens -= tokens
            self._large -= large
