"""Show the progress of long work on standard error, as a bar on a terminal or else as lines now and then."""

from __future__ import annotations

import contextlib
import sys
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

PATIENCE = 2.0
"""Seconds of work after which a bar appears."""
PAUSE = 30.0
"""Seconds between two lines if there is no terminal."""


@contextlib.contextmanager
def progress(label: str, total: int | None, unit: str = "texts") -> Generator[Callable[[int], None]]:
    """Yield a function to call with the number of texts, or of another ``unit``, that are done.

    On a terminal, a bar with the rate and the time left appears after :data:`PATIENCE` seconds. Without a terminal,
    panglot prints a line every :data:`PAUSE` seconds. Inside the block of another progress, that one advances instead.
    """
    if outer := _active.get():
        yield outer
        return
    with (_bar if sys.stderr.isatty() else _lines)(label, total, unit) as advance:
        token = _active.set(advance)
        try:
            yield advance
        finally:
            _active.reset(token)


@contextlib.contextmanager
def _bar(label: str, total: int | None, unit: str) -> Generator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(label, total=total, rate="")
    started = time.monotonic()
    finished = 0

    def advance(done: int) -> None:
        nonlocal finished
        finished += done
        seconds = time.monotonic() - started
        # Short work shows no bar, which would only flicker.
        if seconds > PATIENCE:
            bar.start()
            bar.update(task, advance=0, completed=finished, rate=f"{finished / seconds:.0f} {unit}/s")

    try:
        yield advance
    finally:
        bar.stop()


@contextlib.contextmanager
def _lines(label: str, total: int | None, unit: str) -> Generator[Callable[[int], None]]:
    started = printed = time.monotonic()
    finished = 0

    def advance(done: int) -> None:
        nonlocal finished, printed
        finished += done
        now = time.monotonic()
        if now - printed > PAUSE:
            printed = now
            of = f" of {total:,}" if total else ""
            print(f"{label}: {finished:,}{of} {unit}, {finished / (now - started):.0f} {unit}/s", file=sys.stderr)

    yield advance


def be_quiet() -> None:
    """Show no progress from now on, in a process whose progress another one shows."""
    _active.set(lambda _done: None)


_active: ContextVar[Callable[[int], None] | None] = ContextVar("_active", default=None)
