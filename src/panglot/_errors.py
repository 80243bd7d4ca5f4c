"""The error for wrong input and settings."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path


class PanglotError(Exception):
    """Report what is wrong in the input or the settings, and how to fix it.

    The command line prints the error without a traceback and exits with status 2.

    Args:
        problem: What is wrong, in one sentence.
        file: The file with the problem.
        line: The line of that file, counted from 1.
        field: The field, column or option that is wrong.
        hint: What the user can do.

    >>> str(PanglotError("no passage", file="a.jsonl", line=3, field="passage", hint="add one"))
    'a.jsonl, line 3, field "passage": no passage. Fix: add one'
    """

    def __init__(
        self, problem: str, *, file: str | Path | None = None, line: int | None = None, field: str | None = None,
        hint: str | None = None,
    ) -> None:  # fmt: skip
        self.problem, self.file, self.line, self.field, self.hint = problem, file, line, field, hint
        parts = ((file, f"{file}"), (line, f"line {line}"), (field, f'field "{field}"'))
        where = ", ".join(text for value, text in parts if value is not None and text)
        text = f"{where}: {problem}" if where else problem
        super().__init__(f"{text}. Fix: {hint}" if hint else text)


@contextlib.contextmanager
def located(*, file: str | Path | None = None, line: int | None = None, field: str | None = None) -> Generator[None]:
    """Add the place to an error that the block raises, for code that does not know where its input comes from.

    >>> with located(file="a.jsonl", line=3, field="language"):
    ...     raise PanglotError("unknown language")
    Traceback (most recent call last):
    panglot._errors.PanglotError: a.jsonl, line 3, field "language": unknown language
    """
    try:
        yield
    except PanglotError as error:
        raise PanglotError(
            error.problem,
            file=error.file if file is None else file,
            line=error.line if line is None else line,
            field=error.field if field is None else field,
            hint=error.hint,
        ) from error


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or the name of its class if it has no message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
