"""From a question's vector to hits: candidates, matching words, folding, a second look, the best sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from panglot.search.ranking.candidates import Candidate, Entry, fold, scored, unfolded, unscored
from panglot.search.ranking.modes import space
from panglot.search.ranking.reranking import DEPTH, Reranker, reranked
from panglot.search.result import Hit
from panglot.search.storage.store import Found

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.search.index import Index
    from panglot.search.request import SearchRequest
    from panglot.search.storage.store import Store

DEEPEST = 10_000
"""Candidates at most: folding may ask for more than hits are wanted."""


def entries_of(
    index: Index, question: str, vector: Vectors, language: str, wish: SearchRequest, want: int, pool: Sequence[str]
) -> list[Entry]:
    """Return what may become hits, with the versions of each: as many as are wanted, or all there are.

    Args:
        index: Where to search.
        question: Its text.
        vector: Its plain vector.
        language: Its language.
        wish: How to search, checked.
        want: How many.
        pool: The languages of the documents.
    """
    depth = want * 4 if wish.fold else want
    while True:
        found = index.candidates(vector[None], [language], wish, depth, pool)[0]
        there_are_more = len(found) >= depth
        if wish.lexical:
            found = with_words(index, question, vector, language, wish, found, depth)
        # What is behind the first ones has gaps, but may be a version of one of them.
        entries = fold(found)[: len(fold(found[:depth]))] if wish.fold else unfolded(found[:depth])
        if len(entries) >= want or not there_are_more or depth >= DEEPEST:
            return entries[:want]
        depth = min(depth * 4, DEEPEST)


def with_words(
    index: Index,
    question: str,
    vector: Vectors,
    language: str,
    wish: SearchRequest,
    found: Sequence[Candidate],
    depth: int,
) -> list[Candidate]:
    """Return the first candidates and the documents that share words with the question, fused.

    Args:
        index: Where to search.
        question: Its text.
        vector: Its plain vector.
        language: Its language.
        wish: How to search, checked.
        found: Candidates, of which the first ``depth`` are right.
        depth: How many that are.
    """
    from panglot.search.ranking.lexical import fused

    matches = [name for name, _ in index.words().search(question, language, DEPTH)]
    known = {each.id for each in found}
    missing = [name for name in matches if name not in known]
    cosines = index.store.vectors(space(wish.mode), missing) @ index.moved(vector[None], [language], wish)[0]
    more = [
        Found(each.id, float(cosine), each.language, each.group)
        for each, cosine in zip(index.store.get(missing), cosines.tolist(), strict=True)
        if each is not None and (not wish.languages or each.language in wish.languages)
    ]
    there = known | {each.id for each in more}
    whole = scored([*unscored(found), *more], wish)
    kept = [each for rank, each in enumerate(whole) if rank < depth or each.id in matches]
    return fused(kept, [name for name in matches if name in there])


def reranked_entries(reranker: Reranker, store: Store, question: str, entries: Sequence[Entry]) -> list[Entry]:
    """Return entries in the order of a cross-encoder; those whose document is gone are left out."""
    documents = store.get([each.id for each, _ in entries])
    kept = [(entry, each) for entry, each in zip(entries, documents, strict=True) if each is not None]
    versions = {entry[0].id: entry[1] for entry, _ in kept}
    scores = reranker.scores(question, [each.passage for _, each in kept])
    return [(each, versions[each.id]) for each in reranked([entry[0] for entry, _ in kept], scores)]


HIGHLIGHTS = 50
"""Hits whose best sentence is looked for, at most."""


def hits_of(
    index: Index, vector: Vectors, wish: SearchRequest, entries: Sequence[Entry], sentences: Encoder
) -> list[Hit]:
    """Return entries as hits, with their documents and, where wished, the best sentences of the first of them."""
    documents = index.store.get([each.id for each, _ in entries])
    # A document that was deleted a moment ago is no hit.
    there = [(*entry, each) for entry, each in zip(entries, documents, strict=True) if each is not None]
    marks: list[tuple[int, int] | None] = [None] * len(there)
    if wish.highlight:
        from panglot.search.ranking.reranking import best_sentences

        first = [document for _, _, document in there[:HIGHLIGHTS]]
        marks[: len(first)] = best_sentences(sentences, vector, first)
    return [
        Hit(document, rank, each.score, each.why, versions, mark)
        for rank, ((each, versions, document), mark) in enumerate(zip(there, marks, strict=True), 1)
    ]
