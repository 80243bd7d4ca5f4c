"""Rank documents for a query: its language, candidates, matching words, collapsing, reranking, the best sentence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

import numpy as np

from panglot.search.document import ScoredDocument, check_fields
from panglot.search.query_language import forms, query_language
from panglot.search.ranking.lexical import fused
from panglot.search.ranking.modes import HEAD, MODES, center
from panglot.search.ranking.reranking import DEPTH, highlighted, reranked, sentences_of
from panglot.search.request import MAX_DEPTH, Hit, SearchResult, Version, language_shares
from panglot.search.storage.store import by_score, scores

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from panglot.debiasing.correction import Debiasing
    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.encoders.sentence_transformer import Reranker
    from panglot.search.document import Document, Filter
    from panglot.search.ranking.lexical import LexicalIndex
    from panglot.search.request import SearchRequest
    from panglot.search.storage.store import Store


@dataclass(frozen=True)
class Searcher:
    """Answer requests from the parts of an index."""

    store: Store
    encoder: Encoder  # Gives plain vectors, also of the sentences of highlights.
    debiasing: Debiasing  # Turns plain vectors of queries into centered ones.
    lexical: LexicalIndex
    reranker: Reranker | None = None  # Has the last word on the first 50.
    debiased: bool = False  # Whether the index was built with a debiased model, whose vectors are the centered ones.

    def search(self, request: SearchRequest, vector: Vectors) -> SearchResult:
        """Return the best documents for a request, given the plain vector of its query, shape ``[dimension]``.

        Nothing is encoded except sentences for highlights.
        """
        request = request.validate()
        result = self.find(request, vector)
        if not request.highlight:
            return with_fields(result, request.fields)
        begin = perf_counter()
        sentences = sentences_of(result.hits, self.encoder)
        vectors = self.encoder.encode(sentences.texts, "passage") if sentences.texts else vector[None][:0]
        hits = highlighted(result.hits, sentences, vectors, vector, result.language, self.debiasing)
        seconds = {**result.seconds, "rank": result.seconds["rank"] + perf_counter() - begin}
        return with_fields(replace(result, hits=hits, seconds=seconds), request.fields)

    def find(self, request: SearchRequest, vector: Vectors) -> SearchResult:
        """Return whole documents without highlights, which are chosen from them later, for a request that is valid."""
        begin = perf_counter()
        counts = self.store.counts()
        request = _with_known_forms(request, counts)
        if request.fields:
            check_fields(request.fields, self.store.kinds())
        known = query_language(
            request.query, (*counts, *request.preferred_languages), request.language, request.default_language
        )
        language = known.code
        end = request.offset + request.k
        count = max(end, DEPTH) if self.reranker is not None or request.hybrid else end
        ranked, candidates = self._ranked(request, vector, language, tuple(counts), count)
        searched = perf_counter()
        if self.reranker is None:
            ranked = _page(ranked, request)
        found = zip(ranked, self.store.get([each.id for each in ranked]), strict=True)
        # Another process may have deleted a document a moment ago.
        documents = {each.id: document for each, document in found if document is not None}
        ranked = [each for each in ranked if each.id in documents]
        if self.reranker is not None:
            texts = [documents[each.id].full_text for each in ranked]
            ranked = _page(reranked(ranked, self.reranker.scores(request.query, texts)), request)
        hits = tuple(
            Hit(documents[each.id], rank, each.score, each.explanation, {each.language: each.id}, matched=each.id)
            for rank, each in enumerate(ranked, request.offset + 1)
        )
        if request.collapse:
            read = (*request.preferred_languages, *(forms(language, counts) if language else ()))
            versions = self._versions(ranked, candidates, request, vector, language)
            hits = tuple(_with_versions(hit, versions.get(hit.document.group, ()), read) for hit in hits)
        seconds = {"search": searched - begin, "rank": perf_counter() - searched}
        pool = {code: count for code, count in counts.items() if not request.languages or code in request.languages}
        shares = language_shares([hit.document.language for hit in hits], pool)
        detected = known.source == "detected"
        return SearchResult(
            request.query, language, detected, request.mode, hits, shares, seconds, known.source, known.confidence
        )

    def candidates(
        self, vectors: Vectors, languages: Sequence[str], request: SearchRequest, depth: int, pool: Collection[str]
    ) -> list[list[ScoredDocument]]:
        """Return candidates by the mode alone for many queries with plain vectors. See :func:`find_candidates`.

        ``languages`` are those of the queries, and ``pool`` has those of the documents.
        """
        found = self.query_vectors(vectors, languages, request)
        return find_candidates(self.store, found, request, depth, pool, self._vector_field(request))

    def query_vectors(self, vectors: Vectors, languages: Sequence[str], request: SearchRequest) -> Vectors:
        """Return plain vectors of queries in the vector field of a request's mode, shape ``[queries, dimension]``."""
        centered = self._vector_field(request) == "centered"
        return center(self.debiasing, vectors, languages, "question") if centered else vectors

    def _vector_field(self, request: SearchRequest) -> str:
        # The plain vectors are those of the model without its debiasing.
        return "centered" if self.debiased else MODES[request.mode].vector_field

    def _ranked(
        self, request: SearchRequest, vector: Vectors, language: str, pool: Sequence[str], count: int
    ) -> tuple[list[ScoredDocument], list[ScoredDocument]]:
        """Return the first ``count`` documents, or groups if they are collapsed, or all there are.

        The second list has the candidates by the mode alone.
        """
        depth = min(count * 4, MAX_DEPTH) if request.collapse else count
        while True:
            found = self.candidates(vector[None], [language], request, depth, pool)[0]
            ranked = self._with_words(request, vector, language, found, depth) if request.hybrid else found
            # Behind the first ``depth`` there are gaps.
            ranked = collapsed(ranked[:depth]) if request.collapse else ranked[:depth]
            if len(ranked) >= count or len(found) < depth or depth >= MAX_DEPTH:
                return ranked[:count], found
            depth = min(depth * 4, MAX_DEPTH)

    def _versions(
        self, ranked: Sequence[ScoredDocument], candidates: Sequence[ScoredDocument], request: SearchRequest,
        vector: Vectors, language: str,
    ) -> dict[str, list[Version]]:  # fmt: skip
        """Return by group the best document of each language, by falling score, or the one that ranked.

        The store gives all documents of a group, whether they are among the candidates or not.
        """
        chosen = {each.id for each in ranked}
        members = {
            each.id: each
            for each in self.store.in_groups({each.group for each in ranked if each.group})
            if not request.languages or each.language in request.languages
        }
        if where := request.filter:
            allowed = self.store.matching(list(members), where)
            members = {name: each for name, each in members.items() if name in allowed}
        known = {each.id for each in candidates}
        missing = [each for each in members.values() if each.id not in known]
        # With the candidates, because a mode may compare a document with the best of its language.
        every = _adjusted([*candidates, *self._scored(missing, request, vector, language)], request)
        best: dict[tuple[str, str], ScoredDocument] = {}
        for each in sorted((each for each in every if each.id in members), key=lambda each: each.id not in chosen):
            best.setdefault((each.group, each.language), each)
        found: dict[str, list[Version]] = {}
        for each in by_score(best.values()):
            found.setdefault(each.group, []).append(Version(members[each.id], each.score))
        return found

    def _with_words(
        self, request: SearchRequest, vector: Vectors, language: str, found: Sequence[ScoredDocument], depth: int
    ) -> list[ScoredDocument]:
        """Return the first ``depth`` candidates and the documents that share words with the query, fused."""
        where = request.filter
        matches = self.lexical.search(request.query, language, DEPTH, request.languages, where)
        known = {each.id for each in found}
        missing = [
            each
            for each in self.store.get([name for name in matches if name not in known])
            if each is not None and (not request.languages or each.language in request.languages)
        ]
        # Matches that the vectors did not find need their cosines too, because the mode ranks all of them.
        more = self._scored(missing, request, vector, language)
        known.update(each.id for each in more)
        ranked = _adjusted([*found, *more], request)
        matching = set(matches)
        kept = [each for rank, each in enumerate(ranked) if rank < depth or each.id in matching]
        return fused(kept, [name for name in matches if name in known], request.lexical_weight)

    def _scored(
        self, documents: Sequence[Document], request: SearchRequest, vector: Vectors, language: str
    ) -> list[ScoredDocument]:
        """Return documents that the vectors did not find with their cosines, as the store would have given them."""
        vectors = self.store.vectors(self._vector_field(request), [each.id for each in documents])
        cosines = scores(vectors, self.query_vectors(vector[None], [language], request)[0])
        return [
            ScoredDocument(each.id, cosine, each.language, each.group)
            for each, cosine in zip(documents, cosines.tolist(), strict=True)
        ]


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
    field, count = vector_field or MODES[request.mode].vector_field, max(depth, HEAD)
    found: list[dict[str, ScoredDocument]] = [{} for _ in vectors]
    for pool in _pools(request, languages):
        lists = store.search(field, vectors, count, languages=pool, where=request.filter)
        for known, row in zip(found, lists, strict=True):
            known.update((each.id, each) for each in row)
    return [_adjusted(list(known.values()), request) for known in found]


def _pools(request: SearchRequest, languages: Collection[str]) -> list[tuple[str, ...] | None]:
    """Return the languages of each search of the store, None for all of ``languages``, those of the documents.

    The first k by the mode of a request are among the first k of these searches.
    """
    wanted = tuple(code for code in sorted(languages) if not request.languages or code in request.languages)
    if MODES[request.mode].by_language:
        return [(code,) for code in wanted]
    preferred = tuple(code for code in wanted if code in request.preferred_languages)
    return [wanted if request.languages else None, *([preferred] if preferred else [])]


def _adjusted(documents: Sequence[ScoredDocument], request: SearchRequest) -> list[ScoredDocument]:
    """Return documents, from a store or from this function, in the order of the request's mode."""
    # Hybrid search ranks a second time, so that the cosine of the first may be in the explanation.
    cosine = np.array([each.explanation.get("cosine", each.score) for each in documents], np.float64)
    languages = [each.language for each in documents]
    adjustment = MODES[request.mode].adjustment
    added = adjustment(cosine, languages) if adjustment else None
    if request.preferred_languages:
        boost = np.array([request.boost * (code in request.preferred_languages) for code in languages], np.float64)
        added = boost if added is None else added + boost
    total = cosine if added is None else cosine + added
    parts = [cosine.tolist()] if added is None else [cosine.tolist(), added.tolist()]
    return by_score(
        each._replace(score=score, explanation=dict(zip(("cosine", "language"), part, strict=False)))
        for each, score, part in zip(documents, total.tolist(), zip(*parts, strict=True), strict=True)
    )


def with_fields(result: SearchResult, fields: Collection[str]) -> SearchResult:
    """Return a result whose documents keep only ``fields``, or all that they have if no fields are named."""
    if not fields:
        return result
    hits = tuple(
        replace(
            hit, document=hit.document.only(fields),
            versions=tuple(replace(each, document=each.document.only(fields)) for each in hit.versions),
        )
        for hit in result.hits
    )  # fmt: skip
    return replace(result, hits=hits)


def _page(ranked: Sequence[ScoredDocument], request: SearchRequest) -> list[ScoredDocument]:
    page = ranked[request.offset : request.offset + request.k]
    least = request.score_threshold
    return [each for each in page if least is None or each.score >= least]


def collapsed(ranked: Sequence[ScoredDocument]) -> list[ScoredDocument]:
    """Return the first document of each group, and those without a group, in their order.

    >>> ranked = [ScoredDocument("7-de", 0.9, "de", "7"), ScoredDocument("x", 0.8, "de"),
    ...           ScoredDocument("7-fr", 0.7, "fr", "7")]
    >>> [best.id for best in collapsed(ranked)]
    ['7-de', 'x']
    """
    best: dict[tuple[bool, str], ScoredDocument] = {}
    for each in ranked:
        # Groups and ids are names of two kinds: a group may be called like a document.
        best.setdefault((True, each.group) if each.group else (False, each.id), each)
    return list(best.values())


def _with_versions(hit: Hit, versions: Sequence[Version], read: Sequence[str]) -> Hit:
    """Return a hit that shows its version in the first of the languages ``read`` that it has, and lists them all.

    Rank, score and explanation remain those of the version that was found.
    """
    # Another process may have deleted the group a moment ago.
    by_language = {each.document.language: each.document for each in versions} or {hit.document.language: hit.document}
    shown = next((by_language[code] for code in read if code in by_language), hit.document)
    languages = {each.language: each.id for each in (shown, *by_language.values())}
    return replace(hit, document=shown, languages=languages, versions=tuple(versions))


def _with_known_forms(request: SearchRequest, languages: Collection[str]) -> SearchRequest:
    """Return a request in the documents' languages: ``en`` becomes all of ``en``, ``en-GB`` and ``en-US`` there."""

    def there(codes: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(form for code in codes for form in forms(code, languages) or [code]))

    def first(code: str) -> str:
        return code if code in languages else there([code])[0] if code else ""

    return replace(
        request, language=first(request.language), default_language=first(request.default_language),
        languages=there(request.languages), preferred_languages=there(request.preferred_languages),
    )  # fmt: skip
