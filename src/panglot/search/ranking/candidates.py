"""Rankings as lists of scored documents: searched by a mode, sorted, collapsed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from panglot.search.document import ScoredDocument
from panglot.search.ranking.modes import HEAD, MODES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from panglot.encoders.protocol import Vectors
    from panglot.search.request import SearchRequest
    from panglot.search.storage.store import Store

__all__ = ["adjusted", "collapsed", "find_candidates", "in_order"]


def in_order(documents: Iterable[ScoredDocument]) -> list[ScoredDocument]:
    """Return documents by falling score, equal ones by id."""
    return sorted(documents, key=lambda each: (-each.score, each.id))


def find_candidates(
    store: Store, vectors: Vectors, request: SearchRequest, depth: int, languages: Collection[str]
) -> list[list[ScoredDocument]]:
    """Return for each query the candidates by the mode of a request, best first.

    The first ``depth`` are the first of the whole pool. Others may follow, with gaps between them.

    Args:
        store: Where to search.
        vectors: The queries in the mode's vector field, one row each.
        request: A validated request.
        depth: How many.
        languages: Those of the documents.
    """
    mode = MODES[request.mode]
    found: list[dict[str, ScoredDocument]] = [{} for _ in vectors]
    for pool in mode.pools(request, languages):
        lists = store.search(mode.vector_field, vectors, max(depth, HEAD), languages=pool)
        for known, row in zip(found, lists, strict=True):
            known.update((each.id, each) for each in row)
    return [adjusted(list(known.values()), request) for known in found]


def adjusted(documents: Sequence[ScoredDocument], request: SearchRequest) -> list[ScoredDocument]:
    """Return documents in the order of the request's mode.

    Args:
        documents: As the store found them, or as this function returned them: it starts from their cosines.
        request: A validated request.
    """
    cosine = np.array([each.explanation.get("cosine", each.score) for each in documents], np.float64)
    added = MODES[request.mode].adjustment(cosine, [each.language for each in documents], request)
    total = cosine if added is None else cosine + added
    parts = [cosine.tolist()] if added is None else [cosine.tolist(), added.tolist()]
    return in_order(
        each._replace(score=score, explanation=dict(zip(("cosine", "language"), part, strict=False)))
        for each, score, part in zip(documents, total.tolist(), zip(*parts, strict=True), strict=True)
    )


def collapsed(ranked: Sequence[ScoredDocument]) -> list[ScoredDocument]:
    """Return the best document of each group in order, with the ids of all its versions that were found.

    A document without a group remains as it is. Of two versions in one language the better one is kept.

    Args:
        ranked: Best first.

    >>> ranked = [ScoredDocument("7-de", 0.9, "de", "7"), ScoredDocument("x", 0.8, "de"),
    ...           ScoredDocument("7-fr", 0.7, "fr", "7")]
    >>> [(best.id, dict(best.versions)) for best in collapsed(ranked)]
    [('7-de', {'de': '7-de', 'fr': '7-fr'}), ('x', {'de': 'x'})]
    """
    best: dict[tuple[bool, str], ScoredDocument] = {}
    versions: dict[tuple[bool, str], dict[str, str]] = {}
    for each in ranked:
        # Groups and ids are names of two kinds: a group may be called like a document.
        key = (True, each.group) if each.group else (False, each.id)
        best.setdefault(key, each)
        versions.setdefault(key, {}).setdefault(each.language, each.id)
    return [each._replace(versions=versions[key]) for key, each in best.items()]
