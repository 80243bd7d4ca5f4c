"""Translations of one passage as one hit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from panglot.search.ranked import Candidate

if TYPE_CHECKING:
    from collections.abc import Sequence

Entry = tuple[Candidate, dict[str, str]]
"""What becomes a hit, and the ids of its versions by language, its own first."""


def fold(ranked: Sequence[Candidate]) -> list[Entry]:
    """Return the best version of each group in order, with the ids of all versions found.

    A document without a group stands for itself. Of two versions in one language the better one is kept.

    Args:
        ranked: Candidates, best first.

    >>> versions = [Candidate("7-de", "de", "7", 0.9, {}), Candidate("x", "de", "", 0.8, {}), Candidate("7-fr", "fr",
    ...             "7", 0.7, {})]
    >>> [(best.id, found) for best, found in fold(versions)]
    [('7-de', {'de': '7-de', 'fr': '7-fr'}), ('x', {'de': 'x'})]
    """
    groups: dict[tuple[bool, str], Entry] = {}
    for each in ranked:
        key = (True, each.group) if each.group else (False, each.id)
        _, versions = groups.setdefault(key, (each, {}))
        versions.setdefault(each.language, each.id)
    return list(groups.values())


def unfolded(ranked: Sequence[Candidate]) -> list[Entry]:
    """Return every candidate with itself as its only version."""
    return [(each, {each.language: each.id}) for each in ranked]
