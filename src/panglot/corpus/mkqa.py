"""MKQA: the same questions in many languages, with short answers and no passages (arXiv 2007.15207)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from panglot.corpus._folder import files
from panglot.corpus._lines import objects
from panglot.corpus._parallel import translations
from panglot.corpus.collection import Collection, Text
from panglot.corpus.language import canonical


def read(
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
