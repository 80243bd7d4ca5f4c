"""Question answering sets in SQuAD's layout or close to it, and AfriQA and MKQA.

The first are LAReQA, MLQA, SQuAD in Finnish, ENELPI, iApp and Natural Questions.
"""

from __future__ import annotations

import bisect
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.data.columns import DisjointSets
from panglot.data.files import files, objects, plain_name
from panglot.data.formats import squad
from panglot.data.formats.squad import Paragraph, Question, paragraphs
from panglot.data.language import canonical
from panglot.data.sentences import sentence_at, spans
from panglot.data.transform import translations, unique
from panglot.datasets.catalog import DatasetSpec

_Key = tuple[str, int, int, int]  # language, article, paragraph, sentence (0 if the paragraph is the candidate)


def read_lareqa(folder: Path, spec: DatasetSpec) -> Collection:
    """Read XQuAD-R or MLQA-R of LAReQA (arXiv 2004.05484): ``en.json`` or ``…-en.json`` per language.

    Candidates are the sentences of every paragraph (with ``context``: the sentence, a line end, its paragraph), or
    the paragraphs. The candidate that holds the first character of the answer is relevant. Versions of a question
    share its id, and that is their group.

    Passages form a group if they answer the same question in several languages, or if they are at the same place of
    a paragraph with equally many sentences in all of them. If a translation splits a sentence, the group holds both
    halves.
    """
    texts: dict[_Key, tuple[str, str]] = {}
    questions: list[Text] = []
    answers: dict[str, list[_Key]] = {}
    counts: dict[tuple[int, int], dict[str, int]] = {}
    for path in files(folder, "*.json"):
        language = canonical(plain_name(path).rsplit("-", 1)[-1])
        for paragraph in paragraphs(path):
            place = (language, paragraph.article, paragraph.number)
            label = f"{language}-{paragraph.article:03d}-{paragraph.number:02d}"
            if spec.candidates == "paragraph":
                texts[*place, 0] = label, paragraph.context
            elif not paragraph.sentences:
                field, hint = f"{paragraph.where}.sentences", "read it as a SQuAD file"
                raise PanglotError("the paragraph has no list of sentences", file=path, field=field, hint=hint)
            else:
                for number, sentence in enumerate(paragraph.sentences):
                    text = f"{sentence}\n{paragraph.context}" if spec.context else sentence
                    texts[*place, number] = f"{label}-{number:02d}", text
            counts.setdefault(place[1:], {})[language] = len(paragraph.sentences)
            for question in paragraph.questions:
                start = _start(question, path, paragraph)
                breaks = [begin for begin, _ in paragraph.breaks]
                number = 0 if spec.candidates == "paragraph" else max(bisect.bisect_right(breaks, start) - 1, 0)
                answers.setdefault(question.id, []).append((*place, number))
                questions.append(Text(f"{language}-{question.id}", language, question.id, question.text))
    group = _groups(texts, answers, counts)
    passages = [Text(label, key[0], group[key], text) for key, (label, text) in texts.items()]
    qrels = [
        (question.id, texts[key][0], 1) for question in questions for key in dict.fromkeys(answers[question.group])
    ]
    return Collection.build(spec.name, questions, passages, qrels, _metadata(spec))


def _metadata(spec: DatasetSpec) -> dict[str, str]:
    return {**spec.metadata, "context": "yes" if spec.context else "no"}


def _start(question: Question, path: Path, paragraph: Paragraph) -> int:
    if question.start is None:
        problem = f"the question {question.id!r} has no answer"
        raise PanglotError(problem, file=path, field=paragraph.where, hint="add it")
    return question.start


def _groups(
    texts: Mapping[_Key, tuple[str, str]],
    answers: Mapping[str, Sequence[_Key]],
    counts: Mapping[tuple[int, int], Mapping[str, int]],
) -> dict[_Key, str]:
    number = len({key[0] for key in texts})
    ties = DisjointSets[_Key]()
    for key in sorted(texts, key=lambda key: (key[1:], key[0])):
        by_language = counts[key[1], key[2]]
        if len(by_language) == number and len(set(by_language.values())) == 1:
            ties.join((language, *key[1:]) for language in sorted(by_language))
    for keys in answers.values():
        ties.join(sorted(keys))
    return {key: texts[ties.first(key)][0] for key in texts}


def match_name(path: Path, pattern: re.Pattern[str], owner: str, form: str) -> re.Match[str]:
    """Return the match of a file's name without its ending, or refuse it as no name of the ``owner``'s ``form``."""
    if (found := pattern.fullmatch(plain_name(path))) is None:
        raise PanglotError(f"not a file name of {owner}: {path.name}", file=path, hint=f"name it {form}")
    return found


_MLQA_FILE = re.compile(r"(dev|test)-context-(\w+)-question-(\w+)")


def read_mlqa(folder: Path, spec: DatasetSpec) -> Collection:
    """Read ``dev``, ``test`` or ``both`` parts of MLQA (arXiv 1910.07475) from ``folder/dev`` and ``folder/test``.

    Each file is a pair of languages. All files with one question id form one group: the question in the languages in
    which it is asked, the passage in the languages in which it is answered. Any version of the passage answers any
    version of the question. The passages of a group are comparable texts about the same fact, not translations.

    Passages are the sentences of the paragraphs (with ``context``: a sentence, a line end, its paragraph), or the
    paragraphs. The sentence that holds the first character of the answer is relevant. The other sentences of its
    paragraph are judged with relevance 0, so that they can serve as hard negatives. A passage that answers several
    questions is kept once, and ties their passages.
    """
    asked: dict[str, dict[str, str]] = {}
    answered: dict[str, dict[str, str]] = {}
    beside: dict[str, dict[str, tuple[str, ...]]] = {}
    for half in ("dev", "test") if spec.part == "both" else (spec.part,):
        for path in files(folder / half, f"{half}-context-*-question-*.json"):
            found = match_name(path, _MLQA_FILE, "MLQA", "dev-context-XX-question-YY.json")
            passage_language, question_language = canonical(found[2]), canonical(found[3])
            for paragraph in paragraphs(path):
                for question in paragraph.questions:
                    text, start = paragraph.context, _start(question, path, paragraph)
                    if spec.candidates == "sentence":
                        behind = f"\n{text}" if spec.context else ""
                        answer = sentence_at(text, passage_language, start)
                        beside.setdefault(question.id, {})[passage_language] = tuple(
                            text[a:b] + behind for a, b in spans(text, passage_language) if (a, b) != answer
                        )
                        text = text[answer[0] : answer[1]] + behind
                    _agree(asked.setdefault(question.id, {}), question_language, question.text, path, question.id)
                    _agree(answered.setdefault(question.id, {}), passage_language, text, path, question.id)
    return _collect_mlqa(spec, asked, answered, beside)


def _agree(versions: dict[str, str], language: str, text: str, path: Path, identity: str) -> None:
    if versions.setdefault(language, text) != text:
        problem = f"another file has other text for {identity!r}"
        raise PanglotError(problem, file=path, hint="download the set again")


def _collect_mlqa(
    spec: DatasetSpec,
    asked: Mapping[str, Mapping[str, str]],
    answered: Mapping[str, Mapping[str, str]],
    beside: Mapping[str, Mapping[str, tuple[str, ...]]],
) -> Collection:
    ids: dict[tuple[str, str], str] = {}
    ties = DisjointSets[str]()
    # Sorted throughout: ids must not depend on the order in which the files were read.
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
    qrels = [
        (question.id, ids[version], 1) for question in questions for version in sorted(answered[question.group].items())
    ]
    qrels += [
        (question.id, ids[language, text], 0)
        for question in questions
        for language, others in sorted(beside.get(question.group, {}).items())
        for text in others
        if text != answered[question.group][language]
    ]
    return Collection.build(spec.name, questions, passages, qrels, _metadata(spec))


def read_squad_en_fi(folder: Path, spec: DatasetSpec) -> Collection:
    """Read ``train.en.json`` and ``train.fi.json``: paragraphs, and the questions asked about them.

    Ids ``dDDD-pPPP-qQQ`` tie the languages. The files do not say which questions SQuAD 2.0 calls unanswerable (a
    third of them), nor where the answers are. The paragraph that a question was asked about is its passage. The
    English was translated back from Finnish.
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
    qrels = ((identity, passage.id, 1) for identity, group in asked for passage in passages[group].values())
    pool = [passage for versions in passages.values() for passage in versions.values()]
    return Collection.build(spec.name, questions, pool, qrels, spec.metadata)


def collect(
    spec: DatasetSpec,
    paths: Sequence[tuple[Path, str]],
    *,
    clean: Callable[[str], str] = str,
    opener: Callable[[Path], Iterable[Paragraph]] = paragraphs,
) -> Collection:
    """Read files with their languages as :func:`panglot.data.formats.squad.collect` does, by a spec."""
    return squad.collect(
        spec.name, paths, candidates=spec.candidates, context=spec.context, clean=clean, opener=opener,
        metadata=spec.metadata,
    )  # fmt: skip


def read_enelpi(folder: Path, spec: DatasetSpec) -> Collection:
    """Read ``*-train_data*.json`` or ``*-test_data*.json``: many questions about few long contexts.

    Ids are numbers that repeat from file to file, and many offsets are wrong.
    :func:`panglot.data.formats.squad.collect` numbers the repeats and searches for the answers.
    """
    return collect(spec, [(path, "tr") for path in files(folder, f"*-{spec.part}_data*.json")])


def read_iapp(folder: Path, spec: DatasetSpec) -> Collection:
    """Read ``train.jsonl``, ``valid.jsonl`` (``dev``) or ``test.jsonl``: question, context and answers per line."""
    name = "valid" if spec.part == "dev" else spec.part
    return collect(spec, [(path, "th") for path in files(folder, f"{name}.jsonl")], opener=_iapp_paragraphs)


def _iapp_paragraphs(path: Path) -> Iterator[Paragraph]:
    """Yield a paragraph with one question per line. `squad.collect` makes one passage of equal contexts."""
    for line, entry in objects(path, "question_id", "question", "context", "answers"):
        try:
            answer, start = str(entry["answers"]["text"][0]), int(entry["answers"]["answer_start"][0])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            problem, hint = "the question has no answer", "download the file again"
            raise PanglotError(problem, file=path, line=line, field="answers", hint=hint) from error
        question = Question(str(entry["question_id"]), str(entry["question"]), answer, start, False)
        title, context = str(entry.get("title") or ""), str(entry["context"])
        yield Paragraph(line, 0, title, context, (question,), (), (), f"line {line}")


# What is left of HTML in MRQA's contexts, and the marks between paragraphs, titles and documents.
_MARKS = re.compile(r"(?:\s*(?:</?(?:P|Table|Tr|Td|Th|Ul|Ol|Li|Dl|Dd|Dt)(?:_[^>]*)?>|\[(?:PAR|DOC|TLE|SEP)\])\s*)+")


def read_natural_questions(folder: Path, spec: DatasetSpec) -> Collection:
    """Read ``PART/*.jsonl`` in MRQA's form: a header, then lines ``{"context", "qas": [{"qid", "question", …}]}``.

    An answer begins at the first of its ``char_spans``. Marks of HTML are removed from the passages.
    """
    paths = [(path, "en") for path in files(folder, f"{spec.part}/*.jsonl")]
    return collect(spec, paths, clean=_without_marks, opener=_mrqa_paragraphs)


def _without_marks(text: str) -> str:
    """Return the text without MRQA's marks.

    >>> _without_marks("<P> The band left . </P> [PAR] It came back .")
    'The band left . It came back .'
    """
    return _MARKS.sub(" ", text).strip()


def _mrqa_paragraphs(path: Path) -> Iterator[Paragraph]:
    """Yield the contexts of a file in MRQA's form."""
    for line, entry in objects(path):
        if "header" in entry and "context" not in entry:
            continue
        try:
            context = str(entry["context"])
            questions = tuple(_mrqa_question(qa) for qa in entry["qas"])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            problem, hint = f"not in MRQA's form ({error!r})", "give a file of the MRQA shared task"
            raise PanglotError(problem, file=path, line=line, field="qas", hint=hint) from error
        if not context.strip():
            hint = "download the file again"
            raise PanglotError("the context is empty", file=path, line=line, field="context", hint=hint)
        yield Paragraph(line, 0, "", context, questions, (), (), f"line {line}")


def _mrqa_question(qa: Mapping[str, object]) -> Question:
    identity, text, answers = str(qa.get("qid") or qa["id"]), str(qa["question"]), qa["detected_answers"]
    if not isinstance(answers, list) or not answers:
        return Question(identity, text, None, None, False)
    first = answers[0]
    return Question(identity, text, str(first["text"]), int(first["char_spans"][0][0]), False)


_AFRIQA_FILE = re.compile(r"gold_span_passages\.afriqa\.(\w+)\.(\w+)\.\w+")


def read_afriqa(folder: Path, spec: DatasetSpec) -> Collection:
    """Read AfriQA's ``gold_span_passages.afriqa.XX.YY.PART.json`` (arXiv 2305.06897): one gold passage per line.

    Questions are in language XX, passages in language YY. ``question_lang`` and its translation
    ``question_translated`` are versions of one question, and ``context`` answers both. Equal contexts are one passage.
    """
    questions: list[Text] = []
    passages: dict[tuple[str, str], str] = {}
    qrels: list[tuple[str, str, int]] = []
    times = Counter[str]()
    for path in files(folder, f"**/gold_span_passages.afriqa.*.{spec.part}.json"):
        match = match_name(path, _AFRIQA_FILE, "AfriQA", "gold_span_passages.afriqa.XX.YY.PART.json")
        language, pivot = canonical(match[1]), canonical(match[2])
        for _, entry in objects(path, "id", "question_lang", "question_translated", "context"):
            group = unique(f"{language}-{entry['id']}", times)
            text = str(entry["context"]).strip()
            passage = passages.setdefault((pivot, text), f"{pivot}:passage-{len(passages)}")
            for code, key in ((language, "question_lang"), (pivot, "question_translated")):
                if asked := str(entry[key] or "").strip():
                    questions.append(Text(f"{code}:{group}", code, group, asked))
                    qrels.append((f"{code}:{group}", passage, 1))
    pool = [Text(label, language, label, text) for (language, text), label in passages.items()]
    return Collection.build(spec.name, questions, pool, qrels, spec.metadata)


def read_mkqa(folder: Path, spec: DatasetSpec) -> Collection:
    """Read MKQA's ``mkqa-XX.jsonl`` (arXiv 2007.15207): lines ``{"id", "lang", "question", "answers"}``.

    With ``question`` as candidates, a question finds its translations. With ``answer``, it finds its distinct short
    answers in all languages, and questions without an answer are left out. An id is the question's number, which may
    be negative, then ``_`` and the language, which may contain a ``_`` too (``zh_cn``). The number ties the languages.
    """
    questions: list[Text] = []
    answers: dict[tuple[str, str], str] = {}
    by_number: dict[str, list[str]] = defaultdict(list)
    for path in files(folder, "mkqa-*.jsonl"):
        for _, entry in objects(path, "id", "lang", "question", "answers"):
            language = canonical(str(entry["lang"]))
            number = str(entry["id"]).removesuffix(f"_{entry['lang']}")
            questions.append(Text(f"{language}:{number}", language, number, str(entry["question"]).strip()))
            for answer in dict.fromkeys(str(answer).strip() for answer in entry["answers"]):
                if answer:
                    label = answers.setdefault((language, answer), f"{language}:answer-{len(answers)}")
                    by_number[number].append(label)
    if spec.candidates == "question":
        return translations(spec.name, questions, spec.metadata)
    asked = [question for question in questions if by_number[question.group]]
    passages = [Text(label, language, label, text) for (language, text), label in answers.items()]
    qrels = ((question.id, label, 1) for question in asked for label in by_number[question.group])
    metadata = {**spec.metadata, "left out, no answer": str(len(questions) - len(asked))}
    return Collection.build(spec.name, asked, passages, qrels, metadata)
