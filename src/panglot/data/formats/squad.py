"""Read the SQuAD layout that most question answering sets share, and check it field by field."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from panglot._errors import PanglotError
from panglot.data import names
from panglot.data.collection import Collection, Text, cached, source_key
from panglot.data.files import RowError, plain_name, read_json
from panglot.data.ingest import LARGE
from panglot.data.language import canonical_or_none
from panglot.data.rows import set_aside
from panglot.data.sentences import sentence_at, spans
from panglot.data.transform import unique

_NO_WORDS, _ANSWERED_BY_NONE = "sentences without words", "questions answered by a sentence without words"
_LEAST_WEIGHT = 4
# Paragraphs from which the language of a file is detected.
_LOOKED_AT = 50
# From here on, Unicode has the scripts of East Asia, of which two characters may be a word.
_FIRST_CHARACTER = "\u3000"


@dataclass(frozen=True)
class Question:
    """One question with its first answer, if it has one."""

    id: str  # the file's, which is unique in some sets only
    text: str
    answer: str | None  # the words
    start: int | None  # where they begin in the paragraph, in code points
    impossible: bool  # whether the file says that the paragraph does not answer it


@dataclass(frozen=True)
class Paragraph:
    """One paragraph with its questions."""

    article: int  # place of its article in the file, from 0
    number: int  # place in the article, from 0
    title: str  # the article's, or ""
    context: str  # its text
    questions: tuple[Question, ...]
    sentences: tuple[str, ...]  # if the file gives them (LAReQA)
    breaks: tuple[tuple[int, int], ...]  # `(start, end)` of these sentences in code points
    where: str  # the field's path in the file, for errors


def paragraphs(path: Path, rejected: list[RowError] | None = None) -> Iterator[Paragraph]:
    """Yield the paragraphs of a SQuAD-like file, plain or gzipped, v1 or v2. Errors give a field's path in the file.

    With a list ``rejected``, paragraphs and questions that cannot be read are left out and added to it.
    """
    top = read_json(path)
    if not isinstance(top, dict) or "data" not in top:
        hint = "give a file with a list `data` of articles"
        raise PanglotError("not a SQuAD file", file=path, field="data", hint=hint)
    for a, article in enumerate(_list(cast("object", top), "data", path, "")):
        at = f"data[{a}]"
        title = _field(article, "title")
        try:
            listed = _list(article, "paragraphs", path, at)
        except PanglotError as error:
            set_aside(error, rejected)
            continue
        for p, raw in enumerate(listed):
            where = f"{at}.paragraphs[{p}]"
            try:
                context = _text(raw, "context", path, where)
                asked = _list(raw, "qas", path, where)
                sentences, breaks = _sentences(raw, path, where)
            except PanglotError as error:
                set_aside(error, rejected)
                continue
            questions = tuple(_questions(asked, path, where, rejected))
            yield Paragraph(a, p, title if isinstance(title, str) else "", context, questions, sentences, breaks, where)


def _questions(asked: list[Any], path: Path, where: str, rejected: list[RowError] | None) -> Iterator[Question]:
    for number, qa in enumerate(asked):
        try:
            yield _question(qa, path, f"{where}.qas[{number}]")
        except PanglotError as error:
            set_aside(error, rejected)


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
        problem, hint = "sentences and sentence_breaks do not match", "give one [start, end] per sentence"
        raise PanglotError(problem, file=path, field=f"{where}.sentences", hint=hint)
    try:
        return tuple(str(s) for s in sentences), tuple((int(start), int(end)) for start, end in breaks)
    except (TypeError, ValueError) as error:
        raise _missing(path, f"{where}.sentence_breaks", "a list of [start, end]") from error


def _list(raw: object, key: str, path: Path, where: str) -> list[Any]:
    value = _field(raw, key)
    if not isinstance(value, list):
        raise _missing(path, f"{where}.{key}".lstrip("."), "a list")
    return cast("list[Any]", value)


def _text(raw: object, key: str, path: Path, where: str, empty: bool = False) -> str:
    value = _field(raw, key)
    if not isinstance(value, str) or not (value.strip() or empty):
        raise _missing(path, f"{where}.{key}", "a text")
    return value


def _field(raw: object, key: str) -> object:
    return cast("Mapping[str, object]", raw).get(key) if isinstance(raw, dict) else None


def _missing(path: Path, field: str, kind: str) -> PanglotError:
    return PanglotError(f"{kind} is missing", file=path, field=field, hint="add it or remove the entry")


def collect(
    name: str,
    files: Iterable[tuple[Path, str]],
    *,
    candidates: str = "paragraph",
    context: bool = False,
    clean: Callable[[str], str] = str,
    opener: Callable[[Path], Iterable[Paragraph]] = paragraphs,
    metadata: Mapping[str, str] | None = None,
) -> Collection:
    """Read SQuAD-like ``files``, each with its language: answerable questions and distinct passages.

    Passages are the paragraphs, or their sentences (with ``context``: a sentence, a line end, its paragraph). Of the
    sentences, the one that holds the answer's first character is relevant. The others of its paragraph are judged
    with relevance 0, so that they can be hard negatives. Paragraphs without an answered question stay in the pool.
    Every question is a group of its own, and repeated ids get a number. If an answer's offset is wrong, its nearest
    occurrence counts. If its words are not in the paragraph, the question is left out. So are sentences without words,
    such as the "II." before a name, and the questions that they answer. ``metadata`` counts what is left out.
    ``opener`` reads files of another layout.

    Raises:
        PanglotError: A file is broken, or there is no answerable question.
    """
    questions: list[Text] = []
    passages: dict[tuple[str, str], str] = {}
    qrels: list[tuple[str, str, int]] = []
    times: Counter[str] = Counter()
    left_out = Counter[str]()
    for path, language in files:
        for paragraph in opener(path):
            found = _candidates(paragraph.context, language, candidates, context, clean)
            usable = {span: text for span, text in found.items() if context or not _says_nothing(text)} or found
            left_out[_NO_WORDS] += len(found) - len(usable)
            pool = {
                span: passages.setdefault((language, text), f"{language}-{len(passages):06d}")
                for span, text in usable.items()
            }
            for question in paragraph.questions:
                if question.impossible or question.start is None:
                    left_out["unanswerable"] += 1
                    continue
                answer = 0, len(paragraph.context)
                if candidates == "sentence":
                    start = answer_place(paragraph, question)
                    if start is None:
                        left_out["misplaced"] += 1
                        continue
                    answer = sentence_at(paragraph.context, language, start)
                if answer not in pool:
                    left_out[_ANSWERED_BY_NONE] += 1
                    continue
                identity = f"{language}-{unique(question.id, times)}"
                questions.append(Text(identity, language, identity, question.text))
                qrels.append((identity, pool[answer], 1))
                qrels += [(identity, other, 0) for other in sorted({*pool.values()} - {pool[answer]})]
    if not questions:
        raise PanglotError("no answerable question", field="answers", hint="give a file with answers")
    facts = {**(metadata or {}), "candidates": candidates, "context": "yes" if context else "no"}
    facts |= {f"left out, {why}": str(number) for why, number in left_out.items() if number}
    distinct = [Text(identity, language, identity, text) for (language, text), identity in passages.items()]
    return Collection.build(name, questions, distinct, qrels, facts)


def _says_nothing(text: str) -> bool:
    """Return whether a text is too short to answer anything: fewer than four letters or digits, or two characters.

    >>> [_says_nothing(text) for text in ("II.", "16.", "Evet.", "不是。")]
    [True, True, False, False]
    """
    weight = sum(2 if letter >= _FIRST_CHARACTER else 1 for letter in text if letter.isalnum())
    return weight < _LEAST_WEIGHT


def _candidates(
    text: str, language: str, candidates: str, context: bool, clean: Callable[[str], str]
) -> dict[tuple[int, int], str]:
    """Return the passages of a paragraph by their place in it."""
    if candidates == "paragraph" or not text.strip():
        return {(0, len(text)): clean(text)}
    behind = f"\n{clean(text)}" if context else ""
    return {(start, end): clean(text[start:end]) + behind for start, end in spans(text, language)}


def answer_place(paragraph: Paragraph, question: Question) -> int | None:
    """Return where the answer begins, or None if its words are not in the paragraph.

    This is the file's offset if the words are there, else their nearest occurrence. An empty answer is at its offset.
    """
    words, start, text = question.answer or "", question.start or 0, paragraph.context
    if 0 <= start < len(text) and text.startswith(words, start):
        return start
    before, after = text.rfind(words, 0, max(start, 0) + len(words)), text.find(words, max(start, 0))
    found = [place for place in (before, after) if place >= 0 and words]
    return min(found, key=lambda place: abs(place - start)) if found else None


def read(
    path: Path,
    candidates: str,
    *,
    context: bool = False,
    language: str | None = None,
    rejected: list[RowError] | None = None,
) -> Collection:
    """Read one file in one language, which its name or its text shows if it is not given. Large files are cached.

    ``candidates`` and ``context`` are as for :func:`collect`. The collection's ``metadata["language"]`` says what was
    guessed.
    """

    def build() -> Collection:
        found = list(paragraphs(path, rejected))
        choice = _choose_language(path, " ".join(each.context for each in found[:_LOOKED_AT]), language or "")
        facts = {"language": f"{choice.language}: {choice.note}"} if choice.note and not language else {}
        files = [(path, choice.language)]
        return collect(plain_name(path), files, candidates=candidates, context=context, opener=lambda _: found,
                       metadata=facts)  # fmt: skip

    if path.stat().st_size < LARGE or rejected is not None:
        return build()
    return cached(source_key([path], language=language, candidates=candidates, context=context), build)


def _choose_language(path: Path, text: str, given: str) -> names.Choice:
    """Return the language of a SQuAD file, given some of its text, by :func:`panglot.data.names.choose`."""
    place = Path(path.parent.name, path.name)
    if not given:
        # MLQA calls the language of the passages context, and that of the questions question.
        parts = re.split(r"[-_.]", plain_name(path))
        codes = {code: None for part in parts if re.fullmatch("[a-z]{2}", part) and (code := canonical_or_none(part))}
        if len(codes) > 1 and names.is_code(parts[-1]):
            problem = f"the file's name has several languages ({', '.join(codes)})"
            hint = "if questions and passages are in one language, name it, such as `--language de` or `--languages de`"
            hint += "; else read MLQA by its name, `mlqa`, with `--data-dir`"
            raise PanglotError(problem, file=path, field="language", hint=hint)
    try:
        return names.choose(place, text, given=given)
    except PanglotError as error:
        hint = "name one language, such as `--language de`, or `--languages de`"
        raise PanglotError(error.problem, file=path, field=error.field, hint=hint) from error
