"""TyDi QA's primary task: which passage of a whole article answers (arXiv 2003.05002)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from panglot._errors import PanglotError
from panglot.corpus._folder import files
from panglot.corpus._lines import objects
from panglot.corpus.collection import Collection, Text
from panglot.corpus.language import canonical

_NAMES = {
    "arabic": "ar", "bengali": "bn", "english": "en", "finnish": "fi", "indonesian": "id", "japanese": "ja",
    "korean": "ko", "russian": "ru", "swahili": "sw", "telugu": "te", "thai": "th",
}  # fmt: skip


def read(
    folder: Path,
    *,
    name: str = "tydiqa-primary",
    part: str = "dev",
    languages: Sequence[str] = (),
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read ``tydiqa-v1.0-dev.jsonl`` or ``…-train.jsonl``: all passages of all articles are the pool.

    Where candidates lie is counted in bytes of UTF-8. As in the publisher's scorer, a question has an answer if at
    least two of its three annotators, or its only one, found a passage; those that they found are relevant.
    Questions without an answer are left out, their articles stay. Equal passages are one.

    Args:
        folder: Where they lie.
        name: What tables call it.
        part: ``dev`` or ``train``.
        languages: Canonical codes; empty: all.
        about: What else is known about it.

    Raises:
        PanglotError: A line is broken or a file missing.
    """
    questions: list[Text] = []
    passages: dict[tuple[str, str], str] = {}
    relevance: list[tuple[str, str, int]] = []
    times = Counter[str]()
    left_out = 0
    for path in files(folder, f"tydiqa-v1.0-{part}.jsonl"):
        for line, entry in objects(
            path, "language", "document_plaintext", "question_text", "passage_answer_candidates"
        ):
            spelled = str(entry["language"])
            language = canonical(_NAMES.get(spelled, spelled))
            if languages and language not in languages:
                continue
            try:
                texts, found = _candidates(entry), _found(entry)
                labels = [
                    passages.setdefault((language, text), f"{language}:{len(passages):07d}") if text else ""
                    for text in texts
                ]
                relevant = [labels[place] for place in sorted(found) if labels[place]]
            except (KeyError, IndexError, TypeError, ValueError) as error:
                problem, cure = f"a candidate or an annotation is broken ({error!r})", "fetch the file again"
                raise PanglotError(problem, file=path, line=line, cure=cure) from error
            if not relevant:
                left_out += 1
                continue
            label = f"{language}:{entry.get('example_id', line)}"
            times[label] += 1
            label += f"~{times[label]}" if times[label] > 1 else ""
            questions.append(Text(label, language, label, str(entry["question_text"]).strip()))
            relevance += [(label, passage, 1) for passage in dict.fromkeys(relevant)]
    pool = [Text(label, language, label, text) for (language, text), label in passages.items()]
    facts = {**(about or {}), "part": part, "candidates": "passage", "left out, unanswerable": str(left_out)}
    return Collection.build(name, questions, pool, relevance, facts)


def _candidates(entry: dict[str, Any]) -> list[str]:
    article = str(entry["document_plaintext"]).encode()
    spans = [(c["plaintext_start_byte"], c["plaintext_end_byte"]) for c in entry["passage_answer_candidates"]]
    return [article[start:end].decode().strip() for start, end in spans]


def _found(entry: dict[str, Any]) -> set[int]:
    """Return the places of the candidates that answer."""
    places = [int(one["passage_answer"]["candidate_index"]) for one in entry.get("annotations") or ()]
    marked = [place for place in places if place >= 0]
    return set(marked) if len(marked) >= min(2, len(places)) else set()
