"""MKQA: the same questions in many languages, with short answers and no passages (arXiv 2007.15207)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.data.files import files, numbered_lines, objects, parse_json, read_text
from panglot.data.formats.parallel import translations
from panglot.data.language import canonical


def read_mkqa(
    folder: Path, *, name: str = "mkqa", candidates: str = "question", about: Mapping[str, str] | None = None
) -> Collection:
    """Read ``mkqa-XX.jsonl``: lines ``{"id", "lang", "question", "answers"}``.

    The id is the question's number, which may be negative, then ``_`` and the language, which may hold a ``_`` too
    (``zh_cn``): the number ties the languages.

    Args:
        folder: Where they lie.
        name: What tables call it.
        candidates: ``question``: a question finds its translations; ``answer``: it finds its short answers, each
            distinct one, in all languages. Questions without an answer are left out there.
        about: What else is known about it.

    Raises:
        PanglotError: A file is broken or missing.
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
    facts = {**(about or {}), "candidates": candidates}
    if candidates == "question":
        return translations(name, questions, facts)
    asked = [question for question in questions if by_number[question.group]]
    facts["left out, no answer"] = str(len(questions) - len(asked))
    passages = [Text(label, language, label, text) for (language, text), label in answers.items()]
    relevance = ((question.id, label, 1) for question in asked for label in by_number[question.group])
    return Collection.build(name, asked, passages, relevance, facts)


def read_xor_tydi(
    folder: Path, *, name: str = "xor-tydi", part: str = "dev", about: Mapping[str, str] | None = None
) -> Collection:
    """Read ``xor_dev_retrieve_eng_span*.jsonl`` or ``xor_train_…``: a question finds its short English answers.

    The files hold no passages: distinct answers are the pool. Languages are not parallel. ``yes`` and ``no`` answer
    many questions and tell nothing; questions with no other answer are left out, and ``about`` counts them.

    Args:
        folder: Where they lie.
        name: What tables call it.
        part: ``dev`` or ``train``.
        about: What else is known about it.

    Raises:
        PanglotError: A file is broken or missing.
    """
    questions: list[Text] = []
    answers: dict[str, str] = {}
    relevance: list[tuple[str, str, int]] = []
    times = Counter[str]()
    left_out = 0
    for path in files(folder, f"xor_{part}_retrieve_eng_span*.jsonl"):
        for _, entry in objects(path, "id", "question", "answers", "lang"):
            language = canonical(str(entry["lang"]))
            found = [text for text in dict.fromkeys(str(a).strip() for a in entry["answers"]) if text]
            found = [text for text in found if text.casefold() not in ("yes", "no")]
            if not found:
                left_out += 1
                continue
            label = f"{language}:{entry['id']}"
            times[label] += 1
            label += f"~{times[label]}" if times[label] > 1 else ""
            questions.append(Text(label, language, label, str(entry["question"]).strip()))
            relevance += [(label, answers.setdefault(text, f"en:answer-{len(answers)}"), 1) for text in found]
    passages = [Text(label, "en", label, text) for text, label in answers.items()]
    facts = {**(about or {}), "part": part, "candidates": "answer", "left out, yes or no": str(left_out)}
    return Collection.build(name, questions, passages, relevance, facts)


def read_xor_questions(
    folder: Path, *, name: str = "xor-questions", about: Mapping[str, str] | None = None
) -> Collection:
    """Read ``question-translation/xx-en/{xx,en}.txt``: each question finds its translation.

    A line is a group with a question and a passage in both languages; only the other language's passage is
    relevant, for the own one is the question itself. Left out: lines with an empty side, repeated pairs, and
    the questions of XOR-TyDi's dev part, where its file is there. ``about`` counts them.

    Raises:
        PanglotError: A file is missing, or the two sides have different numbers of lines.
    """
    dev = set(_dev_questions(folder))
    questions: list[Text] = []
    passages: list[Text] = []
    relevance: list[tuple[str, str, int]] = []
    left_out = {"empty": 0, "repeated": 0, "in dev": 0}
    for path in files(folder / "question-translation", "*-en/en.txt"):
        code = path.parent.name.removesuffix("-en")
        language = canonical(code)
        other = files(path.parent, f"{code}.txt")[0]
        sides = [read_text(side).split("\n") for side in (other, path)]
        if len(sides[0]) != len(sides[1]):
            raise PanglotError(
                f"{len(sides[0])} lines, but {len(sides[1])} in {path.name}",
                file=other,
                hint="fetch both again",
            )
        seen: set[tuple[str, str]] = set()
        for number, pair in enumerate(zip(*sides, strict=True), 1):
            foreign, english = pair[0].strip(), pair[1].strip()
            why = (
                "empty"
                if not foreign or not english
                else "in dev"
                if (language, foreign) in dev
                else "repeated"
                if (foreign, english) in seen
                else ""
            )
            if why:
                # The file's last line end is no line.
                left_out[why] += not (why == "empty" and not foreign and not english)
                continue
            seen.add((foreign, english))
            group = f"{language}-{number:05d}"
            ids = {code: f"{code}:{group}" for code in (language, "en")}
            for code, text in ((language, foreign), ("en", english)):
                questions.append(Text(ids[code], code, group, text))
                passages.append(Text(ids[code], code, group, text))
            relevance += [(ids[language], ids["en"], 1), (ids["en"], ids[language], 1)]
    facts = {
        **(about or {}),
        "candidates": "question",
        **{f"left out, {k}": str(v) for k, v in left_out.items()},
    }
    return Collection.build(name, questions, passages, relevance, facts)


def _dev_questions(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield ``(language, question)`` of XOR-TyDi's dev part."""
    for path in (*sorted(folder.glob("xor_dev*.jsonl")), *sorted(folder.glob("xor_dev*.jsonl.gz"))):
        for line, text in numbered_lines(path):
            values = parse_json(text, path, line)
            if not isinstance(values, dict) or not {"lang", "question"} <= values.keys():
                raise PanglotError("no lang or no question", file=path, line=line, hint="fetch it again")
            entry = cast("dict[str, str]", values)
            yield canonical(entry["lang"]), entry["question"].strip()


_FILE = re.compile(r"gold_span_passages\.afriqa\.(\w+)\.(\w+)\.\w+\.json(?:l)?(?:\.gz)?")


def read_afriqa(
    folder: Path, *, name: str = "afriqa", part: str = "test", about: Mapping[str, str] | None = None
) -> Collection:
    """Read ``gold_span_passages.afriqa.XX.YY.PART.json``, in any folders: gold passages of language YY, a line each.

    ``question_lang`` and its translation ``question_translated`` are versions of one question; ``context`` answers
    both. Equal contexts are one passage.

    Args:
        folder: Where they lie.
        name: What tables call it.
        part: ``test``, ``dev`` or ``train``.
        about: What else is known about it.

    Raises:
        PanglotError: A file is broken, missing, or has another name.
    """
    questions: list[Text] = []
    passages: dict[tuple[str, str], str] = {}
    relevance: list[tuple[str, str, int]] = []
    times = Counter[str]()
    for path in files(folder, f"**/gold_span_passages.afriqa.*.{part}.json"):
        match = _FILE.fullmatch(path.name)
        if match is None:
            hint = "call it gold_span_passages.afriqa.XX.YY.PART.json"
            raise PanglotError("not a name of AfriQA", file=path, hint=hint)
        language, pivot = canonical(match[1]), canonical(match[2])
        for _, entry in objects(path, "id", "question_lang", "question_translated", "context"):
            group = f"{language}-{entry['id']}"
            times[group] += 1
            group += f"~{times[group]}" if times[group] > 1 else ""
            text = str(entry["context"]).strip()
            passage = passages.setdefault((pivot, text), f"{pivot}:passage-{len(passages)}")
            for code, key in ((language, "question_lang"), (pivot, "question_translated")):
                if asked := str(entry[key] or "").strip():
                    questions.append(Text(f"{code}:{group}", code, group, asked))
                    relevance.append((f"{code}:{group}", passage, 1))
    pool = [Text(label, language, label, text) for (language, text), label in passages.items()]
    facts = {**(about or {}), "part": part, "candidates": "passage"}
    return Collection.build(name, questions, pool, relevance, facts)
