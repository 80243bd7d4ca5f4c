"""The gradient of step k: of one batch, or of one batch per objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot.batching.batch import Batch
from panglot.batching.objectives import Mixture
from panglot.batching.plan import Plan
from panglot.batching.policy import DISTILL
from panglot.batching.table import TrainingTable
from panglot.encoders.open_model import open_model
from panglot.training.aggregation import Aggregator, aggregate
from panglot.training.encoder import TrainableEncoder
from panglot.training.gradient import Processes, backward, distill

if TYPE_CHECKING:
    from panglot.training.data import Collator
    from panglot.training.settings import Settings


@dataclass(frozen=True)
class StepResult:
    """What a step did.

    Attributes:
        loss: The loss; of several objectives, their mean.
        batches: The batches that were trained on.
        metrics: Further figures for the log.
    """

    loss: float
    batches: tuple[Batch, ...]
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def pairs(self) -> int:
        """The number of pairs seen."""
        return sum(len(batch.questions) for batch in self.batches)


def make_plan(settings: Settings, sources: Sequence[TrainingTable]) -> Plan | Mixture:
    """Return the plan of a run's batches.

    Raises:
        PanglotError: No row is eligible for the batches of the recipe.
    """
    if settings.mixing == "none":
        return Plan(sources, settings.policy)
    return Mixture(sources, settings.policy, settings.objectives, settings.objectives_per_step)


class StepGradient:
    """``gradient(k)`` leaves the gradient of step k in the encoder's ``.grad``.

    Args:
        settings: The recipe.
        plan: The batches of its steps.
        collator: Makes token ids of batches.
        encoder: The model.
        processes: The processes that share each batch.

    Raises:
        PanglotError: What the way of mixing needs is not installed.
    """

    def __init__(
        self,
        settings: Settings,
        plan: Plan | Mixture,
        collator: Collator,
        encoder: TrainableEncoder,
        processes: Processes,
    ) -> None:
        self.sources: tuple[TrainingTable, ...] = plan.sources
        self._settings, self._collator, self._encoder, self.processes = settings, collator, encoder, processes
        self._plan = plan
        self._aggregator: Aggregator | None = None
        self._start: TrainableEncoder | None = None
        if isinstance(plan, Mixture):
            weights = [objective.weight for objective in plan.objectives]
            self._aggregator = Aggregator(settings.mixing, weights, settings.seed)
            if any(objective.name == "distill" for objective in plan.objectives):
                self._start = TrainableEncoder(open_model(settings.model, encoder.device)[0], settings, encoder.device)
                self._start.share_embeddings(encoder)
                self._start.model.eval()

    @property
    def memory(self) -> np.ndarray[Any, Any]:
        """What the way of mixing remembers from step to step; empty for most."""
        return self._aggregator.memory if self._aggregator else np.zeros((0, 0))

    @memory.setter
    def memory(self, memory: np.ndarray[Any, Any]) -> None:
        if self._aggregator is not None:
            self._aggregator.memory = memory

    def __call__(self, k: int) -> StepResult:
        """Leave the gradient of step ``k``, counted from 0."""
        if isinstance(self._plan, Plan):
            batch = self._plan(k)
            return StepResult(self._backward(batch, 0), (batch,), self._collator.metrics())
        assert self._aggregator is not None
        batches = self._plan(k)
        losses = [lambda b=batch, i=index: self._backward(b, i) for index, batch in batches.items()]
        device = self._encoder.device
        mixed = aggregate(list(self._encoder.trained.values()), losses, self._aggregator, list(batches), k,
                          self._settings.output, lambda values: self.processes.broadcast(values, device))  # fmt: skip
        metrics: dict[str, Any] = {"objectives": [], **self._collator.metrics()}
        for place, (index, batch) in enumerate(batches.items()):
            objective: dict[str, Any] = {
                "name": self._plan.objectives[index].name,
                "loss": mixed.losses[place],
                "weight": float(mixed.weights[place]),
                "source": self.sources[batch.source].name,
            }
            if mixed.diagnosis is not None:
                objective["norm"] = float(mixed.diagnosis.norms[place])
            metrics["objectives"].append(objective)
        if mixed.diagnosis is not None:
            metrics["cosine"] = mixed.diagnosis.cosine
            metrics["lowest_cosine"] = mixed.diagnosis.lowest
            metrics["conflicts"] = mixed.diagnosis.conflicts
        return StepResult(float(np.mean(mixed.losses)), tuple(batches.values()), metrics)

    def _backward(self, batch: Batch, index: int) -> float:
        example = self._collator(batch)
        # Every objective of every step has its own dropout.
        seed = (self._settings.seed * 1_000_003 + batch.step) * 16_411 + index
        if batch.kind in DISTILL:
            assert self._start is not None
            return distill(self._encoder, self._start, example, self._settings, self.processes, seed)
        return backward(self._encoder, example, self._settings, self.processes, seed)
