"""The plain version of :func:`panglot.data.ingest.ingest`, for tests: row by row, with every text in memory."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.data.files import (
    BOM,
    RowError,
    cut_short,
    empty_file,
    is_parquet,
    line_text,
    not_utf8,
    opened,
    parse_object,
)
from panglot.data.ingest import Ingested, OnError
from panglot.data.rows import Row, check_row, document_rows, parquet_batches


@dataclass
class Group:
    """The versions of one question and of one passage, by language."""

    questions: dict[str, str] = field(default_factory=dict)
    passages: dict[str, str] = field(default_factory=dict)


@dataclass
class Line:
    """One row with its file and text."""

    path: Path
    row: Row
    text: str

    def error(self, wrong: str, problem: str, hint: str) -> RowError:
        return RowError(self.row.line, wrong, problem, hint, self.text, str(self.path))


def plain_ingest(paths: list[Path] | Path, *, name: str = "", on_error: OnError = "raise") -> Ingested:
    """Return what ``ingest`` returns, or raise what it raises."""
    paths = [paths] if isinstance(paths, Path) else paths
    errors: list[RowError] = []

    def reject(error: RowError) -> None:
        if on_error == "raise":
            raise error.error()
        errors.append(error)

    lines: list[Line] = []
    for found in (found for path in paths for found in read(path)):
        if isinstance(found, RowError):
            reject(found)
        else:
            lines.append(found)
    agreeing: list[Line] = []
    ids: dict[str, int] = {}
    versions: dict[tuple[str, str, str], str] = {}
    for line in lines:
        if error := disagreement(line, ids, versions):
            reject(error)
        else:
            agreeing.append(line)
    answered = {line.row.group for line in agreeing if line.row.passage is not None} - {None}
    rows: list[Row] = []
    for line in agreeing:
        if line.row.passage is None and line.row.group not in answered:
            hint = "add the passage that answers it, in this line or in another line of its group"
            reject(line.error("passage", "a question without a relevant passage", hint))
        else:
            rows.append(line.row)
    order = [str(path) for path in paths]
    errors.sort(key=lambda error: (order.index(error.file), error.line))
    name = name or (paths[0].stem if is_parquet(paths[0]) else paths[0].name.split(".", 1)[0])
    if on_error == "raise" and all(row.question is None for row in rows):
        first = next(document_rows(paths[0], ()), None)
        fields = f" (fields: {', '.join(first[1])})" if first else ""
        hint = "name the field of questions `question`, or add a line with a question"
        raise PanglotError(f"{name} has no questions{fields}", field="question", hint=hint)
    # A row that is rejected for what other rows hold may still say that its file is a test set.
    test_only = any(line.row.test_only for line in lines)
    return Ingested(build(name, rows, test_only=test_only), errors)


def read(path: Path) -> Iterator[Line | RowError]:
    """Yield each row of a file, or what is wrong with it."""
    if is_parquet(path):
        optional = ("group", "question", "id", "test_only")
        batches = parquet_batches(path, ("language", "passage"), optional)
        for number, values in enumerate((row for batch in batches for row in batch.to_pylist()), 1):
            try:
                yield Line(path, check_row(values, path, number), "")
            except PanglotError as error:
                yield RowError.of(error)
        return
    number, is_empty = 0, True
    try:
        with opened(path) as stream:
            for number, data in enumerate(stream, 1):
                raw = data.removeprefix(BOM) if number == 1 else data
                is_empty = is_empty and not raw.strip()
                try:
                    if raw.decode().strip():
                        yield Line(path, parsed(raw.decode(), path, number), line_text(raw))
                except UnicodeDecodeError as error:
                    yield RowError.of(not_utf8(path, number, error), line_text(raw))
                except PanglotError as error:
                    yield RowError.of(error, line_text(raw))
    except (EOFError, zlib.error, gzip.BadGzipFile):
        yield RowError.of(cut_short(path, number + 1))
        return
    if is_empty:
        raise empty_file(path)


def parsed(text: str, path: Path, number: int) -> Row:
    return check_row(parse_object(text.rstrip("\r\n"), path, number), path, number)


def disagreement(line: Line, ids: dict[str, int], versions: dict[tuple[str, str, str], str]) -> RowError | None:
    """Return how a row contradicts an earlier one, or remember it."""
    row = line.row
    if row.id is not None and row.id in ids:
        return line.error("id", f"the id {row.id!r} is used before, in line {ids[row.id]}", "give each line its own id")
    if row.group is not None:
        own = {"question": row.question, "passage": row.passage}
        for side, text in own.items():
            if text is not None and versions.get((row.group, row.language, side), text) != text:
                hint = "give it a group of its own; panglot finds equal passages of several groups by itself"
                return line.error(side, f"the group {row.group!r} has another {side} in {row.language} already", hint)
        versions |= {(row.group, row.language, side): text for side, text in own.items() if text is not None}
    if row.id is not None:
        ids[row.id] = row.line
    return None


def build(name: str, rows: list[Row], *, test_only: bool) -> Collection:
    groups: dict[str, Group] = {}
    names = {row.group for row in rows}
    for number, row in enumerate(rows, 1):
        key = row.group
        if key is None:
            key = f"line-{number:07d}"
            while key in names:
                key += "-"
        group = groups.setdefault(key, Group())
        if row.question is not None:
            group.questions.setdefault(row.language, row.question)
        if row.passage is not None:
            group.passages.setdefault(row.language, row.passage)
    questions: list[Text] = []
    ids: dict[tuple[str, str], str] = {}
    tied: list[list[str]] = []  # sets of passage ids that share a group, in the order of their first ones
    origin: dict[str, str] = {}
    qrels: list[tuple[str, str, int]] = []
    for key, group in groups.items():
        answers = [ids.setdefault(version, f"{version[0]}:{key}") for version in group.passages.items()]
        for answer in answers:
            origin.setdefault(answer, key)
        touching = [members for members in tied if {*members} & {*answers}]
        merged = list(dict.fromkeys([label for members in touching for label in members] + answers))
        tied = [members for members in tied if members not in touching] + ([merged] if merged else [])
        for language, text in group.questions.items():
            questions.append(Text(f"{language}:{key}", language, key, text))
            qrels.extend((f"{language}:{key}", answer, 1) for answer in answers)
    order = list(ids.values())
    first = {label: min(members, key=order.index) for members in tied for label in members}
    passages = [Text(label, language, origin[first[label]], text) for (language, text), label in ids.items()]
    metadata = {"candidates": "passage"} | ({"test_only": "yes"} if test_only else {})
    return Collection.build(name, questions, passages, qrels, metadata)
