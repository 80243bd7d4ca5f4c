"""What a service lets in."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from panglot._errors import PanglotError
from panglot.service.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@dataclass(frozen=True)
class Limits:
    """What a service lets in; more is refused, never kept waiting without end.

    Attributes:
        queue: Requests that are encoded and ranked, or wait for it, at once; the next one gets status 429.
        queue_tokens: Tokens of those among them that do not fit into one batch; one alone may have more.
        batch_tokens: Tokens that are encoded together. A batch is what the last request of it waits for.
        body: Bytes of a request for embeddings, and of any other 256 KiB at most; a larger one gets status 413.
        texts: Texts of one request for embeddings.
        characters: Characters of a text.
        seconds: For a request to come, and again for its answer; then it gets status 408 or 504.
        refresh: Seconds between looks for a newer version of the index.
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
        """Refuse what lets nothing in."""
        for field in fields(self):
            if not 0 < getattr(self, field.name) < math.inf:
                raise PanglotError("not a number above 0", field=field.name, hint="give a positive number")


def tokens(text: str, most: int = 512) -> int:
    """Estimate the tokens of a text without a tokenizer: a quarter of its bytes in UTF-8, and a prompt.

    True for a subword vocabulary to about a factor of 2 in any script; the encoder itself counts exactly.

    >>> tokens("Wie drucke ich nur einen Teil?"), tokens("表の一部だけを印刷するには?"), tokens("a" * 10_000)
    (11, 14, 512)
    """
    return min(most, len(text.encode("utf-8", "replace")) // 4 + 4)


def retry_after(waiting: int, rate: float) -> int:
    """Return the whole seconds after which a refused client may come back.

    Args:
        waiting: Tokens that wait.
        rate: Tokens a second, lately; 0: nothing is known yet.

    >>> retry_after(9_000, 3_000.0), retry_after(10, 3_000.0), retry_after(9_000, 0), retry_after(10**9, 1)
    (3, 1, 1, 60)
    """
    return min(60, max(1, round(waiting / rate))) if rate > 0 else 1


class Admission:
    """Counts the requests that are inside; used by the event loop alone.

    Args:
        limits: How many may be.
        rate: Tells how many tokens a second are encoded lately.
    """

    def __init__(self, limits: Limits, rate: Callable[[], float]) -> None:
        self._limits, self._rate = limits, rate
        self.requests = 0
        self.tokens = 0
        self._large = 0

    @contextlib.contextmanager
    def enter(self, tokens: int) -> Generator[None]:
        """Let a request in until the block ends.

        Raises:
            RequestError: 429, with the seconds to wait; too many are inside.
        """
        large = tokens if tokens > self._limits.batch_tokens else 0
        if not room(self.requests, self._large, large, self._limits):
            raise RequestError(
                429,
                "too many requests wait",
                hint="try again later",
                code="queue_full",
                headers={"Retry-After": str(retry_after(self.tokens, self._rate()))},
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


def room(requests: int, large: int, more: int, limits: Limits) -> bool:
    """Return whether a request may join those that are inside.

    Those that fit into one batch are limited in their number alone, so that nobody keeps them out with a large one.

    Args:
        requests: How many are inside.
        large: Tokens of the large ones among them.
        more: Tokens of the one that comes; 0 where it is not large. One alone may always have as many as it likes.
        limits: What is let in.

    >>> from panglot.service.limits import Limits
    >>> limits = Limits(queue=2, queue_tokens=100)
    >>> room(1, 0, 500, limits), room(1, 50, 50, limits), room(1, 50, 51, limits), room(1, 90, 0, limits)
    (True, True, False, True)
    >>> room(2, 0, 0, limits)
    False
    """
    return requests < limits.queue and (not large or not more or large + more <= limits.queue_tokens)
