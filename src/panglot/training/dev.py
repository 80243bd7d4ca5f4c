"""Watching a run on a dev collection."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot.training.gradient import chunks_of

if TYPE_CHECKING:
    from panglot.corpus.collection import Collection
    from panglot.encoders.protocol import Side, Vectors
    from panglot.training.checkpoint import Progress
    from panglot.training.settings import Settings
    from panglot.training.trainee import Trainee

_MEASUREMENTS = 10
SETTINGS = ("monolingual", "crosslingual", "multilingual")


class Watch:
    """Measures the model in training.

    The score of a model is the mean of its mAP in the settings that the collection allows.

    Args:
        collection: The dev collection.
        settings: How often to measure.
        trainee: The model.
    """

    def __init__(self, collection: Collection, settings: Settings, trainee: Trainee) -> None:
        self._collection, self._settings, self._trainee = collection, settings, trainee

    def due(self, progress: Progress, share: float) -> bool:
        """Whether to measure after this step, the share ``share`` of the budget being spent."""
        if share >= 1:
            return True
        if self._settings.dev_every:
            return progress.step % self._settings.dev_every == 0
        before = self._settings.progress(progress.step - 1, progress.pairs - self._settings.batch_size)
        return int(share * _MEASUREMENTS) > int(before * _MEASUREMENTS)

    def measure(self) -> tuple[float, dict[str, Any]]:
        """Return the score, and mAP by setting with the rank distance."""
        from panglot.evaluation.figures import headline
        from panglot.evaluation.measures import parse

        questions = self._encode(self._collection.questions["text"].to_pylist(), "question")
        passages = self._encode(self._collection.passages["text"].to_pylist(), "passage")
        figures = headline(questions, passages, self._collection, (parse("mAP"),))
        found = {name: figures[f"{name}.mAP"] for name in SETTINGS if f"{name}.mAP" in figures}
        distance = figures.get("multilingual.rank_distance")
        return float(np.mean(list(found.values()))), {**found, "rank_distance": distance}

    @staticmethod
    def judge(progress: Progress, score: float) -> tuple[bool, Progress]:
        """Return whether ``score`` is the best so far, and the progress that remembers it."""
        if progress.best is None or score > progress.best:
            return True, replace(progress, best=score, best_step=progress.step, waited=0)
        return False, replace(progress, waited=progress.waited + 1)

    def _encode(self, texts: list[str], side: Side) -> Vectors:
        import torch

        distinct = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        tokens = self._trainee.tokenize(list(distinct), side)
        vectors = np.empty((len(tokens), self._trainee.dimension), np.float32)
        mode = self._trainee.model.training
        self._trainee.model.eval()
        with torch.inference_mode():
            for chunk in chunks_of([len(text) for text in tokens], self._settings.chunk_tokens):
                vectors[chunk] = self._trainee.embed([tokens[i] for i in chunk]).cpu().numpy()
        self._trainee.model.train(mode)
        return vectors[[distinct[text] for text in texts]]
