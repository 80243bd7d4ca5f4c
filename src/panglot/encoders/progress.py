"""A bar on standard error for encodings that take a while."""

from __future__ import annotations

import contextlib
import sys
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

PATIENCE = 2.0
"""Seconds of work before a bar appears."""


@contextlib.contextmanager
def progress(label: str, total: int | None, unit: str = "texts") -> Generator[Callable[[int], None]]:
    """Yield a function to call with the number of texts, or of another ``unit``, just finished.

    A bar with the rate and the time left appears after :data:`PATIENCE` seconds, on a terminal only. Inside
    another one, the outer bar is advanced instead.
    """
    if outer := _active.get():
        yield outer
        return
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(label, total=total, rate="")
    begun = time.monotonic()
    finished = 0

    def advance(done: int) -> None:
        nonlocal finished
        finished += done
        spent = time.monotonic() - begun
        if spent > PATIENCE:
            bar.start()
            bar.update(task, advance=0, completed=finished, rate=f"{finished / spent:.0f} {unit}/s")

    token = _active.set(advance)
    try:
        yield advance
    finally:
        _active.reset(token)
        bar.stop()


def be_quiet() -> None:
    """Show no bars from now on: for processes whose work another one shows."""
    _active.set(lambda _done: None)


_active: ContextVar[Callable[[int], None] | None] = ContextVar("_active", default=None)
