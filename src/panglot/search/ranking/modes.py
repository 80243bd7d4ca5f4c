"""Ranking modes: how languages are weighed, as pure functions of scores and languages.

============= =============================================================================
``plain``     cosine of query and document
``centered``  the same after each has lost the mean of its language
``balanced``  centered, less half the mean of the five best scores in the document's language
``preferred`` cosine + boost if the document is in a preferred language
============= =============================================================================

The boost is added in any mode. ``preferred`` is ``plain`` for requests that must name preferred languages.

Balancing subtracts what a language's best documents score for this query, whichever they are. A document then counts
by how far it stands out among those of its own language, and a language whose scores are higher throughout does not
crowd out the others. Only half is subtracted, because the best of a language may be best for a reason.

To add a mode, write a subclass of :class:`RankingMode` and add it to :data:`Mode` and :data:`MODES`. The validation of
requests, the service, the command line and the audit of an index take it from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from panglot.search.filter_syntax import parse_filter
from panglot.search.storage.store import by_score

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from panglot.encoders.protocol import Vectors
    from panglot.search.document import ScoredDocument
    from panglot.search.filters import Filter
    from panglot.search.request import SearchRequest
    from panglot.search.storage.store import Doubles

__all__ = [
    "HEAD", "MODES", "SHARE", "VECTOR_FIELDS", "Mode", "RankingMode", "Searchable", "adjusted", "find_candidates",
    "head_mean",
]  # fmt: skip

VECTOR_FIELDS = ("plain", "centered")
"""The vectors that an index keeps for each document."""

HEAD, SHARE = 5, 0.5
"""Best scores of a language that balancing averages, and the share of their mean that it subtracts.

Chosen on held-out rows of MLQA dev, by mAP in the pool of all languages; see docs/search-modes.md."""

_Pool = tuple[str, ...] | None  # The languages of one search of the store. None: all.


class RankingMode:
    """The cosine of query and document. Subclasses say what they do otherwise.

    Attributes:
        summary: One sentence for users.
        vector_field: The vectors whose cosines the mode starts from.
        requires: Options of a request that must not be empty.
    """

    summary = "The pool as it is: the cosine of query and document."
    vector_field: Literal["plain", "centered"] = "plain"
    requires: tuple[str, ...] = ()

    def pools(self, request: SearchRequest, languages: Collection[str]) -> tuple[_Pool, ...]:
        """Return the parts of the store to search, given the languages of its documents.

        The first k of the mode must be among the first k of these parts.
        """
        whole = _wanted(request, languages) if request.languages else None
        preferred = tuple(code for code in _wanted(request, languages) if code in request.preferred_languages)
        return (whole, preferred) if preferred else (whole,)

    def adjustment(self, cosine: Doubles, languages: Sequence[str], request: SearchRequest) -> Doubles | None:
        """Return what the mode adds to each candidate's cosine, shape ``[candidates]``, or None if it adds nothing.

        The first :data:`HEAD` of every pool are among the candidates.
        """
        del cosine, languages, request
        return None


class _Centered(RankingMode):
    summary = "Each language's mean is subtracted first."
    vector_field = "centered"


class _Balanced(_Centered):
    summary = "Scores are calibrated by language, so that none is crowded out."

    def pools(self, request: SearchRequest, languages: Collection[str]) -> tuple[_Pool, ...]:
        return tuple((code,) for code in _wanted(request, languages))

    def adjustment(self, cosine: Doubles, languages: Sequence[str], request: SearchRequest) -> Doubles:
        del request
        codes = np.asarray(languages, object)
        usual = {code: -SHARE * head_mean(cosine[codes == code]) for code in set(languages)}
        return np.array([usual[code] for code in languages], np.float64)


class _Preferred(RankingMode):
    summary = "Documents in preferred languages get a boost."
    requires = ("preferred_languages",)


Mode = Literal["plain", "centered", "balanced", "preferred"]
"""The name of a ranking mode."""

MODES: Mapping[Mode, RankingMode] = {
    "plain": RankingMode(),
    "centered": _Centered(),
    "balanced": _Balanced(),
    "preferred": _Preferred(),
}
"""The ranking modes by name."""


def _wanted(request: SearchRequest, languages: Collection[str]) -> tuple[str, ...]:
    return tuple(code for code in sorted(languages) if not request.languages or code in request.languages)


def head_mean(scores: Doubles, head: int = HEAD) -> Doubles:
    """Return the mean of the ``head`` highest scores along the last axis, or of all if they are fewer."""
    many = scores.shape[-1]
    if many <= head:
        return scores.mean(axis=-1)
    return np.partition(scores, many - head, axis=-1)[..., many - head :].mean(axis=-1)


class Searchable(Protocol):
    """What ranking needs of a :class:`panglot.search.storage.store.Store`."""

    def search(
        self, vector_field: str, queries: Vectors, k: int, *, languages: Collection[str] | None = None,
        where: Filter | None = None,
    ) -> list[list[ScoredDocument]]:  # fmt: skip
        """Return for each query the ``k`` nearest documents, best first."""
        ...


def find_candidates(
    store: Searchable, vectors: Vectors, request: SearchRequest, depth: int, languages: Collection[str],
    vector_field: str | None = None,
) -> list[list[ScoredDocument]]:  # fmt: skip
    """Return for each query, a row in the vector field, the candidates by the mode of a request, best first.

    The first ``depth`` are the first of the whole pool. Others may follow, with gaps between them. ``languages`` are
    those of the documents. By default, the vector field is that of the mode.
    """
    mode = MODES[request.mode]
    found: list[dict[str, ScoredDocument]] = [{} for _ in vectors]
    for pool in mode.pools(request, languages):
        field, count = vector_field or mode.vector_field, max(depth, HEAD)
        lists = store.search(field, vectors, count, languages=pool, where=parse_filter(request.where))
        for known, row in zip(found, lists, strict=True):
            known.update((each.id, each) for each in row)
    return [adjusted(list(known.values()), request) for known in found]


def adjusted(documents: Sequence[ScoredDocument], request: SearchRequest) -> list[ScoredDocument]:
    """Return documents, from a store or from this function, in the order of the request's mode."""
    # Hybrid search ranks a second time, so that the cosine of the first may be in the explanation.
    cosine = np.array([each.explanation.get("cosine", each.score) for each in documents], np.float64)
    languages = [each.language for each in documents]
    added = MODES[request.mode].adjustment(cosine, languages, request)
    if request.preferred_languages:
        boost = np.array([request.boost * (code in request.preferred_languages) for code in languages], np.float64)
        added = boost if added is None else added + boost
    total = cosine if added is None else cosine + added
    parts = [cosine.tolist()] if added is None else [cosine.tolist(), added.tolist()]
    return by_score(
        each._replace(score=score, explanation=dict(zip(("cosine", "language"), part, strict=False)))
        for each, score, part in zip(documents, total.tolist(), zip(*parts, strict=True), strict=True)
    )
