"""The SQuAD layout that most question answering sets share, checked field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from panglot._errors import PanglotError
from panglot.corpus._open import read_json


@dataclass(frozen=True)
class Question:
    """One question with its first answer.

    Attributes:
        id: As in the file; sets differ in whether it is unique.
        text: The question.
        answer: The answer's words, or None where there is none.
        start: Where they begin in the paragraph, in code points; None without an answer.
        impossible: The file says that the paragraph does not answer it.
    """

    id: str
    text: str
    answer: str | None
    start: int | None
    impossible: bool


@dataclass(frozen=True)
class Paragraph:
    """One paragraph with its questions.

    Attributes:
        article: Place of its article in the file, from 0.
        number: Place in the article, from 0.
        title: The article's title, or "".
        context: The paragraph's text.
        questions: What is asked about it.
        sentences: Its sentences where the file gives them (LAReQA), else empty.
        breaks: ``(start, end)`` of these sentences in code points.
        where: The field's path in the file, for errors.
    """

    article: int
    number: int
    title: str
    context: str
    questions: tuple[Question, ...]
    sentences: tuple[str, ...]
    breaks: tuple[tuple[int, int], ...]
    where: str


def paragraphs(path: Path) -> Iterator[Paragraph]:
    """Yield the paragraphs of a SQuAD-like file, plain or gzipped, v1 or v2.

    Raises:
        PanglotError: A field is missing or of a wrong kind; the message gives its path in the file.
    """
    top = read_json(path)
    if not isinstance(top, dict) or "data" not in top:
        raise PanglotError(
            "not a SQuAD file", file=path, field="data", cure="give a file with a list `data` of articles"
        )
    for a, article in enumerate(_list(cast("object", top), "data", path, "")):
        at = f"data[{a}]"
        title = article.get("title") if isinstance(article, dict) else None
        for p, raw in enumerate(_list(article, "paragraphs", path, at)):
            where = f"{at}.paragraphs[{p}]"
            context = _text(raw, "context", path, where)
            questions = tuple(
                _question(qa, path, f"{where}.qas[{q}]") for q, qa in enumerate(_list(raw, "qas", path, where))
            )
            sentences, breaks = _sentences(raw, path, where)
            yield Paragraph(a, p, title if isinstance(title, str) else "", context, questions, sentences, breaks, where)


def _question(raw: dict[str, Any], path: Path, where: str) -> Question:
    text = _text(raw, "question", path, where)
    identity = raw.get("id")
    if not isinstance(identity, str | int):
        raise _missing(path, f"{where}.id", "a text")
    answers = raw.get("answers") or []
    answer = start = None
    if answers:
        answer = _text(answers[0] if isinstance(answers, list) else None, "text", path, f"{where}.answers[0]", True)
        start = answers[0].get("answer_start")
        if not isinstance(start, int) or isinstance(start, bool):
            raise _missing(path, f"{where}.answers[0].answer_start", "a number")
    return Question(str(identity), text, answer, start, bool(raw.get("is_impossible", False)))


def _sentences(raw: dict[str, Any], path: Path, where: str) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    sentences, breaks = raw.get("sentences"), raw.get("sentence_breaks")
    if sentences is None and breaks is None:
        return (), ()
    if not isinstance(sentences, list) or not isinstance(breaks, list) or len(sentences) != len(breaks):
        raise PanglotError(
            "sentences and sentence_breaks do not match",
            file=path,
            field=f"{where}.sentences",
            cure="give one [start, end] per sentence",
        )
    try:
        return tuple(str(s) for s in sentences), tuple((int(start), int(end)) for start, end in breaks)
    except (TypeError, ValueError) as error:
        raise _missing(path, f"{where}.sentence_breaks", "a list of [start, end]") from error


def _list(raw: object, key: str, path: Path, where: str) -> list[Any]:
    value = cast("Mapping[str, object]", raw).get(key) if isinstance(raw, dict) else None
    if not isinstance(value, list):
        raise _missing(path, f"{where}.{key}".lstrip("."), "a list")
    return cast("list[Any]", value)


def _text(raw: object, key: str, path: Path, where: str, empty: bool = False) -> str:
    value = cast("Mapping[str, object]", raw).get(key) if isinstance(raw, dict) else None
    if not isinstance(value, str) or not (value.strip() or empty):
        raise _missing(path, f"{where}.{key}", "a text")
    return value


def _missing(path: Path, field: str, kind: str) -> PanglotError:
    return PanglotError(f"{kind} is missing", file=path, field=field, cure="add it or remove the entry")
