"""Rank documents for a query: its language, candidates, matching words, collapsing, reranking, the best sentence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING

from panglot.data.language import Detector, canonical_or_none, identifier, near, script_of
from panglot.search.document import ScoredDocument
from panglot.search.ranking.lexical import fused
from panglot.search.ranking.modes import MODES, adjusted, find_candidates
from panglot.search.ranking.reranking import DEPTH, Sentences, reranked
from panglot.search.ranking.stats import center
from panglot.search.request import Hit, SearchResult, language_shares

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from panglot.debiasing.transform import Debiasing
    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.search.ranking.lexical import LexicalIndex
    from panglot.search.ranking.reranking import Reranker
    from panglot.search.request import SearchRequest
    from panglot.search.storage.store import Store

__all__ = ["Searcher", "collapsed", "highlighted", "language_of", "sentences_of"]

_MAX_DEPTH = 10_000  # Collapsing searches deeper than the number of results, but no deeper than this.
_MAX_HIGHLIGHTS = 50  # Each costs the encoding of all sentences of a hit.
_USUAL = "en"  # People ask in this language everywhere, whatever the documents' languages.
_SURE = 0.5  # Probability that a language without documents needs, because a word or two can be of many languages.


@dataclass(frozen=True)
class Searcher:
    """Answer requests from the parts of an index."""

    store: Store
    encoder: Encoder  # Gives plain vectors, also of the sentences of highlights.
    debiasing: Debiasing  # Turns plain vectors of queries into centered ones.
    lexical: LexicalIndex
    reranker: Reranker | None = None  # Has the last word on the first 50.

    def search(self, request: SearchRequest, vector: Vectors) -> SearchResult:
        """Return the best documents for a request, given the plain vector of its query, shape ``[dimension]``.

        Nothing is encoded except sentences for highlights.
        """
        begin = perf_counter()
        counts = self.store.counts()
        request = _with_known_forms(request.validate(), counts)
        language = request.language or language_of(request.query, (*counts, *request.preferred_languages))
        count = max(request.k, DEPTH) if self.reranker is not None or request.hybrid else request.k
        ranked = self._ranked(request, vector, language, tuple(counts), count)
        searched = perf_counter()
        if self.reranker is None:
            ranked = ranked[: request.k]
        found = zip(ranked, self.store.get([each.id for each in ranked]), strict=True)
        # Another process may have deleted a document a moment ago.
        documents = {each.id: document for each, document in found if document is not None}
        ranked = [each for each in ranked if each.id in documents]
        if self.reranker is not None:
            texts = [documents[each.id].full_text for each in ranked]
            ranked = reranked(ranked, self.reranker.scores(request.query, texts))[: request.k]
        hits = tuple(
            Hit(documents[each.id], rank, each.score, each.explanation, each.versions or {each.language: each.id})
            for rank, each in enumerate(ranked, 1)
        )
        if request.highlight:
            sentences = sentences_of(hits)
            scores = self.encoder.encode(sentences.texts, "passage") @ vector if sentences.texts else vector[:0]
            hits = highlighted(hits, sentences.best(scores))
        seconds = {"search": searched - begin, "rank": perf_counter() - searched}
        pool = {code: count for code, count in counts.items() if not request.languages or code in request.languages}
        shares = language_shares([hit.document.language for hit in hits], pool)
        return SearchResult(request.query, language, not request.language, request.mode, hits, shares, seconds)

    def candidates(
        self, vectors: Vectors, languages: Sequence[str], request: SearchRequest, depth: int, pool: Collection[str]
    ) -> list[list[ScoredDocument]]:
        """Return candidates by the mode alone for many queries with plain vectors. See :func:`find_candidates`.

        ``languages`` are those of the queries, and ``pool`` has those of the documents.
        """
        return find_candidates(self.store, self.query_vectors(vectors, languages, request), request, depth, pool)

    def query_vectors(self, vectors: Vectors, languages: Sequence[str], request: SearchRequest) -> Vectors:
        """Return plain vectors of queries in the vector field of a request's mode, shape ``[queries, dimension]``."""
        centered = MODES[request.mode].vector_field == "centered"
        return center(self.debiasing, vectors, languages, "question") if centered else vectors

    def _ranked(
        self, request: SearchRequest, vector: Vectors, language: str, pool: Sequence[str], count: int
    ) -> list[ScoredDocument]:
        """Return the first ``count`` documents, or versions of one, or all there are."""
        depth = count * 4 if request.collapse else count
        while True:
            found = self.candidates(vector[None], [language], request, depth, pool)[0]
            more_remain = len(found) >= depth
            if request.hybrid:
                found = self._with_words(request, vector, language, found, depth)
            ranked = found[:depth]
            if request.collapse:
                # Behind the first ``depth`` there are gaps, but what is there may be a version of one of them.
                ranked = collapsed(found)[: len(collapsed(ranked))]
            if len(ranked) >= count or not more_remain or depth >= _MAX_DEPTH:
                return ranked[:count]
            depth = min(depth * 4, _MAX_DEPTH)

    def _with_words(
        self, request: SearchRequest, vector: Vectors, language: str, found: Sequence[ScoredDocument], depth: int
    ) -> list[ScoredDocument]:
        """Return the first ``depth`` candidates and the documents that share words with the query, fused."""
        matches = self.lexical.search(request.query, language, DEPTH)
        known = {each.id for each in found}
        missing = [name for name in matches if name not in known]
        # Matches that the vectors did not find need their cosines too, for the mode ranks all of them.
        vectors = self.store.vectors(MODES[request.mode].vector_field, missing)
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


def sentences_of(hits: Sequence[Hit]) -> Sentences:
    """Return the sentences of the first 50 hits, from which highlights are chosen."""
    return Sentences.of([hit.document for hit in hits[:_MAX_HIGHLIGHTS]])


def highlighted(hits: Sequence[Hit], spans: Sequence[tuple[int, int] | None]) -> tuple[Hit, ...]:
    """Return hits with the spans of their best sentences, which are those of the first hits."""
    first = [replace(hit, highlight=span) for hit, span in zip(hits, spans, strict=False)]
    return (*first, *hits[len(first) :])


def collapsed(ranked: Sequence[ScoredDocument]) -> list[ScoredDocument]:
    """Return the best document of each group in order, with the ids of all its versions that were found.

    A document without a group remains as it is. Of two versions in one language the better one is kept.

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


def _with_known_forms(request: SearchRequest, languages: Collection[str]) -> SearchRequest:
    """Return a request in the documents' languages: ``en`` becomes ``en-US`` if only that is there."""

    def forms(codes: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(form for code in codes for form in near(code, languages) or [code]))

    language = forms([request.language])[0] if request.language else ""
    preferred = forms(request.preferred_languages)
    return replace(request, language=language, languages=forms(request.languages), preferred_languages=preferred)


def language_of(query: str, languages: Iterable[str]) -> str:
    """Return the language of a query, among those of the documents and of the reader, and English.

    A query that is surely in another language is in that.

    >>> language_of("Wie drucke ich eine Tabelle?", ["de", "nl", "sv"])
    'de'
    >>> language_of("Print", ["de", "ja"]), language_of("jinsi ya kuchapisha jedwali", ["de", "ja"])
    ('en', 'sw')
    >>> language_of("Strg+Pos1", ["ar", "en-US"])  # letters of a code, not of Arabic
    'en-US'
    """
    known = {*languages}
    if not near(_USUAL, known):
        known.add(_USUAL)
    usual = near(_USUAL, known)[0]
    if not any(letter.isalpha() for letter in query):
        return usual
    detector = _detector(tuple(sorted(known)))
    found = detector.detect(query)
    if not found:
        label, share = identifier().rank(query)[0]
        found = (canonical_or_none(label) if share >= _SURE else None) or detector.detect(query, least=0) or usual
    return usual if query.isascii() and script_of(found) not in ("Latn", "") else found


@lru_cache(maxsize=16)
def _detector(languages: tuple[str, ...]) -> Detector:
    return Detector(languages)
