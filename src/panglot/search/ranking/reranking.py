"""Take a second look at what was found: a cross-encoder orders it anew, an encoder finds the best sentences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from panglot.data.sentences import spans
from panglot.encoders.protocol import Windowed
from panglot.search.ranking.modes import center

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from panglot.debiasing.correction import Debiasing
    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.search.document import Document, ScoredDocument
    from panglot.search.request import Hit

DEPTH = 50  # Candidates that get a second look even if fewer hits are wanted.
_MAX_HIGHLIGHTS = 50  # Each costs the encoding of all sentences of a hit.
MAX_SENTENCES = 512  # Of one request for highlights, because each of them is encoded.

MATCH = 0.3
"""Cosine of query and sentence, both centered, from which on the sentence is marked.

Unrelated texts have a cosine near 0 after centering, whatever the model. Among the first ten pages of the software help
for the title of one of them, this marks 72 % of the pages with that title and 28 % of the others, and nothing for six
queries that no page answers (panglot-small, 102 pages in six languages)."""


def reranked(ranked: Sequence[ScoredDocument], scores: npt.NDArray[np.float64]) -> list[ScoredDocument]:
    """Return documents in the order of new scores. Equal ones keep their order."""
    found = [
        each._replace(score=score, explanation={**each.explanation, "reranker": score})
        for each, score in zip(ranked, scores.tolist(), strict=True)
    ]
    return sorted(found, key=lambda each: -each.score)


@dataclass(frozen=True)
class Sentences:
    """The sentences of documents that highlights are chosen from.

    Attributes:
        spans: For each document, begin and end of each of its sentences in characters of its text.
        texts: The sentences that must be encoded, document by document: those of texts with more than one.
    """

    spans: list[list[tuple[int, int]]]
    texts: list[str]

    @classmethod
    def of(cls, documents: Sequence[Document], encoder: Encoder | None = None) -> Sentences:
        """Split documents until there are :data:`MAX_SENTENCES`. The documents from there on get no spans.

        What the encoder did not see of a long text is no part of a sentence.
        """
        found: list[list[tuple[int, int]]] = []
        texts: list[str] = []
        whole = [each.full_text for each in documents]
        seen = encoder.window(whole, "passage") if isinstance(encoder, Windowed) else [(0, len(text)) for text in whole]
        for each, text, window in zip(documents, whole, seen, strict=True):
            least, most = (place - len(text) + len(each.text) for place in window)
            every = spans(each.text, each.language or "en") if len(texts) < MAX_SENTENCES else []
            cut = [(max(begin, least), min(end, most)) for begin, end in every]
            sentences = [(begin, end) for begin, end in cut if begin < end]
            # The only sentence of a text is never marked: that would say nothing.
            several = [each.text[begin:end] for begin, end in sentences] if len(sentences) > 1 else []
            fits = len(texts) + len(several) <= MAX_SENTENCES
            found.append(sentences if fits else [])
            texts.extend(several if fits else [])
        return cls(found, texts)

    def best(self, scores: Vectors, least: float = MATCH) -> list[tuple[int, int] | None]:
        """Return the span of each document's best sentence, given the scores of :attr:`texts`.

        Of equally good sentences it is the first. A document gets None if no sentence scores ``least``, or if it has
        only one.
        """
        best: list[tuple[int, int] | None] = []
        begin = 0
        for found in self.spans:
            own = scores[begin : begin + len(found)] if len(found) > 1 else scores[:0]
            place = int(np.argmax(own)) if len(own) else None
            best.append(found[place] if place is not None and own[place] >= least else None)
            begin += len(own)
        return best


def sentences_of(hits: Sequence[Hit], encoder: Encoder) -> Sentences:
    """Return the sentences of the first 50 hits that the encoder saw, from which highlights are chosen."""
    return Sentences.of([hit.document for hit in hits[:_MAX_HIGHLIGHTS]], encoder)


def highlighted(
    hits: Sequence[Hit], sentences: Sentences, vectors: Vectors, query: Vectors, language: str, debiasing: Debiasing
) -> tuple[Hit, ...]:
    """Return hits with the spans of their best sentences, where one matches the query.

    ``sentences`` are those of the first hits, from :func:`sentences_of`, and ``vectors`` are theirs. Like that of the
    ``query`` in its ``language``, shape ``[dimension]``, they are plain and are centered here.
    """
    pairs = zip(hits, sentences.spans, strict=False)
    languages = [hit.document.language for hit, found in pairs if len(found) > 1 for _ in found]
    centered = center(debiasing, vectors, languages, "passage")
    spans = sentences.best(centered @ center(debiasing, query[None], [language], "question")[0])
    first = [replace(hit, highlight=span) for hit, span in zip(hits, spans, strict=False)]
    return (*first, *hits[len(first) :])
