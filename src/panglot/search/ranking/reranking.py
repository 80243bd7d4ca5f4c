"""Second looks at what was found: a cross-encoder orders it anew, an encoder finds the best sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._errors import PanglotError
from panglot.data.sentences import spans
from panglot.encoders.open_model import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.search.document import Document, ScoredDocument

DEPTH = 50
"""Candidates that get a second look even if fewer hits are wanted."""


class Reranker:
    """A sentence-transformers ``CrossEncoder`` that gives one score per pair.

    Args:
        model: A folder or a hub name.

    Raises:
        PanglotError: It cannot be opened as a cross-encoder, or it gives several scores.
    """

    def __init__(self, model: str) -> None:
        from sentence_transformers import CrossEncoder

        folder = str(fetch(model))
        try:
            self._model: Any = CrossEncoder(folder)
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise PanglotError(
                f"not a cross-encoder: {reason}",
                field="reranker",
                hint="name the folder or hub name of one",
            ) from error
        if self._model.num_labels != 1:
            raise PanglotError(
                f"a reranker must give one score per pair, this gives {self._model.num_labels}", file=model,
                field="reranker", hint="choose a model that was trained to rank",
            )  # fmt: skip

    def scores(self, query: str, documents: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return how well each document answers the query, higher is better, shape ``[documents]``."""
        if not documents:
            return np.zeros(0)
        pairs = [(query, document) for document in documents]
        return np.asarray(self._model.predict(pairs, show_progress_bar=False), np.float64)


def reranked(ranked: Sequence[ScoredDocument], scores: npt.NDArray[np.float64]) -> list[ScoredDocument]:
    """Return documents in the order of new scores; equal ones keep their order."""
    found = [
        each._replace(score=score, explanation={**each.explanation, "reranker": score})
        for each, score in zip(ranked, scores.tolist(), strict=True)
    ]
    return sorted(found, key=lambda each: -each.score)


def best_sentences(encoder: Encoder, query: Vectors, documents: Sequence[Document]) -> list[tuple[int, int] | None]:
    """Return begin and end, in characters of the text, of each document's sentence nearest to the query.

    Of equally near sentences it is the first. None for a text without any.

    Args:
        encoder: Gives plain vectors.
        query: The plain vector of the query, shape ``[dimension]``.
        documents: What was found.
    """
    sentences = [spans(each.text, each.language or "en") for each in documents]
    # The only sentence of a text is its best, whatever its vector.
    several = [row for row, found in enumerate(sentences) if len(found) > 1]
    texts = [documents[row].text[begin:end] for row in several for begin, end in sentences[row]]
    scores = encoder.encode(texts, "passage") @ query if texts else np.zeros(0, np.float32)
    best: list[tuple[int, int] | None] = [found[0] if found else None for found in sentences]
    start = 0
    for row in several:
        stop = start + len(sentences[row])
        best[row] = sentences[row][int(np.argmax(scores[start:stop]))]
        start = stop
    return best
