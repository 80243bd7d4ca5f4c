"""MRQA's form of Natural Questions, and of NewsQA, TriviaQA and others (arXiv 1910.09753)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from panglot._errors import PanglotError
from panglot.corpus import squad
from panglot.corpus._folder import files
from panglot.corpus._lines import objects
from panglot.corpus._squad import Paragraph, Question
from panglot.corpus.collection import Collection

# What is left of HTML, and of the joints between paragraphs, titles and documents.
_MARKS = re.compile(r"(?:\s*(?:</?(?:P|Table|Tr|Td|Th|Ul|Ol|Li|Dl|Dd|Dt)(?:_[^>]*)?>|\[(?:PAR|DOC|TLE|SEP)\])\s*)+")


def read(
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
        name, paths, candidates=candidates, context=context, clean=without_marks, opener=paragraphs,
        about={**(about or {}), "part": part},
    )  # fmt: skip


def without_marks(text: str) -> str:
    """Return the text without MRQA's marks.

    >>> without_marks("<P> The band left . </P> [PAR] It came back .")
    'The band left . It came back .'
    """
    return _MARKS.sub(" ", text).strip()


def paragraphs(path: Path) -> Iterator[Paragraph]:
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
            cure = "give a file of the MRQA shared task"
            raise PanglotError(
                f"not in MRQA's form ({error!r})", file=path, line=line, field="qas", cure=cure
            ) from error
        if not context.strip():
            raise PanglotError("no text", file=path, line=line, field="context", cure="fetch the file again")
        yield Paragraph(line, 0, "", context, questions, (), (), f"line {line}")


def _question(qa: Mapping[str, object]) -> Question:
    identity, text, answers = str(qa.get("qid") or qa["id"]), str(qa["question"]), qa["detected_answers"]
    if not isinstance(answers, list) or not answers:
        return Question(identity, text, None, None, False)
    first = answers[0]
    return Question(identity, text, str(first["text"]), int(first["char_spans"][0][0]), False)
