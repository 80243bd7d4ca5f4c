"""A second look at the first candidates, by a cross-encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._errors import PanglotError
from panglot.encoders.hub import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from panglot.search.ranked import Candidate

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
                f"no cross-encoder: {reason}", field="reranker", cure="name a folder or a hub model that is one"
            ) from error
        if self._model.num_labels != 1:
            raise PanglotError(
                f"it gives {self._model.num_labels} scores a pair", file=model, field="reranker",
                cure="choose a model that was trained to rank",
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
