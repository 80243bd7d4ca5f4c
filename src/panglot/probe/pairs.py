"""Weak pairs as JSON lines that can be trained on or held out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from panglot._files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


def lines(
    weak: Iterable[Mapping[str, Any]], changed: Iterable[Mapping[str, Any]], english: str, facts: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the lines of the pairs, bilingual group by bilingual group.

    Args:
        weak: Weak pairs as they are; those of one group and one English version share a group of lines, with
            English once.
        changed: Weak pairs that the search made; each is a group of its own, named after its changes.
        english: The code of English in the collection.
        facts: What to write into every line beside; readers of JSON lines pass over it.

    Returns:
        Lines ``group, language, question, passage, rank``, and ``changes`` for those that were made.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for pair in weak:
        key = str(pair["group"])
        head = _line(key, english, pair, "_in_english")
        if groups.setdefault(key, [head])[0] != head:
            key = f"{key}~{pair['language']}"
            groups[key] = [_line(key, english, pair, "_in_english")]
        groups[key].append(_line(key, pair["language"], pair, ""))
    for pair in changed:
        key = f"{pair['group']}~{pair['language']}~{'+'.join(pair['changes'])}"
        extra = {"changes": list(pair["changes"])}
        groups[key] = [
            _line(key, english, pair, "_in_english") | extra,
            _line(key, pair["language"], pair, "") | extra,
        ]
    return [line | dict(facts) for group in groups.values() for line in group]


def _line(group: str, language: str, pair: Mapping[str, Any], side: str) -> dict[str, Any]:
    texts = {field: pair[f"{field}{side}"] for field in ("question", "passage", "rank")}
    return {"group": group, "language": language, **texts}


def write(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as JSON lines, atomically; without rows an empty file, so that none of an earlier run stays.

    Raises:
        PanglotError: The place cannot be written.
    """
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
