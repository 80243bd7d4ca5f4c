"""SQuAD 2.0 in Finnish and English, parallel by id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from panglot.corpus._folder import files, plain_name
from panglot.corpus._squad import paragraphs
from panglot.corpus.collection import Collection, Text
from panglot.corpus.language import canonical


def read(folder: Path, *, name: str = "squad2-en-fi", about: Mapping[str, str] | None = None) -> Collection:
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
