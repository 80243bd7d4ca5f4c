"""Take a second look at what was found: a cross-encoder orders it anew, an encoder finds the best sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._errors import PanglotError, first_line
from panglot.data.sentences import spans
from panglot.encoders.open_model import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.search.document import Document, ScoredDocument

DEPTH = 50  # Candidates that get a second look even if fewer hits are wanted.


class Reranker:
    """A sentence-transformers ``CrossEncoder``, by folder or hub name, that gives one score per pair."""

    def __init__(self, model: str) -> None:
        from sentence_transformers import CrossEncoder

        folder = str(fetch(model))
        try:
            self._model: Any = CrossEncoder(folder)
        except (OSError, ValueError, KeyError) as error:
            problem = f"not a cross-encoder: {first_line(error)}"
            raise PanglotError(problem, field="reranker", hint="name the folder or hub name of one") from error
        if self._model.num_labels != 1:
            problem = f"a reranker must give one score per pair, this gives {self._model.num_labels}"
            hint = "choose a model that was trained to rank"
            raise PanglotError(problem, file=model, field="reranker", hint=hint)

    def scores(self, query: str, documents: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return how well each document answers the query, higher is better, shape ``[documents]``."""
        if not documents:
            return np.zeros(0)
        pairs = [(query, document) for document in documents]
        return np.asarray(self._model.predict(pairs, show_progress_bar=False), np.float64)


def reranked(ranked: Sequence[ScoredDocument], scores: npt.NDArray[np.float64]) -> list[ScoredDocument]:
    """Return documents in the order of new scores. Equal ones keep their order."""
    found = [
        each._replace(score=score, explanation={**each.explanation, "reranker": score})
        for each, score in zip(ranked, scores.tolist(), strict=True)
    ]
    return sorted(found, key=lambda each: -each.score)


def best_sentences(encoder: Encoder, query: Vectors, documents: Sequence[Document]) -> list[tuple[int, int] | None]:
    """Return begin and end, in characters of the text, of each document's sentence nearest to the query.

    ``query`` is a plain vector. Of equally near sentences it is the first. A text without any gets None.
    """
    sentences = [spans(each.text, each.language or "en") for each in documents]
    # The only sentence of a text is its best, whatever its vector.
    several = [row for row, found in enumerate(sentences) if len(found) > 1]
    texts = [documents[row].text[begin:end] for row in several for begin, end in sentences[row]]
    scores = encoder.encode(texts, "passage") @ query if texts else np.zeros(0, np.float32)
    best: list[tuple[int, int] | None] = [found[0] if found else None for found in sentences]
    ends = np.cumsum([len(sentences[row]) for row in several])[:-1]
    for row, found in zip(several, np.split(scores, ends), strict=False):
        best[row] = sentences[row][int(np.argmax(found))]
    return best
