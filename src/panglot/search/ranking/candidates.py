"""Candidates in order, and what they owe their place to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from panglot.search.ranking import modes
from panglot.search.storage.store import Found

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from panglot.encoders.protocol import Vectors
    from panglot.search.request import SearchRequest
    from panglot.search.storage.store import Store


class Candidate(NamedTuple):
    """A document on its way to be a hit.

    Attributes:
        id: Its id.
        language: Its language.
        group: Its group, or empty.
        score: What it is sorted by.
        why: What the score was made of; see :class:`panglot.search.result.Hit`.
    """

    id: str
    language: str
    group: str
    score: float
    why: Mapping[str, float]


def in_order(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return candidates by falling score, equal ones by id."""
    return sorted(candidates, key=lambda each: (-each.score, each.id))


def candidates(
    store: Store, vectors: Vectors, wish: SearchRequest, depth: int, languages: Sequence[str]
) -> list[list[Candidate]]:
    """Return candidates for each question by the wish's mode, best first: the first ``depth`` are the pool's.

    More may follow, in which there are gaps.

    Args:
        store: Where to search.
        vectors: The questions' vectors in the mode's space, one row each.
        wish: The mode and what it needs, checked.
        depth: How many.
        languages: Those of the documents.
    """
    found: list[dict[str, Found]] = [{} for _ in vectors]
    for part in modes.parts(wish.mode, languages, wish.languages, wish.reader):
        rows = store.search(modes.space(wish.mode), vectors, max(depth, modes.HEAD), languages=part)
        for mine, row in zip(found, rows, strict=True):
            mine.update((each.id, each) for each in row)
    return [scored(list(mine.values()), wish) for mine in found]


def scored(found: Sequence[Found], wish: SearchRequest) -> list[Candidate]:
    """Return what a store found, in the order of the wish's mode."""
    cosine = np.array([each.score for each in found], np.float64)
    more = modes.added(wish.mode, cosine, [each.language for each in found], wish.reader, wish.weight)
    weighed = wish.mode in {"balanced", "reader"}
    return in_order(
        Candidate(
            each.id, each.language, each.group, float(score + extra),
            {"cosine": float(score), **({"language": float(extra)} if weighed else {})},
        )
        for each, score, extra in zip(found, cosine, more, strict=True)
    )  # fmt: skip


def unscored(candidates: Iterable[Candidate]) -> list[Found]:
    """Return candidates as the store found them."""
    return [Found(each.id, each.why["cosine"], each.language, each.group) for each in candidates]


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
