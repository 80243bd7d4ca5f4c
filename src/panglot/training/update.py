"""The gradient of step k, whatever it is made of: one batch, or one of every objective."""

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
from panglot.training.aggregation import Aggregator, mix
from panglot.training.encoder import TrainableEncoder
from panglot.training.gradient import Processes, accumulate, distil

if TYPE_CHECKING:
    from panglot.training.data import Collator
    from panglot.training.settings import Settings


@dataclass(frozen=True)
class StepResult:
    """What a step did.

    Attributes:
        loss: Its loss; of several objectives, their mean.
        batches: What met in it.
        told: What the log says beside.
    """

    loss: float
    batches: tuple[Batch, ...]
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def pairs(self) -> int:
        """Pairs seen."""
        return sum(len(batch.questions) for batch in self.batches)


def plan_of(settings: Settings, sources: Sequence[TrainingTable]) -> Plan | Mixture:
    """Return what the steps of a run are made of.

    Raises:
        PanglotError: No row serves what the recipe wants.
    """
    if settings.mixing == "none":
        return Plan(sources, settings.policy)
    return Mixture(sources, settings.policy, settings.objectives, settings.objectives_per_step)


class Update:
    """``update(k)`` leaves the gradient of step k in the trainee's ``.grad``.

    Args:
        settings: The recipe.
        plan: What its steps are made of.
        tokenized: The training texts.
        trainee: The model.
        processes: Who computes which share.

    Raises:
        PanglotError: The way of mixing is not installed.
    """

    def __init__(
        self,
        settings: Settings,
        plan: Plan | Mixture,
        tokenized: Collator,
        trainee: TrainableEncoder,
        processes: Processes,
    ) -> None:
        self.sources: tuple[TrainingTable, ...] = plan.sources
        self._settings, self._tokenized, self._trainee, self.processes = settings, tokenized, trainee, processes
        self._plan = plan
        self._mixer: Aggregator | None = None
        self._start: TrainableEncoder | None = None
        if isinstance(plan, Mixture):
            self._mixer = Aggregator(
                settings.mixing, [objective.weight for objective in plan.objectives], settings.seed
            )
            if any(objective.name == "distill" for objective in plan.objectives):
                self._start = TrainableEncoder(open_model(settings.model, trainee.device)[0], settings, trainee.device)
                self._start.lend_words(trainee)
                self._start.model.eval()

    @property
    def memory(self) -> np.ndarray[Any, Any]:
        """What the way of mixing remembers from step to step; empty for most."""
        return self._mixer.memory if self._mixer else np.zeros((0, 0))

    @memory.setter
    def memory(self, kept: np.ndarray[Any, Any]) -> None:
        if self._mixer is not None:
            self._mixer.memory = kept

    def __call__(self, k: int) -> StepResult:
        """Leave the gradient of step ``k``, counted from 0."""
        if isinstance(self._plan, Plan):
            batch = self._plan(k)
            return StepResult(self._gradient(batch, 0), (batch,), self._tokenized.told())
        assert self._mixer is not None
        batches = self._plan(k)
        losses = [lambda b=batch, i=index: self._gradient(b, i) for index, batch in batches.items()]
        mixed = mix(list(self._trainee.trained.values()), losses, self._mixer, list(batches), k,
                    self._settings.output, self.processes)  # fmt: skip
        told: dict[str, Any] = {"objectives": [], **self._tokenized.told()}
        for place, (index, batch) in enumerate(batches.items()):
            about: dict[str, Any] = {
                "name": self._plan.objectives[index].name,
                "loss": mixed.losses[place],
                "weight": float(mixed.weights[place]),
                "source": self.sources[batch.source].name,
            }
            if mixed.diagnosis is not None:
                about["norm"] = float(mixed.diagnosis.norms[place])
            told["objectives"].append(about)
        if mixed.diagnosis is not None:
            told["cosine"] = mixed.diagnosis.cosine
            told["lowest_cosine"] = mixed.diagnosis.lowest
            told["conflicts"] = mixed.diagnosis.conflicts
        return StepResult(float(np.mean(mixed.losses)), tuple(batches.values()), told)

    def _gradient(self, batch: Batch, index: int) -> float:
        example = self._tokenized.example(batch)
        seed = (self._settings.seed * 1_000_003 + batch.step) * 16_411 + index
        if batch.kind in DISTILL:
            assert self._start is not None
            return distil(self._trainee, self._start, example, self._settings, self.processes, seed)
        return accumulate(self._trainee, example, self._settings, self.processes, seed)
