"""Belebele: the same passages and questions in 122 languages (arXiv 2308.16884)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from panglot.corpus._folder import files, plain_name
from panglot.corpus._lines import objects
from panglot.corpus._parallel import versions
from panglot.corpus._ties import Ties
from panglot.corpus.collection import Collection, Text
from panglot.corpus.language import canonical


def read(
    folder: Path, *, name: str = "belebele", languages: Sequence[str] = (), about: Mapping[str, str] | None = None
) -> Collection:
    """Read ``xxx_Scrp.jsonl``: lines with ``link``, ``question_number``, ``flores_passage`` and ``question``.

    ``link`` and ``question_number`` tie the languages; several passages may have one link, so that repeats of both
    count in the file's order. Questions about one passage share it, in every language. The choices are not read.
    Passages are sentences of FLORES: no training on ``sib-200`` or ``flores-200`` where this is a test.

    Args:
        folder: Where they lie, in any folders below.
        name: What tables call it.
        languages: Canonical codes; empty: all.
        about: What else is known about it.

    Raises:
        PanglotError: A file is broken or missing, or there is none of the languages.
    """
    questions: list[Text] = []
    passages: dict[tuple[str, str], str] = {}
    asked: dict[str, set[str]] = defaultdict(set)
    ties = Ties[str]()
    for path in files(folder, "**/*.jsonl"):
        language = canonical(plain_name(path))
        if languages and language not in languages:
            continue
        times = Counter[str]()
        for _, entry in objects(path, "link", "question_number", "flores_passage", "question"):
            plain = f"{entry['link']}#{entry['question_number']}"
            times[plain] += 1
            key = plain if times[plain] == 1 else f"{plain}~{times[plain]}"
            questions.append(Text(f"{language}:{key}", language, key, str(entry["question"]).strip()))
            passage = str(entry["flores_passage"]).strip()
            # A passage is known by the first question about it; a language with another order ties the two.
            ties.join((passages.setdefault((language, passage), key), key))
            asked[language].add(key)
    # `versions` answers a question by the passages of its group: give each question its passage's group there.
    grouped = [text._replace(group=ties.first(text.group)) for text in questions]
    pool = [Text(f"{language}:{key}", language, ties.first(key), text) for (language, text), key in passages.items()]
    found = versions(name, grouped, pool, {**(about or {}), "candidates": "passage"})
    return _own_groups(found, questions)


def _own_groups(collection: Collection, questions: Sequence[Text]) -> Collection:
    """Return the collection with its questions' own groups: two questions about one passage are two."""
    import dataclasses

    import pyarrow as pa

    column = pa.array([text.group for text in questions], pa.string())
    place = collection.questions.schema.get_field_index("group")
    return dataclasses.replace(collection, questions=collection.questions.set_column(place, "group", column))
