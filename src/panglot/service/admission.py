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

    @contextlib.contextmanager
    def enter(self, tokens: int) -> Generator[None]:
        """Let a request in until the block ends.

        Raises:
            RequestError: 429, with the seconds to wait; too many are inside.
        """
        if not room(self.requests, self.tokens, tokens, self._limits):
            raise RequestError(
                429,
                "too many requests wait",
                cure="try again later",
                code="queue_full",
                headers={"Retry-After": str(retry_after(self.tokens, self._rate()))},
            )
        self.requests += 1
        self.tokens += tokens
        try:
            yield
        finally:
            self.requests -= 1
            self.tokens -= tokens


def room(requests: int, tokens: int, more: int, limits: Limits) -> bool:
    """Return whether a request of ``more`` tokens may join those that are inside; one alone always may.

    >>> from panglot.service.limits import Limits
    >>> limits = Limits(queue=2, queue_tokens=100)
    >>> room(0, 0, 500, limits), room(1, 50, 50, limits), room(1, 50, 51, limits), room(2, 2, 1, limits)
    (True, True, False, False)
    """
    return requests == 0 or (requests < limits.queue and tokens + more <= limits.queue_tokens)
