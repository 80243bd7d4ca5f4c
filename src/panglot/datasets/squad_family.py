"""MLQA: its files, a pair of languages each, joined by question id (arXiv 1910.07475)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.data.files import files, objects, plain_name
from panglot.data.formats import squad
from panglot.data.formats.squad import Paragraph, Question, paragraphs
from panglot.data.keys import DisjointSets
from panglot.data.language import canonical
from panglot.data.sentences import sentence_at, spans

_NAME = re.compile(r"(dev|test)-context-(\w+)-question-(\w+)")


def read_mlqa(
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
                raise PanglotError("not a name of MLQA", file=path, hint="call it dev-context-XX-question-YY.json")
            passage_language, question_language = canonical(found[2]), canonical(found[3])
            for paragraph in paragraphs(path):
                for question in paragraph.questions:
                    if question.start is None:
                        raise PanglotError("no answer", file=path, field=paragraph.where, hint="add it")
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
        raise PanglotError(f"another file has other text for {identity!r}", file=path, hint="fetch the set again")


def _collect(
    name: str,
    asked: Mapping[str, Mapping[str, str]],
    answered: Mapping[str, Mapping[str, str]],
    beside: Mapping[str, Mapping[str, tuple[str, ...]]],
    about: dict[str, str],
) -> Collection:
    ids: dict[tuple[str, str], str] = {}
    ties = DisjointSets[str]()
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


def read_squad_en_fi(folder: Path, *, name: str = "squad2-en-fi", about: Mapping[str, str] | None = None) -> Collection:
    """Read ``train.en.json`` and ``train.fi.json``: paragraphs, and the questions asked about them.

    Ids ``dDDD-pPPP-qQQ`` tie the languages. The files do not say which questions SQuAD 2.0 calls
    unanswerable (a third), nor where answers stand: the passage is the paragraph that the question was asked
    about. The English was translated back from Finnish.

    Raises:
        PanglotError: A file is broken or missing.
    """
    questions: list[Text] = []
    passages: dict[str, dict[str, Text]] = {}
    asked: list[tuple[str, str]] = []
    for path in files(folder, "train.*.json"):
        language = canonical(plain_name(path).split(".")[-1])
        for paragraph in paragraphs(path):
            group = f"{paragraph.title or f'd{paragraph.article:03d}'}-p{paragraph.number:03d}"
            if paragraph.questions and "-q" in paragraph.questions[0].id:
                group = paragraph.questions[0].id.rpartition("-q")[0]
            passages.setdefault(group, {})[language] = Text(f"{language}-{group}", language, group, paragraph.context)
            for question in paragraph.questions:
                identity = f"{language}-{question.id}"
                questions.append(Text(identity, language, question.id, question.text))
                asked.append((identity, group))
    relevance = ((identity, passage.id, 1) for identity, group in asked for passage in passages[group].values())
    facts = {**(about or {}), "candidates": "paragraph"}
    pool = [passage for versions in passages.values() for passage in versions.values()]
    return Collection.build(name, questions, pool, relevance, facts)


def read_enelpi(
    folder: Path,
    *,
    name: str = "enelpi-tr",
    part: str = "train",
    candidates: str = "paragraph",
    context: bool = False,
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read ``*-train_data*.json`` or ``*-test_data*.json``: many questions on few long contexts.

    Ids are numbers that repeat from file to file, and many offsets are wrong:
    :func:`panglot.data.formats.squad.collect`
    numbers the ones and looks for the answers of the others.

    Raises:
        PanglotError: A file is broken or missing.
    """
    paths = [(path, "tr") for path in files(folder, f"*-{part}_data*.json")]
    return squad.collect(name, paths, candidates=candidates, context=context, about={**(about or {}), "part": part})


_FILES = {"train": "train", "dev": "valid", "test": "test"}


def read_iapp(
    folder: Path,
    *,
    name: str = "iapp-wiki-qa-th",
    part: str = "train",
    candidates: str = "paragraph",
    context: bool = False,
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read ``train.jsonl``, ``valid.jsonl`` (``dev``) or ``test.jsonl``: a question, its context and answers a line.

    Raises:
        PanglotError: A file is broken or missing.
    """
    paths = [(path, "th") for path in files(folder, f"{_FILES[part]}.jsonl")]
    facts = {**(about or {}), "part": part}
    return squad.collect(name, paths, candidates=candidates, context=context, opener=_paragraphs, about=facts)


def _paragraphs(path: Path) -> Iterator[Paragraph]:
    """Yield a paragraph with one question for each line; equal contexts are one passage afterwards."""
    for line, entry in objects(path, "question_id", "question", "context", "answers"):
        try:
            answer, start = str(entry["answers"]["text"][0]), int(entry["answers"]["answer_start"][0])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            hint = "fetch the file again"
            raise PanglotError("no answer", file=path, line=line, field="answers", hint=hint) from error
        question = Question(str(entry["question_id"]), str(entry["question"]), answer, start, False)
        yield Paragraph(
            line, 0, str(entry.get("title") or ""), str(entry["context"]), (question,), (), (), f"line {line}"
        )


# What is left of HTML, and of the joints between paragraphs, titles and documents.
_MARKS = re.compile(r"(?:\s*(?:</?(?:P|Table|Tr|Td|Th|Ul|Ol|Li|Dl|Dd|Dt)(?:_[^>]*)?>|\[(?:PAR|DOC|TLE|SEP)\])\s*)+")


def read_natural_questions(
    folder: Path,
    *,
    name: str = "natural-questions",
    part: str = "train",
    candidates: str = "paragraph",
    context: bool = False,
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read ``PART/*.jsonl``: a line ``{"header": …}``, then ``{"context", "qas": [{"qid", "question", …}]}`` a line.

    The place of an answer is the first of its ``char_spans``. Marks of HTML are taken out of the passages.

    Raises:
        PanglotError: A file is broken or missing.
    """
    paths = [(path, "en") for path in files(folder, f"{part}/*.jsonl")]
    return squad.collect(
        name, paths, candidates=candidates, context=context, clean=without_marks, opener=mrqa_paragraphs,
        about={**(about or {}), "part": part},
    )  # fmt: skip


def without_marks(text: str) -> str:
    """Return the text without MRQA's marks.

    >>> without_marks("<P> The band left . </P> [PAR] It came back .")
    'The band left . It came back .'
    """
    return _MARKS.sub(" ", text).strip()


def mrqa_paragraphs(path: Path) -> Iterator[Paragraph]:
    """Yield the contexts of a file in MRQA's form.

    Raises:
        PanglotError: A field is missing.
    """
    for line, entry in objects(path):
        if "header" in entry and "context" not in entry:
            continue
        try:
            context = str(entry["context"])
            questions = tuple(_question(qa) for qa in entry["qas"])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            hint = "give a file of the MRQA shared task"
            raise PanglotError(
                f"not in MRQA's form ({error!r})", file=path, line=line, field="qas", hint=hint
            ) from error
        if not context.strip():
            raise PanglotError("no text", file=path, line=line, field="context", hint="fetch the file again")
        yield Paragraph(line, 0, "", context, questions, (), (), f"line {line}")


def _question(qa: Mapping[str, object]) -> Question:
    identity, text, answers = str(qa.get("qid") or qa["id"]), str(qa["question"]), qa["detected_answers"]
    if not isinstance(answers, list) or not answers:
        return Question(identity, text, None, None, False)
    first = answers[0]
    return Question(identity, text, str(first["text"]), int(first["char_spans"][0][0]), False)
