"""AfriQA: questions in African languages, answered by English or French passages (arXiv 2305.06897)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from panglot._errors import PanglotError
from panglot.corpus._folder import files
from panglot.corpus._lines import objects
from panglot.corpus.collection import Collection, Text
from panglot.corpus.language import canonical

_FILE = re.compile(r"gold_span_passages\.afriqa\.(\w+)\.(\w+)\.\w+\.json(?:l)?(?:\.gz)?")


def read(
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
            cure = "call it gold_span_passages.afriqa.XX.YY.PART.json"
            raise PanglotError("not a name of AfriQA", file=path, cure=cure)
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
