"""Which requests are let in."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from panglot.service.errors import RequestError
from panglot.service.limits import retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from panglot.service.limits import Limits


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
                cure="try again later",
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
