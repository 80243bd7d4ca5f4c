"""SQuAD files, version 1 and 2, and sets in their layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from panglot._errors import PanglotError
from panglot.corpus._sentences import sentence_at, spans
from panglot.corpus._squad import Paragraph, Question, paragraphs
from panglot.corpus.collection import Collection, Text


def collect(
    name: str,
    files: Iterable[tuple[Path, str]],
    *,
    candidates: str = "paragraph",
    context: bool = False,
    clean: Callable[[str], str] = str,
    opener: Callable[[Path], Iterable[Paragraph]] = paragraphs,
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read SQuAD-like ``files``, each with its language: answerable questions and distinct passages.

    Passages are the paragraphs, or their sentences (with ``context``: a sentence, a line end, its paragraph). Of the
    sentences, the one that holds the answer's first character is relevant; the others of its paragraph are judged
    with grade 0, so that they can serve as hard negatives. Paragraphs without an answered question stay in the pool.
    Every question is a group of its own; ids that repeat get a number behind them. An answer whose offset is wrong is
    looked for nearby; where its words are not in the paragraph, the question is left out. ``about`` counts what was
    left out. ``opener`` reads files of another layout.

    Raises:
        PanglotError: A file is broken, or there is no answerable question.
    """
    questions: list[Text] = []
    passages: dict[tuple[str, str], str] = {}
    relevance: list[tuple[str, str, int]] = []
    times: Counter[str] = Counter()
    left_out = Counter(unanswerable=0, misplaced=0)
    for path, language in files:
        for paragraph in opener(path):
            pool = {
                span: passages.setdefault((language, text), f"{language}-{len(passages):06d}")
                for span, text in _candidates(paragraph.context, language, candidates, context, clean).items()
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
                times[question.id] += 1
                again = f"~{times[question.id]}" if times[question.id] > 1 else ""
                identity = f"{language}-{question.id}{again}"
                questions.append(Text(identity, language, identity, question.text))
                relevance.append((identity, pool[answer], 1))
                relevance += [(identity, other, 0) for other in sorted({*pool.values()} - {pool[answer]})]
    if not questions:
        raise PanglotError("no answerable question", field="answers", cure="give a file with answers")
    facts = {**(about or {}), "candidates": candidates, "context": "yes" if context else "no"}
    facts |= {f"left out, {why}": str(number) for why, number in left_out.items() if number}
    distinct = [Text(identity, language, identity, text) for (language, text), identity in passages.items()]
    return Collection.build(name, questions, distinct, relevance, facts)


def _candidates(
    text: str, language: str, candidates: str, context: bool, clean: Callable[[str], str]
) -> dict[tuple[int, int], str]:
    """Return the passages that a paragraph gives, by where they stand in it."""
    if candidates == "paragraph" or not text.strip():
        return {(0, len(text)): clean(text)}
    behind = f"\n{clean(text)}" if context else ""
    return {(start, end): clean(text[start:end]) + behind for start, end in spans(text, language)}


def answer_place(paragraph: Paragraph, question: Question) -> int | None:
    """Return where the answer begins, or None if its words are not in the paragraph.

    The file's offset if the words are there, else their nearest occurrence. An empty answer is taken at its
    offset.
    """
    words, start, text = question.answer or "", question.start or 0, paragraph.context
    if 0 <= start < len(text) and text.startswith(words, start):
        return start
    before, after = text.rfind(words, 0, max(start, 0) + len(words)), text.find(words, max(start, 0))
    found = [place for place in (before, after) if place >= 0 and words]
    return min(found, key=lambda place: abs(place - start)) if found else None
