"""LibreOffice's help pages: a title asks, its passages answer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from panglot.data.collection import Collection, Text
from panglot.data.files import files
from panglot.data.language import canonical
from panglot.data.rows import records

# The one English of the set is plain English: no other set's `en` should be a language apart from it.
_PLAIN = {"en-US": "en"}
_HELD_OUT = 5


def read_libreoffice(
    folder: Path, *, name: str = "libreoffice-help", part: str = "all", about: Mapping[str, str] | None = None
) -> Collection:
    """Read ``libreoffice-help.parquet``: a section's title asks, its parts answer.

    Long sections come in parts that share the title (``…/2``); each part is a passage group of its own, and
    all parts of the section answer its title. A passage is relevant in every language in which it is there.

    Args:
        folder: Where the file lies.
        name: What tables call it.
        part: ``all``, ``train`` or ``test``: a fifth of the pages, drawn by the digest of their paths, is ``test``.
        about: What else is known about it.

    Raises:
        PanglotError: The file is missing or lacks a column.
    """
    questions: dict[tuple[str, str], Text] = {}
    passages: list[Text] = []
    by_section: dict[str, list[str]] = {}
    for path in files(folder, "*.parquet"):
        for row in records(path, ("group", "lang", "title", "text")):
            code = str(row["lang"])
            language, group = canonical(_PLAIN.get(code, code)), str(row["group"])
            if part != "all" and _held_out(group) != (part == "test"):
                continue
            section = section_of(group)
            label = f"{language}:{section}"
            questions.setdefault((language, section), Text(label, language, section, str(row["title"])))
            passages.append(Text(f"{language}:{group}", language, group, str(row["text"])))
            by_section.setdefault(section, []).append(passages[-1].id)
    relevance = ((question.id, passage, 1) for question in questions.values() for passage in by_section[question.group])
    return Collection.build(name, questions.values(), passages, relevance, {**(about or {}), "candidates": "passage"})


def _held_out(group: str) -> bool:
    page = group.partition("#")[0]
    return hashlib.sha256(page.encode()).digest()[0] % _HELD_OUT == 0


def section_of(group: str) -> str:
    """Return the section of a part.

    >>> section_of("swriter/guide/x#hd_id1/2"), section_of("swriter/guide/x#hd_id1")
    ('swriter/guide/x#hd_id1', 'swriter/guide/x#hd_id1')
    """
    page, mark, anchor = group.partition("#")
    return page + mark + anchor.partition("/")[0]
