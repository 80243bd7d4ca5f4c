"""What a search returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from panglot.search.document import Document

if TYPE_CHECKING:
    from panglot.search.ranking.modes import Mode


@dataclass(frozen=True)
class Hit:
    """One document that was found.

    Attributes:
        document: The document.
        rank: Counted from 1.
        score: What the results are sorted by; comparable within one result only.
        explanation: What the score consists of, in the order in which it was applied: ``cosine``, ``language`` (what
            the mode added), ``dense`` and ``lexical`` (reciprocal ranks), ``reranker``.
        languages: If results are collapsed, the ids of the group's documents by language, this one first; else its own.
        highlight: Begin and end of the best sentence in characters of the text; None if it was not asked for.
    """

    document: Document
    rank: int
    score: float
    explanation: Mapping[str, float]
    languages: Mapping[str, str] = field(default_factory=dict[str, str])
    highlight: tuple[int, int] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as :meth:`SearchResult.as_json` has it."""
        document = self.document
        return {
            "id": document.id,
            "rank": self.rank,
            "score": round(float(self.score), 6),
            "title": document.title,
            "text": document.text,
            "language": document.language,
            "languages": dict(self.languages),
            "metadata": dict(document.metadata),
            "explanation": {name: round(float(part), 6) for name, part in self.explanation.items()},
            "highlight": list(self.highlight) if self.highlight else None,
        }


@dataclass(frozen=True)
class SearchResult:
    """The hits for one query.

    Attributes:
        query: As it was asked.
        language: Of the query, given or detected.
        detected: Whether it was detected.
        mode: The ranking mode.
        hits: Best first.
        shares: For each language that was searched, its share of the hits and its share of the documents.
        seconds: Time spent by stage: ``encode``, ``search``, ``rank``.
    """

    query: str
    language: str
    detected: bool
    mode: Mode
    hits: tuple[Hit, ...]
    shares: Mapping[str, tuple[float, float]]
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])

    def as_json(self) -> dict[str, Any]:
        """Return it as `panglot search` with `--json` and ``/search`` give it; see docs/search-service.md."""
        return {
            "query": self.query,
            "language": self.language,
            "detected": self.detected,
            "mode": self.mode,
            "hits": [hit.as_json() for hit in self.hits],
            "shares": {code: {"hits": hits, "pool": pool} for code, (hits, pool) in self.shares.items()},
            "seconds": {stage: round(float(spent), 6) for stage, spent in self.seconds.items()},
        }


def language_shares(found: Sequence[str], counts: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """Return each language's share of the hits and of the documents.

    Args:
        found: The language of each hit.
        counts: Documents by language.

    >>> language_shares(["de", "de", "fr", "de"], {"de": 50, "fr": 150})
    {'de': (0.75, 0.25), 'fr': (0.25, 0.75)}
    """
    total = max(sum(counts.values()), 1)
    return {code: (found.count(code) / max(len(found), 1), number / total) for code, number in counts.items()}
