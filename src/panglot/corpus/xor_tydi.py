"""XOR-TyDi: questions in seven languages whose answers are English (arXiv 2010.11856)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from panglot.corpus._folder import files
from panglot.corpus._lines import objects
from panglot.corpus.collection import Collection, Text
from panglot.corpus.language import canonical


def read(
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
