"""Read and write TREC runs and judgements (qrels)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from panglot._errors import PanglotError
from panglot._files import write_text
from panglot.data.files import numbered_lines

Qrels = Mapping[str, Mapping[str, int]]
Run = Mapping[str, Mapping[str, float]]
V = TypeVar("V", int, float)


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Read lines ``question 0 passage grade``: the grade of each judged passage by question.

    Raises:
        PanglotError: A line has another shape, or a pair is judged twice.
    """
    found: dict[str, dict[str, int]] = {}
    for line, parts in _fields(path, 4, "question 0 passage grade"):
        question, _, passage, grade = parts
        try:
            value = int(grade)
        except ValueError as error:
            raise PanglotError(
                f"expected a whole number, got {grade!r}",
                file=path,
                line=line,
                field="grade",
                hint="write 0, 1 or more",
            ) from error
        _put(found, question, passage, value, path, line)
    return found


def write_qrels(path: Path, qrels: Qrels) -> None:
    """Write judgements, atomically.

    Raises:
        PanglotError: An id holds a blank, or the place cannot be written.
    """
    _write(path, ((q, "0", p, str(grade)) for q, judged in qrels.items() for p, grade in judged.items()))


def read_run(path: Path) -> dict[str, dict[str, float]]:
    """Read lines ``question Q0 passage rank score name``: the score of each passage by question.

    Like trec_eval, this ignores the ranks.

    Raises:
        PanglotError: A line has another shape, a score is not a finite number, or a passage comes twice.
    """
    found: dict[str, dict[str, float]] = {}
    for line, parts in _fields(path, 6, "question Q0 passage rank score name"):
        question, _, passage, _, score, _ = parts
        try:
            value = float(score)
        except ValueError:
            value = float("nan")
        if not abs(value) < float("inf"):
            problem = f"expected a finite number, got {score!r}"
            raise PanglotError(problem, file=path, line=line, field="score", hint="correct it")
        _put(found, question, passage, value, path, line)
    return found


def write_run(path: Path, run: Run, *, name: str = "panglot") -> None:
    """Write a run, best first; equal scores by passage id, ascending. Scores read back bit for bit.

    Raises:
        PanglotError: An id holds a blank, or the place cannot be written.
    """
    _write(
        path,
        (
            (question, "Q0", passage, str(rank), repr(float(score)), name)
            for question, scores in run.items()
            for rank, (passage, score) in enumerate(sorted(scores.items(), key=lambda item: (-item[1], item[0])), 1)
        ),
    )


def _fields(path: Path, number: int, shape: str) -> Iterable[tuple[int, list[str]]]:
    for line, text in numbered_lines(path):
        parts = text.split()
        if len(parts) != number:
            problem = f"expected {number} columns, got {len(parts)}"
            raise PanglotError(problem, file=path, line=line, hint=f"write `{shape}`")
        yield line, parts


def _put(found: dict[str, dict[str, V]], question: str, passage: str, value: V, path: Path, line: int) -> None:
    row = found.setdefault(question, {})
    if passage in row:
        raise PanglotError(
            f"{question} and {passage} come twice", file=path, line=line, hint="remove one of the two lines"
        )
    row[passage] = value


def _write(path: Path, rows: Iterable[tuple[str, ...]]) -> None:
    lines: list[str] = []
    for row in rows:
        for value in row:
            if not value or value.split() != [value]:
                raise PanglotError(
                    f"the id {value!r} is empty or holds a blank, which ends a column of TREC",
                    file=path,
                    field="id",
                    hint="give the collection ids without blanks",
                )
        lines.append(" ".join(row) + "\n")
    write_text(path, "".join(lines))
