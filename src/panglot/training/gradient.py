"""The gradient of one batch, of any size and over any number of processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._errors import PanglotError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from panglot.training.data import Example
    from panglot.training.encoder import Tokens, TrainableEncoder
    from panglot.training.settings import Settings


def info_nce(
    questions: Tensor,
    passages: Tensor,
    *,
    temperature: float,
    positive: Tensor | None = None,
    ignored: Tensor | None = None,
    symmetric: bool = False,
) -> Tensor:
    """Return InfoNCE with in-batch negatives, a scalar.

    For each question, −log exp(s_p/τ) / (exp(s_p/τ) + Σ over negatives exp(s_n/τ)), mean over its positives p, then
    over questions. The other positives do not occur in p's term. With one positive per row this is the usual
    cross-entropy (1807.03748).

    Args:
        questions: Unit vectors, shape ``[B, d]``.
        passages: Unit vectors, shape ``[P, d]``. If ``positive`` is None, the first B answer the questions in order.
        temperature: τ.
        positive: Which passages answer which questions, shape ``[B, P]``.
        ignored: Pairs that are neither positive nor negative, shape ``[B, P]``.
        symmetric: Take the mean with the same loss in which passages choose among questions. Passages that answer no
            question of the batch (hard negatives) do not choose.
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
        import torch

        if self.count == 1:
            return answer
        flag = torch.tensor([float(answer)], device=device)
        torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
        return bool(flag.item())

    def check_same_step(self, step: int, device: torch.device) -> None:
        """Check that all processes continue from one checkpoint.

        Raises:
            PanglotError: They do not.
        """
        import torch

        if self.count == 1:
            return
        ends = torch.tensor([step, -step], device=device)
        torch.distributed.all_reduce(ends, op=torch.distributed.ReduceOp.MAX)
        if int(ends[0]) != -int(ends[1]):
            raise PanglotError(
                f"processes would continue from different steps, {-int(ends[1])} and {int(ends[0])}",
                field="output",
                hint="give all machines one shared run folder",
            )


def backward(encoder: TrainableEncoder, example: Example, settings: Settings, processes: Processes, seed: int) -> float:
    """Add the gradient of the batch's loss to the parameters' ``.grad`` and return the loss.

    Every process encodes its share. All processes gather all vectors, compute the loss of the whole batch, and send the
    gradient of their own vectors back through the model. The sum over processes is exactly the gradient of the whole
    batch. A batch of more than ``cache_tokens`` tokens keeps no activations. Its vectors are computed once without
    gradient, and once more with gradient, chunk by chunk, when the gradient of each vector is known (GradCache,
    2101.06983). Dropout is replayed.

    Args:
        encoder: The model, whose ``.grad`` are added to.
        example: The whole batch.
        settings: Temperature, symmetry, chunks.
        processes: The processes that share the batch.
        seed: Seeds dropout; the same on all processes.
    """
    import torch

    rank = processes.rank
    question_edges, passage_edges = processes.edges(len(example.questions)), processes.edges(len(example.passages))
    own_questions = slice(*question_edges[rank : rank + 2])
    own_passages = slice(*passage_edges[rank : rank + 2])
    texts = [*example.questions[own_questions], *example.passages[own_passages]]
    chunks = chunks_of([len(text) for text in texts], settings.chunk_tokens)
    total = sum(map(len, example.questions)) + sum(map(len, example.passages))
    # Without room for activations, each chunk is encoded twice.
    cached = total > settings.cache_tokens

    pieces: list[Tensor] = []
    for number, chunk in enumerate(chunks):
        with torch.set_grad_enabled(not cached):
            pieces.append(_embed(encoder, texts, chunk, (seed, rank, number)))
    order = torch.from_numpy(np.concatenate([*chunks, np.empty(0, np.int64)])).to(encoder.device)
    own = _in_order(pieces, order, len(texts), encoder)
    count = own_questions.stop - own_questions.start
    questions = _gather(own[:count], question_edges, rank).requires_grad_()
    passages = _gather(own[count:], passage_edges, rank).requires_grad_()
    loss = info_nce(
        questions,
        passages,
        temperature=settings.temperature,
        positive=torch.from_numpy(example.positive).to(encoder.device),
        ignored=None if example.ignored is None else torch.from_numpy(example.ignored).to(encoder.device),
        symmetric=settings.symmetric,
    )
    loss.backward()
    assert questions.grad is not None
    assert passages.grad is not None
    gradient = torch.cat([questions.grad[own_questions], passages.grad[own_passages]])
    if cached:
        for number, chunk in enumerate(chunks):
            piece = _embed(encoder, texts, chunk, (seed, rank, number))
            piece.backward(gradient[torch.from_numpy(chunk).to(encoder.device)])
    elif pieces:
        torch.autograd.backward(pieces, list(gradient[order].split([len(chunk) for chunk in chunks])))
    _sum_over_processes(encoder, processes.count)
    return float(loss.detach())


def distill(
    encoder: TrainableEncoder,
    start: TrainableEncoder,
    example: Example,
    settings: Settings,
    processes: Processes,
    seed: int,
) -> float:
    """Add the gradient of a distillation batch to the parameters' ``.grad`` and return its loss.

    The loss is the mean of 1 − cosine between a text's vector and the vector that the start has for the English text,
    over the batch's translations and their English texts alike (2004.09813, whose squared error of unit vectors is
    twice that).

    Args:
        encoder: The model, whose ``.grad`` are added to.
        start: The model before training.
        example: Its questions are the translations, and its passages the English texts in the same order.
        settings: Chunks.
        processes: The processes that share the batch.
        seed: Seeds dropout; the same on all processes.
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

    if encoder.model.training:
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1))
    return encoder.embed([texts[i] for i in chunk])


def chunks_of(lengths: Sequence[int], most: int) -> list[np.ndarray]:
    """Group texts by length, with at most ``most`` tokens per group unless it is a single text."""
    chunks: list[list[int]] = []
    tokens = most
    for text in np.argsort(lengths, kind="stable"):
        if tokens + lengths[text] > most:
            chunks.append([])
            tokens = 0
        chunks[-1].append(int(text))
        tokens += lengths[text]
    return [np.asarray(chunk, np.int64) for chunk in chunks]


def _in_order(pieces: Sequence[Tensor], order: Tensor, texts: int, encoder: TrainableEncoder) -> Tensor:
    import torch

    if not pieces:
        return torch.empty(texts, encoder.dimension, device=encoder.device)
    vectors = torch.cat([piece.detach() for piece in pieces])
    ordered = torch.empty_like(vectors)
    ordered[order] = vectors
    return ordered


def _gather(part: Tensor, edges: Sequence[int], rank: int) -> Tensor:
    """Return the vectors of all processes in order, of which ``part`` are those of this process."""
    import torch

    sizes = [edges[i + 1] - edges[i] for i in range(len(edges) - 1)]
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

    if processes == 1:
        return
    for parameter in encoder.trained.values():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([p.grad.flatten() for p in encoder.trained.values() if p.grad is not None])
    torch.distributed.all_reduce(flat)
    parts = flat.split([p.numel() for p in encoder.trained.values()])
    for parameter, part in zip(encoder.trained.values(), parts, strict=True):
        parameter.grad = part.view_as(parameter)
