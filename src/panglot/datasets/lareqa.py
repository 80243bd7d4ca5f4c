"""XQuAD-R and MLQA-R: LAReQA's retrieval sets (arXiv 2004.05484)."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from pathlib import Path

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.data.files import files, plain_name
from panglot.data.formats.squad import Paragraph, paragraphs
from panglot.data.keys import DisjointSets
from panglot.data.language import canonical

Key = tuple[str, int, int, int]  # language, article, paragraph, sentence (0 where the paragraph is the candidate)


def read_lareqa(
    folder: Path,
    *,
    name: str,
    candidates: str = "sentence",
    context: bool = False,
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read a folder with one file a language, ``en.json`` or ``…-en.json``, plain or gzipped.

    Candidates are the sentences of every paragraph (with ``context``: the sentence, a line end, its
    paragraph), or the paragraphs. The relevant candidate of a question in a language is the one that holds
    the answer's first character. Versions of one question share its id, and that is its group. Passages
    answer to the same question in several languages, or at the same place of a paragraph that has equally
    many sentences in all of them, are one group; where a translation splits a sentence, a group holds both
    halves.

    Raises:
        PanglotError: A file is broken, or a question lacks an answer.
    """
    texts: dict[Key, tuple[str, str]] = {}
    questions: list[Text] = []
    answers: dict[str, list[Key]] = {}
    counts: dict[tuple[int, int], dict[str, int]] = {}
    for path in files(folder, "*.json"):
        language = canonical(plain_name(path).rsplit("-", 1)[-1])
        for paragraph in paragraphs(path):
            place = (language, paragraph.article, paragraph.number)
            label = f"{language}-{paragraph.article:03d}-{paragraph.number:02d}"
            if candidates == "paragraph":
                texts[*place, 0] = label, paragraph.context
            elif not paragraph.sentences:
                raise PanglotError(
                    "no sentences",
                    file=path,
                    field=f"{paragraph.where}.sentences",
                    hint="read it as a SQuAD file",
                )
            else:
                for number, sentence in enumerate(paragraph.sentences):
                    text = f"{sentence}\n{paragraph.context}" if context else sentence
                    texts[*place, number] = f"{label}-{number:02d}", text
            counts.setdefault(place[1:], {})[language] = len(paragraph.sentences)
            for question in paragraph.questions:
                if question.start is None:
                    raise PanglotError(
                        f"the question {question.id!r} has no answer",
                        file=path,
                        field=paragraph.where,
                        hint="add it",
                    )
                number = 0 if candidates == "paragraph" else _holder(paragraph, question.start)
                answers.setdefault(question.id, []).append((*place, number))
                questions.append(Text(f"{language}-{question.id}", language, question.id, question.text))
    group = _groups(texts, answers, counts)
    passages = [Text(label, key[0], group[key], text) for key, (label, text) in texts.items()]
    relevance = [
        (question.id, texts[key][0], 1) for question in questions for key in dict.fromkeys(answers[question.group])
    ]
    facts = {**(about or {}), "candidates": candidates, "context": "yes" if context else "no"}
    return Collection.build(name, questions, passages, relevance, facts)


def _holder(paragraph: Paragraph, start: int) -> int:
    """Return the number of the sentence that holds the code point at ``start``."""
    return max(bisect.bisect_right([begin for begin, _ in paragraph.breaks], start) - 1, 0)


def _groups(
    texts: Mapping[Key, tuple[str, str]],
    answers: Mapping[str, Sequence[Key]],
    counts: Mapping[tuple[int, int], Mapping[str, int]],
) -> dict[Key, str]:
    number = len({key[0] for key in texts})
    ties = DisjointSets[Key]()
    for key in sorted(texts, key=lambda key: (key[1:], key[0])):
        by_language = counts[key[1], key[2]]
        if len(by_language) == number and len(set(by_language.values())) == 1:
            ties.join((language, *key[1:]) for language in sorted(by_language))
    for keys in answers.values():
        ties.join(sorted(keys))
    return {key: texts[ties.first(key)][0] for key in texts}
