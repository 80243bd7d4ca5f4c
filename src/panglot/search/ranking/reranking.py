"""A second look at the first candidates, by a cross-encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._errors import PanglotError
from panglot.data.sentences import spans
from panglot.encoders.hub import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.search.document import Document
    from panglot.search.ranking.candidates import Candidate

DEPTH = 50
"""Candidates that are looked at, if fewer hits are wanted."""


class Reranker:
    """Any sentence-transformers ``CrossEncoder`` that gives one score a pair.

    Args:
        model: A folder or a hub name.

    Raises:
        PanglotError: There is none, or it gives several scores.
    """

    def __init__(self, model: str) -> None:
        from sentence_transformers import CrossEncoder

        folder = str(fetch(model))
        try:
            self._model: Any = CrossEncoder(folder)
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise PanglotError(
                f"no cross-encoder: {reason}", field="reranker", hint="name a folder or a hub model that is one"
            ) from error
        if self._model.num_labels != 1:
            raise PanglotError(
                f"it gives {self._model.num_labels} scores a pair", file=model, field="reranker",
                hint="choose a model that was trained to rank",
            )  # fmt: skip

    def scores(self, question: str, passages: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return how well each passage answers, higher is better, shape ``[passages]``."""
        if not passages:
            return np.zeros(0)
        pairs = [(question, passage) for passage in passages]
        return np.asarray(self._model.predict(pairs, show_progress_bar=False), np.float64)


def reranked(candidates: Sequence[Candidate], scores: npt.NDArray[np.float64]) -> list[Candidate]:
    """Return candidates in the order of new scores; equal ones keep their order."""
    found = [
        each._replace(score=float(score), why={**each.why, "reranker": float(score)})
        for each, score in zip(candidates, scores, strict=True)
    ]
    return sorted(found, key=lambda each: -each.score)


def best_sentences(encoder: Encoder, question: Vectors, documents: Sequence[Document]) -> list[tuple[int, int] | None]:
    """Return begin and end, in characters of the text, of each document's sentence nearest to the question.

    Of equal ones it is the first; a text of one sentence is not encoded. None for a text without any.

    Args:
        encoder: Gives plain vectors.
        question: The question's vector.
        documents: What was found.
    """
    sentences = [spans(each.text, each.language or "en") for each in documents]
    asked = [row for row, found in enumerate(sentences) if len(found) > 1]
    texts = [documents[row].text[begin:end] for row in asked for begin, end in sentences[row]]
    scores = encoder.encode(texts, "passage") @ question if texts else np.zeros(0, np.float32)
    best: list[tuple[int, int] | None] = [found[0] if found else None for found in sentences]
    at = 0
    for row in asked:
        mine = scores[at : at + len(sentences[row])]
        best[row] = sentences[row][int(np.argmax(mine))]
        at += len(mine)
    return best
