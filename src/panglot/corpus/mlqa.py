"""MLQA: its files, a pair of languages each, joined by question id (arXiv 1910.07475)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from panglot._errors import PanglotError
from panglot.corpus._folder import files, plain_name
from panglot.corpus._sentences import sentence_at, spans
from panglot.corpus._squad import paragraphs
from panglot.corpus._ties import Ties
from panglot.corpus.collection import Collection, Text
from panglot.corpus.language import canonical

_NAME = re.compile(r"(dev|test)-context-(\w+)-question-(\w+)")


def read(
    folder: Path,
    *,
    name: str = "mlqa",
    part: str = "dev",
    candidates: str = "sentence",
    context: bool = False,
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read ``dev``, ``test`` or ``both`` parts of MLQA from ``folder/dev`` and ``folder/test``.

    All files that speak of one question id become one group: the question in the languages in which it is
    asked, the passage in the languages in which it is answered; any version of the question is answered by
    any version of the passage. Passages are the sentences of the paragraphs, as in MLQA-R (with ``context``: a
    sentence, a line end, its paragraph), or the paragraphs. Of the sentences, the one that holds the answer's first
    character is relevant; the others of its paragraph are judged with grade 0, so that they can serve as hard
    negatives. The passages of a group speak of the same fact but are comparable text, not translations. A passage
    that answers several questions is there once, and ties their passages.

    Raises:
        PanglotError: A file is broken or misnamed, or two files disagree about a question or a passage.
    """
    asked: dict[str, dict[str, str]] = {}
    answered: dict[str, dict[str, str]] = {}
    beside: dict[str, dict[str, tuple[str, ...]]] = {}
    for half in ("dev", "test") if part == "both" else (part,):
        for path in files(folder / half, f"{half}-context-*-question-*.json"):
            found = _NAME.fullmatch(plain_name(path))
            if found is None:
                raise PanglotError("not a name of MLQA", file=path, cure="call it dev-context-XX-question-YY.json")
            passage_language, question_language = canonical(found[2]), canonical(found[3])
            for paragraph in paragraphs(path):
                for question in paragraph.questions:
                    if question.start is None:
                        raise PanglotError("no answer", file=path, field=paragraph.where, cure="add it")
                    text = paragraph.context
                    if candidates == "sentence":
                        behind = f"\n{text}" if context else ""
                        answer = sentence_at(text, passage_language, question.start)
                        beside.setdefault(question.id, {})[passage_language] = tuple(
                            text[start:end] + behind
                            for start, end in spans(text, passage_language)
                            if (start, end) != answer
                        )
                        text = text[answer[0] : answer[1]] + behind
                    _agree(asked.setdefault(question.id, {}), question_language, question.text, path, question.id)
                    _agree(answered.setdefault(question.id, {}), passage_language, text, path, question.id)
    facts = {**(about or {}), "part": part, "candidates": candidates, "context": "yes" if context else "no"}
    return _collect(name, asked, answered, beside, facts)


def _agree(versions: dict[str, str], language: str, text: str, path: Path, identity: str) -> None:
    if versions.setdefault(language, text) != text:
        raise PanglotError(f"another file has other text for {identity!r}", file=path, cure="fetch the set again")


def _collect(
    name: str,
    asked: Mapping[str, Mapping[str, str]],
    answered: Mapping[str, Mapping[str, str]],
    beside: Mapping[str, Mapping[str, tuple[str, ...]]],
    about: dict[str, str],
) -> Collection:
    ids: dict[tuple[str, str], str] = {}
    ties = Ties[str]()
    for identity in sorted(answered):
        versions = sorted(answered[identity].items())
        ties.join(ids.setdefault(version, f"{version[0]}-{identity}") for version in versions)
    for identity in sorted(beside):
        for language, others in sorted(beside[identity].items()):
            for number, text in enumerate(others):
                ids.setdefault((language, text), f"{language}-{identity}-{number:02d}")
    questions = [
        Text(f"{language}-{identity}", language, identity, text)
        for identity in sorted(asked)
        for language, text in sorted(asked[identity].items())
    ]
    passages = [Text(label, language, ties.first(label), text) for (language, text), label in sorted(ids.items())]
    relevance = [
        (question.id, ids[version], 1) for question in questions for version in sorted(answered[question.group].items())
    ]
    relevance += [
        (question.id, ids[language, text], 0)
        for question in questions
        for language, others in sorted(beside.get(question.group, {}).items())
        for text in others
        if text != answered[question.group][language]
    ]
    return Collection.build(name, questions, passages, relevance, about)
