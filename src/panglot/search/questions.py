"""Questions to judge an index with: out of its documents, or out of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._errors import PanglotError
from panglot.corpus._open import numbered_lines, parse_json
from panglot.corpus._sentences import spans
from panglot.corpus.language import canonical

if TYPE_CHECKING:
    from pathlib import Path

    from panglot.search.document import Document


@dataclass(frozen=True)
class Question:
    """One question in one language.

    Attributes:
        group: The same for its translations.
        language: Its language.
        text: What is asked.
        versions: Ids of the documents that it was taken from, and of their translations, with their languages.
    """

    group: str
    language: str
    text: str
    versions: Mapping[str, str]


def sampled(documents: Iterator[list[Document]], number: int = 50, seed: int = 0) -> list[Question]:
    """Return questions out of documents: of some groups, or documents without one, each version's title.

    Where a document has no title, its first sentence is taken. Groups in two languages or
    more come first; where there are none, documents of each language are drawn.

    Args:
        documents: All documents, in pieces.
        number: Groups, or documents of each language, at most.
        seed: Draws them.

    Raises:
        PanglotError: No document has a title or sentence that could be asked.
    """
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for piece in documents:
        for each in piece:
            key = f"g{each.group}" if each.group else f"d{each.id}"
            groups.setdefault(key, []).append((each.id, each.language, _asked(each)))
    parallel = [key for key, found in groups.items() if len({code for _, code, text in found if text}) > 1]
    generator = np.random.default_rng(seed)
    if parallel:
        chosen = [parallel[row] for row in sorted(generator.permutation(len(parallel))[:number].tolist())]
    else:
        by_language: dict[str, list[str]] = {}
        for key, found in groups.items():
            if found[0][2]:
                by_language.setdefault(found[0][1], []).append(key)
        chosen = [
            keys[row]
            for _, keys in sorted(by_language.items())
            for row in sorted(generator.permutation(len(keys))[:number].tolist())
        ]
    questions: list[Question] = []
    for key in chosen:
        versions = {name: code for name, code, _ in groups[key]}
        texts = {code: text for _, code, text in reversed(groups[key]) if text}
        questions += [Question(key, code, text, versions) for code, text in sorted(texts.items())]
    if not questions:
        raise PanglotError("no document has a title or a sentence to ask", cure="give questions (`--questions`)")
    return questions


def read_questions(path: Path) -> list[Question]:
    """Read JSON lines of ``group, language, text``: the same question in several languages shares its group.

    Raises:
        PanglotError: A line is broken; the message names file, line and field.
    """
    found: list[Question] = []
    for line, text in numbered_lines(path):
        value: Any = parse_json(text, path, line)
        if not isinstance(value, dict):
            raise PanglotError("not a JSON object", file=path, line=line, cure='write {"group": …, "text": …}')
        row: dict[str, object] = value
        for name in ("group", "language", "text"):
            if not str(row.get(name) or "").strip():
                raise PanglotError("missing or empty", file=path, line=line, field=name, cure="fill it in")
        try:
            code = canonical(str(row["language"]))
        except PanglotError as error:
            raise PanglotError(error.problem, file=path, line=line, field="language", cure=error.cure) from error
        found.append(Question(str(row["group"]), code, str(row["text"]), {}))
    if not found:
        raise PanglotError("no question", file=path, cure='write lines of {"group", "language", "text"}')
    return found


def _asked(document: Document) -> str:
    found = spans(document.text, document.language or "en")
    text = document.title.strip() or (document.text[slice(*found[0])] if found else "")
    return text if sum(letter.isalnum() for letter in text) > 1 else ""
