"""Watching a run on a dev collection."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot.training.gradient import chunks_of

if TYPE_CHECKING:
    from panglot.data.collection import Collection
    from panglot.encoders.protocol import Side, Vectors
    from panglot.training.checkpoint import Progress
    from panglot.training.encoder import TrainableEncoder
    from panglot.training.settings import Settings

_MEASUREMENTS = 10
SETTINGS = ("monolingual", "crosslingual", "multilingual")


class DevEvaluator:
    """Measures the model in training.

    The score of a model is the mean of its mAP in the settings that the collection allows.

    Args:
        collection: The dev collection.
        settings: How often to measure.
        trainee: The model.
    """

    def __init__(self, collection: Collection, settings: Settings, trainee: TrainableEncoder) -> None:
        self._collection, self._settings, self._trainee = collection, settings, trainee

    def due(self, step: int, before: float, share: float) -> bool:
        """Whether to measure after ``step`` steps, the last of which took the budget from ``before`` to ``share``."""
        if share >= 1:
            return True
        if self._settings.eval_every:
            return step % self._settings.eval_every == 0
        return int(share * _MEASUREMENTS) > int(before * _MEASUREMENTS)

    def measure(self) -> tuple[float, dict[str, Any]]:
        """Return the score; and mAP by setting with the rank distance, and the geometry of the passages.

        The geometry tells whether the model becomes language-agnostic: the accuracy of a linear classifier of
        languages, and the mean cosine of translations beside that of random texts in the same languages.
        """
        from panglot.evaluation.figures import headline
        from panglot.evaluation.geometry import language_classifier, translation_cosines
        from panglot.evaluation.measures import parse
        from panglot.evaluation.ranks import group_numbers

        questions = self._encode(self._collection.questions["text"].to_pylist(), "question")
        passages = self._encode(self._collection.passages["text"].to_pylist(), "passage")
        figures = headline(questions, passages, self._collection, (parse("mAP"),))
        found = {name: figures[f"{name}.mAP"] for name in SETTINGS if f"{name}.mAP" in figures}
        distance = figures.get("multilingual.rank_distance")
        told: dict[str, Any] = {**found, "rank_distance": distance}
        language, group = self._collection.passage_language, group_numbers(self._collection.passages)
        if classified := language_classifier(passages, language, group, seed=0):
            told["language_classifier"], told["chance"] = classified
        if cosines := translation_cosines(passages, language, group, seed=0):
            told["translation_cosine"], told["random_cosine"] = cosines
        return float(np.mean(list(found.values()))), told

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
