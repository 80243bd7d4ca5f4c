"""Rows of ``group, language, question, passage`` become a collection: what JSON lines and Parquet share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pyarrow as pa

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text, pc
from panglot.data.files import numbered_lines, parse_json
from panglot.data.keys import DisjointSets
from panglot.data.language import canonical

FIELDS = ("group", "language", "question", "passage")


@dataclass(frozen=True)
class Row:
    """One line of a file; absent texts are None.

    Attributes:
        group: What ties it to its translations; None: it stands alone.
        language: As the file writes it.
        question: The question, if the line has one.
        passage: The passage, if the line has one.
        file: Where it stands.
        line: Which line or row of the file, from 1.
        id: The line's own id, if it has one.
        test_only: Whether the line says that it comes from a test set: such a collection must not be trained on.
    """

    group: str | None
    language: str
    question: str | None
    passage: str | None
    file: Path
    line: int
    id: str | None = None
    test_only: bool = False


@dataclass
class _Group:
    questions: dict[str, str] = field(default_factory=dict)
    passages: dict[str, str] = field(default_factory=dict)
    asked_by: Row | None = None


def row(values: Mapping[str, object], file: Path, line: int) -> Row:
    """Check one line's fields.

    Raises:
        PanglotError: A field is missing or not a text.
    """
    texts = {key: _text(values.get(key), key, file, line) for key in (*FIELDS, "id")}
    if texts["language"] is None:
        raise PanglotError("the language is missing", file=file, line=line, field="language", hint="add it, e.g. en")
    if texts["question"] is None and texts["passage"] is None:
        known = ", ".join(map(str, values)) or "none"
        raise PanglotError(
            f"neither a question nor a passage (fields: {known})",
            file=file,
            line=line,
            field="passage",
            hint="add `passage`, or `question` if another line of the group has the passage",
        )
    return Row(texts["group"], texts["language"], texts["question"], texts["passage"], file, line, texts["id"],
               values.get("test_only") == "yes")  # fmt: skip


def collect(name: str, rows: Iterable[Row], about: Mapping[str, str] | None = None) -> Collection:
    """Make a collection of ``rows``.

    Lines of one group are versions of one question and of one passage: any of its questions is answered by
    any of its passages. A line without a group is a group of its own. A group without a question only
    enlarges the pool. Equal passages of one language are one passage, and tie the passages of the groups
    that share it.

    Raises:
        PanglotError: An unknown language, a repeated id, two questions or two passages of one language in
        one group,
            a question without any passage, or no question at all.
    """
    groups: dict[str, _Group] = {}
    seen: dict[str, Row] = {}
    rows = list(rows)
    named = {row.group for row in rows if row.group is not None}
    for number, entry in enumerate(rows, 1):
        if entry.id is not None and (first := seen.setdefault(entry.id, entry)) is not entry:
            raise PanglotError(
                f"the id {entry.id!r} is used before, in line {first.line}",
                file=entry.file,
                line=entry.line,
                field="id",
                hint="give each line its own id",
            )
        key = entry.group if entry.group is not None else _own_group(number, named)
        _add(groups.setdefault(key, _Group()), entry)
    if any(entry.test_only for entry in rows):
        about = {**(about or {}), "test_only": "yes"}
    return _build(name, groups, about)


def _own_group(number: int, named: set[str]) -> str:
    key = f"line-{number:07d}"
    while key in named:
        key += "-"
    return key


def _add(group: _Group, entry: Row) -> None:
    try:
        language = canonical(entry.language)
    except PanglotError as error:
        raise PanglotError(
            error.problem, file=entry.file, line=entry.line, field="language", hint=error.hint
        ) from error
    sides = (("question", entry.question, group.questions), ("passage", entry.passage, group.passages))
    for side, text, versions in sides:
        if text is not None and versions.setdefault(language, text) != text:
            raise PanglotError(
                f"the group {entry.group!r} has another {side} in {language} already",
                file=entry.file,
                line=entry.line,
                field=side,
                hint="give it a group of its own; equal passages of several groups are recognised",
            )
    if entry.question is not None and group.asked_by is None:
        group.asked_by = entry


def _build(name: str, groups: Mapping[str, _Group], about: Mapping[str, str] | None) -> Collection:
    questions: list[Text] = []
    ids: dict[tuple[str, str], str] = {}
    ties = DisjointSets[str]()
    origin: dict[str, str] = {}
    relevance: list[tuple[str, str, int]] = []
    for key, group in groups.items():
        if group.asked_by is not None and not group.passages:
            entry = group.asked_by
            raise PanglotError(
                "a question without a relevant passage",
                file=entry.file,
                line=entry.line,
                field="passage",
                hint="add the passage that answers it, in this line or in another line of its group",
            )
        answers = [ids.setdefault(version, f"{version[0]}:{key}") for version in group.passages.items()]
        for answer in answers:
            origin.setdefault(answer, key)
        ties.join(answers)
        for language, text in group.questions.items():
            questions.append(Text(f"{language}:{key}", language, key, text))
            relevance.extend((f"{language}:{key}", answer, 1) for answer in answers)
    if not questions:
        raise PanglotError(f"{name} has no questions", field="question", hint="add a line with a question")
    passages = [Text(label, lang, origin[ties.first(label)], text) for (lang, text), label in ids.items()]
    return Collection.build(name, questions, passages, relevance, about)


def _text(value: object, key: str, file: Path, line: int) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and key in ("group", "id"):
        return str(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        raise PanglotError(
            f"not a text but {type(value).__name__}", file=file, line=line, field=key, hint="put it in quotes"
        )
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in value):
        raise PanglotError("half of a surrogate pair", file=file, line=line, field=key, hint="correct the escape")
    return value


def read_jsonl(paths: Sequence[Path] | Path, *, name: str = "", about: Mapping[str, str] | None = None) -> Collection:
    """Read files of lines ``{"group": …, "language": …, "question": …, "passage": …}``, plain or gzipped.

    ``group`` ties translations and may be missing: then each line stands alone. A line with a passage only
    enlarges the pool. Groups reach over all files given.

    Raises:
        PanglotError: A file is broken; the message names file, line, field and hint.
    """
    paths = [paths] if isinstance(paths, Path) else list(paths)
    found = (row for path in paths for row in jsonl_rows(path))
    return collect(name or paths[0].name.split(".", 1)[0], found, {"candidates": "passage", **(about or {})})


def jsonl_rows(path: Path) -> Iterator[Row]:
    """Yield the checked lines of one file.

    Raises:
        PanglotError: A line is not a JSON object, or a field is missing or not a text.
    """
    for line, text in numbered_lines(path):
        yield parsed(text, path, line)


def parsed(text: str, path: Path, line: int) -> Row:
    """Return one checked line.

    Raises:
        PanglotError: As :func:`rows`.
    """
    value = parse_json(text, path, line)
    if not isinstance(value, dict):
        raise PanglotError("not a JSON object", file=path, line=line, hint='write {"language": …, "passage": …}')
    return row(cast("dict[str, object]", value), path, line)


def read_parquet(path: Path, *, name: str = "", about: Mapping[str, str] | None = None) -> Collection:
    """Read a table with the columns ``language, passage`` and, if there, ``group, question, id``.

    Raises:
        PanglotError: The file is not Parquet, a column is missing, or a row is wrong; rows count from 1.
    """
    return collect(name or path.stem, parquet_rows(path), {"candidates": "passage", **(about or {})})


def parquet_rows(path: Path) -> Iterator[Row]:
    """Yield the checked rows of the table.

    Raises:
        PanglotError: As :func:`read`.
    """
    for line, values in enumerate((values for batch in row_batches(path) for values in batch.to_pylist()), 1):
        yield row(values, path, line)


def row_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the rows as they stand, some thousand at a time.

    Raises:
        PanglotError: The file is not Parquet, or a column is missing.
    """
    return batches(path, ("language", "passage"), ("group", "question", "id", "test_only"))


def records(
    path: Path,
    needed: tuple[str, ...],
    optional: tuple[str, ...] = (),
    *,
    only: tuple[str, Callable[[str], bool]] | None = None,
) -> Iterator[dict[str, object]]:
    """Yield the rows of a Parquet file with the columns ``needed``, and those of ``optional`` that it has.

    ``only`` is a column and which of its values are wanted: rows with others are never made.

    Raises:
        PanglotError: The file is not Parquet, or a needed column is missing.
    """
    for batch in batches(path, needed, optional):
        if only is not None:
            values = batch[only[0]].unique()
            wanted = [value for value in values.to_pylist() if only[1](str(value))]
            batch = batch.filter(pc.is_in(batch[only[0]], pa.array(wanted, values.type)))  # noqa: PLW2901
        yield from batch.to_pylist()


def batches(path: Path, needed: tuple[str, ...], optional: tuple[str, ...] | None = ()) -> Iterator[pa.RecordBatch]:
    """Yield the same some thousand rows at a time; ``optional`` None: all columns.

    Raises:
        PanglotError: As :func:`records`.
    """
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            there = file.schema_arrow.names
            for column in needed:
                if column not in there:
                    raise PanglotError(
                        f"no such column (there are: {', '.join(there)})",
                        file=path,
                        field=column,
                        hint="rename or add the column",
                    )
            columns = there if optional is None else [*needed, *(column for column in optional if column in there)]
            yield from file.iter_batches(batch_size=8192, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise PanglotError(
            f"not a readable Parquet file: {str(error).splitlines()[0]}",
            file=path,
            hint="write or fetch it again",
        ) from error
