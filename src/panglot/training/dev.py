"""Measuring a run on a dev collection while it trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from panglot.data.collection import Collection
from panglot.encoders.protocol import Side, Vectors
from panglot.training.memory import chunks_of
from panglot.training.model import TrainableEncoder
from panglot.training.run import Progress
from panglot.training.settings import Settings

# Per run, if nobody says how often.
_MEASUREMENTS = 10


class DevEvaluator:
    """Measures the model in training on a dev collection.

    The score of a model is its mean mAP over the settings that the collection supports.
    """

    def __init__(self, collection: Collection, settings: Settings, encoder: TrainableEncoder) -> None:
        self._collection, self._settings, self._encoder = collection, settings, LiveEncoder(encoder, settings)

    def due(self, step: int, before: float, share: float) -> bool:
        """Whether to measure after ``step`` steps, the last of which used the budget from ``before`` to ``share``."""
        if share >= 1:
            return True
        if self._settings.eval_every:
            return step % self._settings.eval_every == 0
        return int(share * _MEASUREMENTS) > int(before * _MEASUREMENTS)

    def measure(self) -> tuple[float, dict[str, Any]]:
        """Return the score, and metrics: mAP per setting, rank distance, and the geometry of the passages.

        The geometry shows whether the model becomes language-agnostic. It has the accuracy of a linear classifier of
        languages, and the mean cosine of translations beside that of random texts in the same languages.
        """
        from panglot.evaluation.evaluate import encode
        from panglot.evaluation.figures import SETTINGS, headline
        from panglot.evaluation.geometry import language_classifier, translation_cosines
        from panglot.evaluation.measures import parse
        from panglot.evaluation.ranks import group_numbers

        questions, passages = encode(self._encoder, self._collection)
        figures = headline(questions, passages, self._collection, (parse("mAP"),))
        found = {name: figures[f"{name}.mAP"] for name in SETTINGS if f"{name}.mAP" in figures}
        metrics: dict[str, Any] = {**found, "rank_distance": figures.get("multilingual.rank_distance")}
        language, group = self._collection.passage_language, group_numbers(self._collection.passages)
        if classified := language_classifier(passages, language, group, seed=0):
            metrics["language_classifier"], metrics["chance"] = classified
        if cosines := translation_cosines(passages, language, group, seed=0):
            metrics["translation_cosine"], metrics["random_cosine"] = cosines
        return float(np.mean(list(found.values()))), metrics

    @staticmethod
    def early_stopping(progress: Progress, score: float) -> tuple[bool, Progress]:
        """Return whether ``score`` is the best so far, and the progress with the best score and the patience used."""
        if progress.best is None or score > progress.best:
            return True, replace(progress, best=score, best_step=progress.step, waited=0)
        return False, replace(progress, waited=progress.waited + 1)


class LiveEncoder:
    """Encodes with a model in training as it is at the moment."""

    def __init__(self, encoder: TrainableEncoder, settings: Settings) -> None:
        self.name = self.fingerprint = "the model in training"
        self._encoder, self._chunk_tokens = encoder, settings.chunk_tokens

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:  # noqa: ARG002
        """Return one unit-length row per text, shape ``[texts, dimension]``, float32."""
        import torch

        tokens = self._encoder.tokenize(texts, side)
        vectors = np.empty((len(tokens), self._encoder.dimension), np.float32)
        mode = self._encoder.model.training  # Restored at the end, or dropout would be off for the rest of the run.
        self._encoder.model.eval()
        with torch.inference_mode():
            for chunk in chunks_of([len(text) for text in tokens], self._chunk_tokens):
                vectors[chunk] = self._encoder.embed([tokens[i] for i in chunk]).cpu().numpy()
        self._encoder.model.train(mode)
        return vectors
