"""Find the document that a query was taken from: what a way of ranking costs within a language, without labels.

Title and query are taken out of that document first, because its own words would find it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot.encoders.cache import cached
from panglot.evaluation.bootstrap import Sums, draw, interval
from panglot.search.audit import AuditQuery, Figures
from panglot.search.ranking.modes import Mode, Searchable, center

if TYPE_CHECKING:
    from panglot.debiasing.transform import Debiasing
    from panglot.encoders.protocol import Side, Vectors
    from panglot.search.document import Document, ScoredDocument
    from panglot.search.index import Index
    from panglot.search.storage.store import Doubles

__all__ = ["Trial", "differences", "own_ranks", "share_within", "targets_of", "within_language"]

_DRAWS = 1000


@dataclass(frozen=True)
class Trial:
    """A way of ranking: a mode over the vectors of an index, or over vectors that a correction made of them."""

    mode: Mode
    pool: Searchable
    vector_field: str
    debiasing: Debiasing | None  # What the vectors have undergone. None for plain vectors.

    def vectors(self, plain: Vectors, languages: Sequence[str], side: Side) -> Vectors:
        """Return plain vectors in the form in which they are compared."""
        return plain if self.debiasing is None else center(self.debiasing, plain, languages, side)


def targets_of(index: Index, queries: Sequence[AuditQuery]) -> list[Vectors | None]:
    """Return for each query the plain vector of the document it was taken from, without title and query.

    It is None for a query that was given, or if nothing remains of the document.
    """
    sources = index.store.get([each.source for each in queries])
    texts = [_without(each, query.text) for each, query in zip(sources, queries, strict=True)]
    known = [row for row, text in enumerate(texts) if text]
    found: list[Vectors | None] = [None] * len(queries)
    if known:
        # Kept, so that the same command does not encode them again.
        encoder = cached(index.encoder)
        for row, vector in zip(known, encoder.encode([texts[row] for row in known], "passage"), strict=True):
            found[row] = vector
    return found


def _without(document: Document | None, query: str) -> str:
    """Return the text of a document without the query at its beginning, or nothing if hardly anything remains.

    >>> from panglot.search.document import Document
    >>> _without(Document("1", "Click Print. Then wait for it."), "Click Print.")
    'Then wait for it.'
    """
    text = document.text.strip().removeprefix(query).strip() if document is not None else ""
    return text if sum(letter.isalnum() for letter in text) > 1 else ""


def own_ranks(
    trial: Trial,
    vectors: Vectors,
    queries: Sequence[AuditQuery],
    targets: Sequence[Vectors | None],
    ranked: Sequence[Sequence[ScoredDocument]],
    depth: int,
) -> tuple[Doubles, Doubles]:
    """Return the rank of each query's own document in its language, and in the pool, shape ``[queries]``.

    Its versions are left out of both rankings. A rank beyond DEPTH is DEPTH + 1 or more. It is NaN without a target.
    """
    own, pooled = np.full(len(queries), np.nan), np.full(len(queries), np.nan)
    measured: dict[str, list[int]] = {}
    for row, query in enumerate(queries):
        if targets[row] is not None:
            measured.setdefault(query.language, []).append(row)
    for code, rows in measured.items():
        plain = np.stack([target for row in rows if (target := targets[row]) is not None])
        cosines = (vectors[rows] * trial.vectors(plain, [code] * len(rows), "passage")).sum(axis=1).tolist()
        lists = trial.pool.search(trial.vector_field, vectors[rows], depth, languages=[code])
        for row, cosine, neighbours in zip(rows, cosines, lists, strict=True):
            versions = queries[row].versions
            own[row] = 1 + sum(each.score > cosine for each in neighbours if each.id not in versions)
            # What a mode adds depends on the language alone.
            added = next((each.explanation.get("language", 0.0) for each in ranked[row] if each.language == code), 0.0)
            pooled[row] = 1 + sum(each.score > cosine + added for each in ranked[row] if each.id not in versions)
    return own, pooled


def within_language(ranks: Doubles, reciprocal: Doubles, codes: Sequence[str]) -> Figures:
    """Return how well documents are found among those of their language: means over languages, and of each."""
    rows = {code: [row for row, other in enumerate(codes) if other == code] for code in sorted(set(codes))}
    known = {code: [row for row in at if np.isfinite(ranks[row])] for code, at in rows.items()}
    by_language = {
        code: {"MRR": float(reciprocal[at].mean()), "R@1": float((ranks[at] == 1).mean()), "queries": len(at)}
        for code, at in known.items()
        if at
    }
    names = ("MRR", "R@1") if by_language else ()
    means = {name: float(np.mean([each[name] for each in by_language.values()])) for name in names}
    return {"MRR": None, "R@1": None, **means, "by_language": by_language, "difference": None}


def share_within(ranks: Doubles, cut: int) -> float | None:
    """Return the share of known ranks that are at most ``cut``."""
    known = ranks[np.isfinite(ranks)]
    return float((known <= cut).mean()) if len(known) else None


def differences(reciprocal: Mapping[str, Doubles], queries: Sequence[AuditQuery], seed: int) -> Mapping[str, Any]:
    """Return the difference of each trial's MRR within a language to that of ``plain``, and its interval."""
    group = np.unique([each.group for each in queries], return_inverse=True)[1]
    language = np.unique([each.language for each in queries], return_inverse=True)[1]
    sums = {name: Sums.of(values, language, group) for name, values in reciprocal.items()}
    if not np.isfinite(reciprocal["plain"]).any():
        return {}
    drawn = draw(sums, _DRAWS, seed)
    return {
        name: {"MRR": each.mean() - sums["plain"].mean(), "interval": interval(drawn[name] - drawn["plain"])}
        for name, each in sums.items()
        if name != "plain"
    }
