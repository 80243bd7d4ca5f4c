"""LibreOffice's help pages: titles are questions, sections are passages."""

from __future__ import annotations

import hashlib
from pathlib import Path

from panglot.data.collection import Collection, Text
from panglot.data.files import files, parquet_records
from panglot.data.language import canonical
from panglot.datasets.registry import DatasetSpec

# The only English here is en-US. Other sets call it `en`, and the two must count as one language.
_PLAIN = {"en-US": "en"}
_HELD_OUT = 5


def read_libreoffice(folder: Path, spec: DatasetSpec) -> Collection:
    """Read ``libreoffice-help.parquet``: a section's title asks, its parts answer.

    Long sections come in parts that share the title (``…/2``). Each part is a passage group of its own, and all parts
    of a section answer its title. A passage is relevant in every language that has it. A fifth of the pages, drawn by
    the digest of their paths, is the part ``test``.

    Raises:
        PanglotError: The file is missing or lacks a column.
    """
    questions: dict[tuple[str, str], Text] = {}
    passages: list[Text] = []
    by_section: dict[str, list[str]] = {}
    for path in files(folder, "*.parquet"):
        for row in parquet_records(path, ("group", "lang", "title", "text")):
            code = str(row["lang"])
            language, group = canonical(_PLAIN.get(code, code)), str(row["group"])
            if spec.part != "all" and _held_out(group) != (spec.part == "test"):
                continue
            section = section_of(group)
            label = f"{language}:{section}"
            questions.setdefault((language, section), Text(label, language, section, str(row["title"])))
            passages.append(Text(f"{language}:{group}", language, group, str(row["text"])))
            by_section.setdefault(section, []).append(passages[-1].id)
    relevance = ((question.id, passage, 1) for question in questions.values() for passage in by_section[question.group])
    return Collection.build(spec.name, questions.values(), passages, relevance, spec.about)


def _held_out(group: str) -> bool:
    page = group.partition("#")[0]
    return hashlib.sha256(page.encode()).digest()[0] % _HELD_OUT == 0


def section_of(group: str) -> str:
    """Return the section to which a part belongs.

    >>> section_of("swriter/guide/x#hd_id1/2"), section_of("swriter/guide/x#hd_id1")
    ('swriter/guide/x#hd_id1', 'swriter/guide/x#hd_id1')
    """
    page, mark, anchor = group.partition("#")
    return page + mark + anchor.partition("/")[0]
