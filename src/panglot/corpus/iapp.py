"""iApp's Thai Wikipedia questions and answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from panglot._errors import PanglotError
from panglot.corpus import squad
from panglot.corpus._folder import files
from panglot.corpus._lines import objects
from panglot.corpus._squad import Paragraph, Question
from panglot.corpus.collection import Collection

_FILES = {"train": "train", "dev": "valid", "test": "test"}


def read(
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
            cure = "fetch the file again"
            raise PanglotError("no answer", file=path, line=line, field="answers", cure=cure) from error
        question = Question(str(entry["question_id"]), str(entry["question"]), answer, start, False)
        yield Paragraph(
            line, 0, str(entry.get("title") or ""), str(entry["context"]), (question,), (), (), f"line {line}"
        )
