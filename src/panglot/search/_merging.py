"""When segments are merged, and in which order their rows come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from panglot.search._segments import Segment
    from panglot.search._writing import Piece

MANY = 8
"""So many segments of like size are merged; so a row is rewritten about log8(rows) times."""


def due(sizes: Sequence[tuple[int, int]]) -> list[int]:
    """Return which segments should become one now; none: an empty list.

    Args:
        sizes: For each segment its live and its deleted rows.

    >>> due([(5000, 0)] + [(1, 0)] * 7)
    []
    >>> due([(5000, 0)] + [(1, 0)] * 8)
    [1, 2, 3, 4, 5, 6, 7, 8]
    >>> due([(5000, 6000), (3, 0)])
    [0]
    """
    tiers: dict[int, list[int]] = {}
    for at, (live, _) in enumerate(sizes):
        tiers.setdefault(live.bit_length() // 3, []).append(at)
    for tier in sorted(tiers):
        if len(tiers[tier]) >= MANY:
            return sorted(at for lower in tiers if lower <= tier for at in tiers[lower])
    return next(([at] for at, (live, deleted) in enumerate(sizes) if deleted > live), [])


def contents(segments: Sequence[Segment]) -> Iterator[Piece]:
    """Yield the live rows of segments, sorted by language, read as they are asked for."""
    found = [segment.live_pieces() for segment in segments]
    for language in sorted({language for pieces in found for language in pieces}):
        for pieces in found:
            yield from pieces.get(language, ())
