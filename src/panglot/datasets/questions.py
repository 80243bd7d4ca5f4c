"""Question sets without passages of their own: MKQA, XOR-TyDi and its translations, AfriQA.

The collections of texts that share a group, in which every version asks and every version answers, are made here too.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.data.collection import QRELS, Collection, Ints, Text, text_table
from panglot.data.files import files, objects, read_text
from panglot.data.language import canonical
from panglot.datasets.card import DatasetSpec


def translations(name: str, texts: Sequence[Text], metadata: Mapping[str, str]) -> Collection:
    """Return the collection in which each text finds its translations.

    The texts are questions and passages at once. A passage in the question's own language is never relevant,
    because it is the question itself. So such a collection has no monolingual setting, and gives no one-language
    batches.

    Raises:
        PanglotError: There is no text.
    """
    return versions(name, texts, texts, metadata, own=False)


def versions(
    name: str, questions: Sequence[Text], passages: Sequence[Text], metadata: Mapping[str, str], *, own: bool = True
) -> Collection:
    """Return the collection in which every passage of a group answers every question of that group.

    Each text has its own id, and a group may lack passages or questions. ``own`` says whether passages in the
    question's own language are relevant.

    Raises:
        PanglotError: There is no question or no passage.
    """
    if not questions or not passages:
        raise PanglotError(
            f"{name} has no text in these languages", field="languages", hint="see `panglot data list` for what it has"
        )
    answering = _members(passages)
    asking_in, answering_in = (np.array([text.language for text in side]) for side in (questions, passages))
    pairs: list[Ints] = []
    for group, mine in _members(questions).items():
        theirs = answering.get(group, np.empty(0, np.int64))
        fits = np.full((len(mine), len(theirs)), own) | (asking_in[mine][:, None] != answering_in[theirs])
        left, right = np.nonzero(fits)
        pairs.append(np.stack([mine[left], theirs[right]]))
    question, passage = np.concatenate(pairs, axis=1)
    relevance = np.ones(len(question), np.int16)
    judged = pa.table([pa.array(question, pa.int32()), pa.array(passage, pa.int32()), pa.array(relevance)], QRELS)
    return Collection(name, text_table(questions), text_table(passages), judged, dict(metadata))


def _members(texts: Sequence[Text]) -> dict[str, Ints]:
    """Return the rows of each group, groups in the order of their first text."""
    rows: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        rows.setdefault(text.group, []).append(row)
    return {group: np.asarray(found, np.int64) for group, found in rows.items()}


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


def read_xor_tydi(folder: Path, spec: DatasetSpec) -> Collection:
    """Read XOR-TyDi's ``xor_dev_retrieve_eng_span*.jsonl`` or ``xor_train_…``: questions with short English answers.

    The files have no passages, so the distinct answers form the pool. The languages are not parallel. ``yes`` and
    ``no`` answer many questions and identify none. Questions without another answer are left out and counted in
    ``metadata``.
    """
    questions: list[Text] = []
    answers: dict[str, str] = {}
    qrels: list[tuple[str, str, int]] = []
    times = Counter[str]()
    left_out = 0
    for path in files(folder, f"xor_{spec.part}_retrieve_eng_span*.jsonl"):
        for _, entry in objects(path, "id", "question", "answers", "lang"):
            language = canonical(str(entry["lang"]))
            found = [text for text in dict.fromkeys(str(a).strip() for a in entry["answers"]) if text]
            found = [text for text in found if text.casefold() not in ("yes", "no")]
            if not found:
                left_out += 1
                continue
            label = unique(f"{language}:{entry['id']}", times)
            questions.append(Text(label, language, label, str(entry["question"]).strip()))
            qrels += [(label, answers.setdefault(text, f"en:answer-{len(answers)}"), 1) for text in found]
    passages = [Text(label, "en", label, text) for text, label in answers.items()]
    metadata = {**spec.metadata, "left out, yes or no": str(left_out)}
    return Collection.build(spec.name, questions, passages, qrels, metadata)


def unique(label: str, times: Counter[str]) -> str:
    """Return ``label``, with a number after it from its second use on.

    >>> times = Counter()
    >>> [unique("en:1", times) for _ in range(2)]
    ['en:1', 'en:1~2']
    """
    times[label] += 1
    return f"{label}~{times[label]}" if times[label] > 1 else label


def read_xor_questions(folder: Path, spec: DatasetSpec) -> Collection:
    """Read ``question-translation/xx-en/{xx,en}.txt``: each question finds its translation.

    A line is a group with a question and a passage in both languages. Only the passage in the other language is
    relevant, because the one in the same language is the question itself. Lines with an empty side, repeated pairs
    and, if its file is there, the questions of XOR-TyDi's dev part are left out and counted in ``metadata``.
    """
    dev = set(_dev_questions(folder))
    questions: list[Text] = []
    passages: list[Text] = []
    qrels: list[tuple[str, str, int]] = []
    left_out = {"empty": 0, "repeated": 0, "in dev": 0}
    for path in files(folder / "question-translation", "*-en/en.txt"):
        code = path.parent.name.removesuffix("-en")
        language = canonical(code)
        other = files(path.parent, f"{code}.txt")[0]
        # The last line end of a file begins no line.
        sides = [read_text(side).removesuffix("\n").split("\n") for side in (other, path)]
        if len(sides[0]) != len(sides[1]):
            problem = f"{path.name} has {len(sides[1])} lines, got {len(sides[0])}"
            raise PanglotError(problem, file=other, hint="download both files again")
        seen: set[tuple[str, str]] = set()
        for number, pair in enumerate(zip(*sides, strict=True), 1):
            foreign, english = pair[0].strip(), pair[1].strip()
            if not foreign or not english:
                left_out["empty"] += bool(foreign or english)
            elif (language, foreign) in dev:
                left_out["in dev"] += 1
            elif (foreign, english) in seen:
                left_out["repeated"] += 1
            else:
                seen.add((foreign, english))
                group = f"{language}-{number:05d}"
                versions = ((language, foreign), ("en", english))
                texts = [Text(f"{code}:{group}", code, group, text) for code, text in versions]
                questions += texts
                passages += texts
                qrels += [(texts[0].id, texts[1].id, 1), (texts[1].id, texts[0].id, 1)]
    metadata = {**spec.metadata, **{f"left out, {reason}": str(number) for reason, number in left_out.items()}}
    return Collection.build(spec.name, questions, passages, qrels, metadata)


def _dev_questions(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield ``(language, question)`` of XOR-TyDi's dev part, nothing if its file is not there."""
    for path in sorted(folder.glob("xor_dev*.jsonl*")):
        for _, entry in objects(path, "lang", "question"):
            yield canonical(entry["lang"]), entry["question"].strip()


_FILE = re.compile(r"gold_span_passages\.afriqa\.(\w+)\.(\w+)\.\w+\.json(?:l)?(?:\.gz)?")


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
        match = _FILE.fullmatch(path.name)
        if match is None:
            hint = "name it gold_span_passages.afriqa.XX.YY.PART.json"
            raise PanglotError(f"not a file name of AfriQA: {path.name}", file=path, hint=hint)
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
