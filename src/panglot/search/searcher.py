"""Rank documents for a query: its language, candidates, matching words, collapsing, reranking, the best sentence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

from panglot.search.document import ScoredDocument
from panglot.search.query_language import forms, query_language
from panglot.search.ranking.lexical import fused
from panglot.search.ranking.modes import MODES, adjusted, find_candidates
from panglot.search.ranking.reranking import DEPTH, Sentences, reranked
from panglot.search.ranking.stats import center
from panglot.search.request import MAX_DEPTH, Hit, SearchResult, language_shares

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from panglot.debiasing.transform import Debiasing
    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.search.ranking.lexical import LexicalIndex
    from panglot.search.ranking.reranking import Reranker
    from panglot.search.request import SearchRequest
    from panglot.search.storage.store import Store

__all__ = ["Searcher", "collapsed", "highlighted", "sentences_of", "with_fields"]

_MAX_HIGHLIGHTS = 50  # Each costs the encoding of all sentences of a hit.


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
        begin = perf_counter()
        counts = self.store.counts()
        request = _with_known_forms(request.validate(), counts)
        known = query_language(
            request.query, (*counts, *request.preferred_languages), request.language, request.default_language
        )
        language = known.code
        end = request.offset + request.k
        count = max(end, DEPTH) if self.reranker is not None or request.hybrid else end
        ranked = self._ranked(request, vector, language, tuple(counts), count)
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
            Hit(
                documents[each.id],
                rank,
                each.score,
                each.explanation,
                each.versions or {each.language: each.id},
                matched=each.matched or each.id,
            )
            for rank, each in enumerate(ranked, request.offset + 1)
        )
        if request.highlight:
            sentences = sentences_of(hits, self.encoder)
            scores = self.encoder.encode(sentences.texts, "passage") @ vector if sentences.texts else vector[:0]
            hits = highlighted(hits, sentences.best(scores))
        hits = with_fields(hits, request.fields)
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
    ) -> list[ScoredDocument]:
        """Return the first ``count`` documents, or versions of one, or all there are."""
        depth = min(count * 4, MAX_DEPTH) if request.collapse else count
        shown = (request.preferred_languages, forms(language, pool) if language else ())
        while True:
            found = self.candidates(vector[None], [language], request, depth, pool)[0]
            more_remain = len(found) >= depth
            if request.hybrid:
                found = self._with_words(request, vector, language, found, depth)
            ranked = found[:depth]
            if request.collapse:
                # Behind the first ``depth`` there are gaps, but what is there may be a version of one of them.
                ranked = collapsed(found, shown)[: len(collapsed(ranked))]
            if len(ranked) >= count or not more_remain or depth >= MAX_DEPTH:
                return ranked[:count]
            depth = min(depth * 4, MAX_DEPTH)

    def _with_words(
        self, request: SearchRequest, vector: Vectors, language: str, found: Sequence[ScoredDocument], depth: int
    ) -> list[ScoredDocument]:
        """Return the first ``depth`` candidates and the documents that share words with the query, fused."""
        matches = self.lexical.search(request.query, language, DEPTH, request.languages)
        known = {each.id for each in found}
        missing = [name for name in matches if name not in known]
        # Matches that the vectors did not find need their cosines too, for the mode ranks all of them.
        vectors = self.store.vectors(self._vector_field(request), missing)
        cosines = vectors @ self.query_vectors(vector[None], [language], request)[0]
        more = [
            ScoredDocument(each.id, cosine, each.language, each.group)
            for each, cosine in zip(self.store.get(missing), cosines.tolist(), strict=True)
            if each is not None and (not request.languages or each.language in request.languages)
        ]
        known.update(each.id for each in more)
        ranked = adjusted([*found, *more], request)
        matching = set(matches)
        kept = [each for rank, each in enumerate(ranked) if rank < depth or each.id in matching]
        return fused(kept, [name for name in matches if name in known])


def sentences_of(hits: Sequence[Hit], encoder: Encoder) -> Sentences:
    """Return the sentences of the first 50 hits that the encoder saw, from which highlights are chosen."""
    return Sentences.of([hit.document for hit in hits[:_MAX_HIGHLIGHTS]], encoder)


def highlighted(hits: Sequence[Hit], spans: Sequence[tuple[int, int] | None]) -> tuple[Hit, ...]:
    """Return hits with the spans of their best sentences, which are those of the first hits."""
    first = [replace(hit, highlight=span) for hit, span in zip(hits, spans, strict=False)]
    return (*first, *hits[len(first) :])


def with_fields(hits: Sequence[Hit], fields: Collection[str]) -> tuple[Hit, ...]:
    """Return hits whose documents keep only ``fields``, or all that they have if no fields are named."""
    return tuple(replace(hit, document=hit.document.only(fields)) if fields else hit for hit in hits)


def _page(ranked: Sequence[ScoredDocument], request: SearchRequest) -> list[ScoredDocument]:
    page = ranked[request.offset : request.offset + request.k]
    least = request.score_threshold
    return [each for each in page if least is None or each.score >= least]


def collapsed(ranked: Sequence[ScoredDocument], shown: Sequence[Collection[str]] = ()) -> list[ScoredDocument]:
    """Return one document of each group in the order of their best, with the ids of all its versions that were found.

    It is the best version in the first of the languages in ``shown`` that the group has, or else the best of all. The
    score remains that of the best. A document without a group remains as it is. Of two versions in one language the
    better one is kept.

    >>> ranked = [ScoredDocument("7-de", 0.9, "de", "7"), ScoredDocument("x", 0.8, "de"),
    ...           ScoredDocument("7-fr", 0.7, "fr", "7")]
    >>> [(best.id, dict(best.versions)) for best in collapsed(ranked)]
    [('7-de', {'de': '7-de', 'fr': '7-fr'}), ('x', {'de': 'x'})]
    >>> [(best.id, best.score, best.matched) for best in collapsed(ranked, [["ja"], ["fr"]])]
    [('7-fr', 0.9, '7-de'), ('x', 0.8, '')]
    """
    best: dict[tuple[bool, str], ScoredDocument] = {}
    versions: dict[tuple[bool, str], dict[str, str]] = {}
    for each in ranked:
        # Groups and ids are names of two kinds: a group may be called like a document.
        key = (True, each.group) if each.group else (False, each.id)
        best.setdefault(key, each)
        versions.setdefault(key, {}).setdefault(each.language, each.id)
    return [_shown(each, versions[key], shown) for key, each in best.items()]


def _shown(best: ScoredDocument, versions: dict[str, str], shown: Sequence[Collection[str]]) -> ScoredDocument:
    code = next((code for codes in shown for code in versions if code in codes), best.language)
    if code == best.language:
        return best._replace(versions=versions)
    first = {code: versions[code], **versions}
    return best._replace(id=versions[code], language=code, versions=first, matched=best.id)


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
