"""Write to the index, one request after the other, on a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from panglot.service.batcher import StoppedError

if TYPE_CHECKING:
    from panglot.search.storage.store import Store

_logger = logging.getLogger(__name__)

_IDLE = 1.0
"""Seconds without a write after which the store is tidied up."""
_MOST = 1_000
"""Writes after which the store is tidied up even if more are waiting."""

_Result = TypeVar("_Result")


class Writer:
    """Carry out submitted writes in their order.

    A write is answered when it is safe. The store merges what many writes have left, and makes graphs of it, when no
    more writes wait. Another thread does that, so that no client waits for it.
    """

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._tidying = ThreadPoolExecutor(1, "panglot-tidy")
        self._stopping = False

    def submit(self, work: Callable[[], _Result]) -> Future[_Result]:
        """Return the coming result of ``work``. Cancel the future to drop it, unless it has begun."""
        if self._stopping:
            raise StoppedError
        future: Future[_Result] = Future()

        def carry_out() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except Exception as error:  # noqa: BLE001  (the client gets it)
                    future.set_exception(error)

        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="panglot-write", daemon=True)
            self._thread.start()
        self._jobs.put(carry_out)
        return future

    def close(self) -> None:
        """Finish the writes that were submitted, and return. The next write merges what they leave."""
        self._stopping = True
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
        self._tidying.shutdown()

    def _run(self) -> None:
        while job := self._jobs.get():
            try:
                with contextlib.ExitStack() as stack:
                    stack.enter_context(self._store().bulk())
                    self._write_until_idle(job)
                    block = stack.pop_all()
            except StoppedError:
                return
            except Exception:
                _logger.exception("the documents could not be written")
                continue
            self._tidying.submit(_tidy, block)

    def _write_until_idle(self, job: Callable[[], None]) -> None:
        job()
        with contextlib.suppress(queue.Empty):
            for _ in range(_MOST):
                following = self._jobs.get(timeout=_IDLE)
                if following is None:
                    # Merging many documents takes longer than a stop may take.
                    raise StoppedError
                following()


def _tidy(bulk: contextlib.ExitStack) -> None:
    """Leave a block of writes."""
    try:
        bulk.close()
    except Exception:
        # All writes have been answered. The next one tries this again.
        _logger.exception("the documents that were written could not be merged")
