"""Rows of ``group, language, question, passage`` become a collection: what JSON lines and Parquet share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from panglot._errors import PanglotError
from panglot.corpus._ties import Ties
from panglot.corpus.collection import Collection, Text
from panglot.corpus.language import canonical

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
        raise PanglotError("the language is missing", file=file, line=line, field="language", cure="add it, e.g. en")
    if texts["question"] is None and texts["passage"] is None:
        known = ", ".join(map(str, values)) or "none"
        raise PanglotError(
            f"neither a question nor a passage (fields: {known})",
            file=file,
            line=line,
            field="passage",
            cure="add `passage`, or `question` if another line of the group has the passage",
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
                cure="give each line its own id",
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
            error.problem, file=entry.file, line=entry.line, field="language", cure=error.cure
        ) from error
    sides = (("question", entry.question, group.questions), ("passage", entry.passage, group.passages))
    for side, text, versions in sides:
        if text is not None and versions.setdefault(language, text) != text:
            raise PanglotError(
                f"the group {entry.group!r} has another {side} in {language} already",
                file=entry.file,
                line=entry.line,
                field=side,
                cure="give it a group of its own; equal passages of several groups are recognised",
            )
    if entry.question is not None and group.asked_by is None:
        group.asked_by = entry


def _build(name: str, groups: Mapping[str, _Group], about: Mapping[str, str] | None) -> Collection:
    questions: list[Text] = []
    ids: dict[tuple[str, str], str] = {}
    ties = Ties[str]()
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
                cure="add the passage that answers it, in this line or in another line of its group",
            )
        answers = [ids.setdefault(version, f"{version[0]}:{key}") for version in group.passages.items()]
        for answer in answers:
            origin.setdefault(answer, key)
        ties.join(answers)
        for language, text in group.questions.items():
            questions.append(Text(f"{language}:{key}", language, key, text))
            relevance.extend((f"{language}:{key}", answer, 1) for answer in answers)
    if not questions:
        raise PanglotError(f"{name} has no questions", field="question", cure="add a line with a question")
    passages = [Text(label, lang, origin[ties.first(label)], text) for (lang, text), label in ids.items()]
    return Collection.build(name, questions, passages, relevance, about)


def _text(value: object, key: str, file: Path, line: int) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and key in ("group", "id"):
        return str(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        raise PanglotError(
            f"not a text but {type(value).__name__}", file=file, line=line, field=key, cure="put it in quotes"
        )
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in value):
        raise PanglotError("half of a surrogate pair", file=file, line=line, field=key, cure="correct the escape")
    return value
