"""What a search gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from panglot.search.document import Document

Mode = Literal["plain", "centered", "balanced", "reader"]
"""How languages are weighed; see :mod:`panglot.search.ranking.modes`."""


@dataclass(frozen=True)
class Hit:
    """One document that was found.

    Attributes:
        document: The document.
        rank: From 1.
        score: What the ranking sorted by; comparable within one answer only.
        why: What the score was made of, such as ``cosine``, ``language`` (what the mode added), ``lexical``,
            ``reranker``; in the order in which they were applied.
        languages: With folding, the ids of the group's found versions by language, this one's first; else its own.
        highlight: Begin and end, in characters of the text, of the sentence that answers best; None where not asked.
    """

    document: Document
    rank: int
    score: float
    why: Mapping[str, float]
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
            "fields": dict(document.fields),
            "why": {name: round(float(part), 6) for name, part in self.why.items()},
            "highlight": list(self.highlight) if self.highlight else None,
        }


@dataclass(frozen=True)
class SearchResult:
    """The hits for one question.

    Attributes:
        question: As it was asked.
        language: Of the question, given or detected.
        detected: Whether it was detected.
        mode: The ranking mode.
        hits: Best first.
        shares: For each language of the pool searched, its share of the hits and its share of the pool.
        seconds: Spent, by stage: ``encode``, ``search``, ``rank``.
    """

    question: str
    language: str
    detected: bool
    mode: Mode
    hits: tuple[Hit, ...]
    shares: Mapping[str, tuple[float, float]]
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])

    def as_json(self) -> dict[str, Any]:
        """Return it as `panglot search` with `--json` and ``/search`` give it; see docs/search-service.md."""
        return {
            "question": self.question,
            "language": self.language,
            "detected": self.detected,
            "mode": self.mode,
            "hits": [hit.as_json() for hit in self.hits],
            "shares": {code: {"hits": hits, "pool": pool} for code, (hits, pool) in self.shares.items()},
            "seconds": {stage: round(float(spent), 6) for stage, spent in self.seconds.items()},
        }
