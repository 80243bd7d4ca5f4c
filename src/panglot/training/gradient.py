"""The gradient of step k: of one batch or of one batch per objective, of any size, over any number of processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._errors import PanglotError
from panglot.batching.objectives import Mixture
from panglot.batching.plan import Plan
from panglot.batching.policy import Batch
from panglot.batching.table import DISTILL, TrainingTable
from panglot.encoders.open_model import open_model
from panglot.training.aggregation import Aggregator, aggregate, flat_gradient, set_gradient
from panglot.training.data import Collator, Example
from panglot.training.model import MemoryPlan, Tokens, TrainableEncoder, chunks_of
from panglot.training.settings import Settings

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def info_nce(
    questions: Tensor, passages: Tensor, *, temperature: float, positive: Tensor | None = None,
    ignored: Tensor | None = None, symmetric: bool = False,
) -> Tensor:  # fmt: skip
    """Return InfoNCE with in-batch negatives, a scalar.

    For each question, −log exp(s_p/τ) / (exp(s_p/τ) + Σ over negatives exp(s_n/τ)), mean over its positives p, then
    over questions. The other positives do not occur in p's term. With one positive per row this is the usual
    cross-entropy (1807.03748). ``symmetric`` takes the mean with the same loss in which passages choose among
    questions. Passages that answer no question of the batch (hard negatives) do not choose.

    Vectors are unit rows, shapes ``[B, d]`` and ``[P, d]``. ``positive`` marks which passages answer which questions,
    shape ``[B, P]``. By default the first B passages answer the questions in order. ``ignored`` marks pairs that are
    neither positive nor negative.
    """
    import torch

    scores = questions @ passages.T / temperature
    if positive is None:
        positive = torch.eye(*scores.shape, dtype=torch.bool, device=scores.device)
    loss = _one_way(scores, positive, ignored)
    if symmetric:
        asking = positive.any(0)
        back = _one_way(scores.T[asking], positive.T[asking], None if ignored is None else ignored.T[asking])
        loss = (loss + back) / 2
    return loss


def _one_way(scores: Tensor, positive: Tensor, ignored: Tensor | None) -> Tensor:
    import torch
    from torch.nn import functional

    others = positive if ignored is None else positive | ignored
    negatives = torch.logsumexp(scores.masked_fill(others, float("-inf")), dim=1, keepdim=True)
    # −log(e^s / (e^s + e^n)) is softplus(n − s), which does not overflow.
    each = functional.softplus(negatives - scores).masked_fill(~positive, 0.0)
    return (each.sum(1) / positive.sum(1)).mean()


@dataclass(frozen=True)
class Processes:
    """How many processes train together, and which of them this is."""

    count: int = 1
    rank: int = 0

    def edges(self, texts: int) -> list[int]:
        """Return where the share of each process in ``texts`` begins, and where the last one ends.

        >>> Processes(3).edges(8)
        [0, 2, 5, 8]
        """
        return [texts * process // self.count for process in range(self.count + 1)]

    def broadcast(self, values: np.ndarray[Any, Any] | float, device: torch.device) -> np.ndarray[Any, Any]:
        """Return the first process's values on every process, float64.

        Sums in another order, or on another processor, differ in their last bits. Numbers that decide how a run
        continues must be the same everywhere.
        """
        import torch

        own = np.asarray(values, np.float64)
        if self.count == 1:
            return own
        shared = torch.from_numpy(own.copy()).to(device)
        torch.distributed.broadcast(shared, 0)
        return shared.cpu().numpy()

    def any(self, answer: bool, device: torch.device) -> bool:
        """Return whether the answer is yes on any process."""
        return bool(self._largest([int(answer)], device)[0])

    def check_same_step(self, step: int, device: torch.device) -> None:
        """Refuse to go on if the processes continue from different checkpoints."""
        last, first = self._largest([step, -step], device)
        if last != -first:
            problem = f"processes would continue from different steps, {-first} and {last}"
            raise PanglotError(problem, field="output", hint="give all machines one shared run folder")

    def _largest(self, values: list[int], device: torch.device) -> list[int]:
        import torch

        if self.count == 1:
            return values
        shared = torch.tensor(values, device=device)
        torch.distributed.all_reduce(shared, op=torch.distributed.ReduceOp.MAX)
        return shared.tolist()


@dataclass(frozen=True)
class StepResult:
    """What a step did: its loss (of several objectives, their mean), its batches, and further figures for the log."""

    loss: float
    batches: tuple[Batch, ...]
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def pairs(self) -> int:
        """The number of pairs seen."""
        return sum(len(batch.questions) for batch in self.batches)


def make_plan(settings: Settings, sources: Sequence[TrainingTable]) -> Plan | Mixture:
    """Return the plan of a run's batches, or refuse a recipe for which no row is eligible."""
    if settings.mixing == "none":
        return Plan(sources, settings.policy)
    return Mixture(sources, settings.policy, settings.objectives, settings.objectives_per_step)


class StepGradient:
    """``gradient(k)`` leaves the gradient of step k in the encoder's ``.grad``."""

    def __init__(
        self, settings: Settings, plan: Plan | Mixture, collator: Collator, encoder: TrainableEncoder,
        processes: Processes, memory: MemoryPlan,
    ) -> None:  # fmt: skip
        self.sources: tuple[TrainingTable, ...] = plan.sources
        self.processes = processes
        self._settings, self._plan, self._collator, self._encoder = settings, plan, collator, encoder
        self._memory, self._excess = memory, ""
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
        self._excess = ""
        if isinstance(self._plan, Plan):
            batch = self._plan(k)
            loss = self._backward(batch, 0)
            return StepResult(loss, (batch,), self._metrics())
        assert self._aggregator is not None
        batches = self._plan(k)
        losses = [lambda b=batch, i=index: self._backward(b, i) for index, batch in batches.items()]
        device = self._encoder.device
        mixed = aggregate(list(self._encoder.trained.values()), losses, self._aggregator, list(batches), k,
                          self._settings.output, lambda values: self.processes.broadcast(values, device))  # fmt: skip
        metrics: dict[str, Any] = {"objectives": [], **self._metrics()}
        for (index, batch), loss, weight in zip(batches.items(), mixed.losses, mixed.weights.tolist(), strict=True):
            name, source = self._plan.objectives[index].name, self.sources[batch.source].name
            metrics["objectives"].append({"name": name, "loss": loss, "weight": weight, "source": source})
        if mixed.diagnosis is not None:
            figures, norms = mixed.diagnosis
            for objective, norm in zip(metrics["objectives"], norms.tolist(), strict=True):
                objective["norm"] = norm
            metrics |= figures
        if mixed.fallback:
            metrics["fallback"] = mixed.fallback
        return StepResult(float(np.mean(mixed.losses)), tuple(batches.values()), metrics)

    def _backward(self, batch: Batch, index: int) -> float:
        example = self._collator(batch)
        # Every objective of every step has its own dropout.
        seed = (self._settings.seed * 1_000_003 + batch.step) * 16_411 + index
        if batch.kind in DISTILL:
            assert self._start is not None
            return distill(self._encoder, self._start, example, self._settings, self.processes, seed)
        sides = [(texts, self.processes.edges(len(texts))) for texts in (example.questions, example.passages)]
        shares = [
            [len(text) for texts, edges in sides for text in texts[edges[rank] : edges[rank + 1]]]
            for rank in range(self.processes.count)
        ]
        excess = self._memory.excess(shares, self._settings.chunk_tokens)
        self._excess = self._excess or excess
        return backward(self._encoder, example, self._settings, self.processes, seed, cached=bool(excess))

    def _metrics(self) -> dict[str, Any]:
        return {**self._collator.metrics(), **({"gradcache": self._excess} if self._excess else {})}


def backward(
    encoder: TrainableEncoder, example: Example, settings: Settings, processes: Processes, seed: int, *,
    cached: bool = False,
) -> float:  # fmt: skip
    """Add the gradient of the batch's loss to the parameters' ``.grad`` and return the loss.

    Every process encodes its share. All processes gather all vectors, compute the loss of the whole batch, and send the
    gradient of their own vectors back through the model. The sum over processes is exactly the gradient of the whole
    batch. If it is ``cached``, no activations are kept. The vectors are computed once without gradient, and once more
    with gradient, chunk by chunk, when the gradient of each vector is known (GradCache, 2101.06983). Dropout
    is replayed, so ``seed`` is the same on all processes.
    """
    import torch

    rank, device = processes.rank, encoder.device
    edges = [processes.edges(len(texts)) for texts in (example.questions, example.passages)]
    own_questions, own_passages = (slice(*each[rank : rank + 2]) for each in edges)
    texts = [*example.questions[own_questions], *example.passages[own_passages]]
    chunks = chunks_of([len(text) for text in texts], settings.chunk_tokens)
    with torch.set_grad_enabled(not cached):
        pieces = [_embed(encoder, texts, chunk, (seed, rank, number)) for number, chunk in enumerate(chunks)]
    order = torch.from_numpy(np.concatenate([*chunks, np.empty(0, np.int64)])).to(device)
    own = _in_order(pieces, order, len(texts), encoder)
    count = own_questions.stop - own_questions.start
    questions = _gather(own[:count], edges[0], rank).requires_grad_()
    passages = _gather(own[count:], edges[1], rank).requires_grad_()
    positive = torch.from_numpy(example.positive).to(device)
    ignored = None if example.ignored is None else torch.from_numpy(example.ignored).to(device)
    loss = info_nce(questions, passages, temperature=settings.temperature, positive=positive, ignored=ignored,
                    symmetric=settings.symmetric)  # fmt: skip
    loss.backward()
    assert questions.grad is not None
    assert passages.grad is not None
    gradient = torch.cat([questions.grad[own_questions], passages.grad[own_passages]])
    if cached:
        for number, chunk in enumerate(chunks):
            piece = _embed(encoder, texts, chunk, (seed, rank, number))
            piece.backward(gradient[torch.from_numpy(chunk).to(device)])
    elif pieces:
        torch.autograd.backward(pieces, list(gradient[order].split([len(chunk) for chunk in chunks])))
    _sum_over_processes(encoder, processes.count)
    return float(loss.detach())


def distill(
    encoder: TrainableEncoder, start: TrainableEncoder, example: Example, settings: Settings, processes: Processes,
    seed: int,
) -> float:  # fmt: skip
    """Add the gradient of a distillation batch to the parameters' ``.grad`` and return its loss.

    The loss is the mean of 1 − cosine between a text's vector and the vector that the model before training (``start``)
    has for the English text, over the batch's translations (its questions) and their English texts (its passages)
    alike. 2004.09813 has the squared error of unit vectors, which is twice that.
    """
    import torch

    edges = processes.edges(len(example.questions))
    own = slice(*edges[processes.rank : processes.rank + 2])
    english = example.passages[own]
    texts, count = [*example.questions[own], *english], 2 * len(example.questions)
    total = torch.zeros((), device=encoder.device)
    if english:
        with torch.no_grad():
            chunks = chunks_of([len(text) for text in english], settings.chunk_tokens)
            pieces = [start.embed([english[i] for i in chunk]) for chunk in chunks]
            order = torch.from_numpy(np.concatenate(chunks)).to(encoder.device)
            target = _in_order(pieces, order, len(english), encoder).repeat(2, 1)
        for number, chunk in enumerate(chunks_of([len(text) for text in texts], settings.chunk_tokens)):
            vectors = _embed(encoder, texts, chunk, (seed, processes.rank, number))
            goal = target[torch.from_numpy(chunk).to(encoder.device)]
            loss = (1 - (vectors * goal).sum(1)).sum() / count
            loss.backward()
            total += loss.detach()
    _sum_over_processes(encoder, processes.count)
    if processes.count > 1:
        torch.distributed.all_reduce(total)
    return float(total)


def _embed(encoder: TrainableEncoder, texts: Sequence[Tokens], chunk: np.ndarray, seed: tuple[int, int, int]) -> Tensor:
    import torch

    # Seeded per chunk, so that GradCache's second pass drops the same units as the first.
    if encoder.model.training:
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1))
    return encoder.embed([texts[i] for i in chunk])


def _in_order(pieces: Sequence[Tensor], order: Tensor, texts: int, encoder: TrainableEncoder) -> Tensor:
    import torch

    # A process can have no text if there are fewer texts than processes.
    if not pieces:
        return torch.empty(texts, encoder.dimension, device=encoder.device)
    vectors = torch.cat([piece.detach() for piece in pieces])
    ordered = torch.empty_like(vectors)
    ordered[order] = vectors
    return ordered


def _gather(part: Tensor, edges: Sequence[int], rank: int) -> Tensor:
    """Return the vectors of all processes in order, of which ``part`` are those of this process."""
    import torch

    sizes = np.diff(edges).tolist()
    if len(sizes) == 1:
        return part.clone()
    # all_gather takes tensors of one size.
    padded = part.new_zeros(max(sizes), part.shape[1])
    padded[: len(part)] = part
    parts = [torch.empty_like(padded) for _ in sizes]
    torch.distributed.all_gather(parts, padded)
    parts[rank] = padded
    return torch.cat([vectors[:size] for vectors, size in zip(parts, sizes, strict=True)])


def _sum_over_processes(encoder: TrainableEncoder, processes: int) -> None:
    import torch

    if processes > 1:
        parameters = list(encoder.trained.values())
        total = flat_gradient(parameters)
        torch.distributed.all_reduce(total)
        set_gradient(parameters, total)
