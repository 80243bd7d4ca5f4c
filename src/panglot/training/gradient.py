"""The gradient of one batch, however large, over any number of processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

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

    For each question, −log exp(s_p/τ) / (exp(s_p/τ) + Σ over negatives exp(s_n/τ)), mean over its positives p,
    then over questions; other positives are neither rewarded nor punished in p's term. With one positive a row this
    is the usual cross-entropy (1807.03748).

    Args:
        questions: Unit vectors, shape ``[B, d]``.
        passages: Unit vectors, shape ``[P, d]``; the first B answer the questions in order if ``positive`` is None.
        temperature: τ.
        positive: Which passages answer which questions, shape ``[B, P]``.
        ignored: Pairs that are neither positive nor negative, shape ``[B, P]``.
        symmetric: Add the same with the roles of questions and passages exchanged, and halve; passages that answer
            no question of the batch (hard negatives) do not ask.
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
        """Return where each process's share of ``texts`` begins, and the end of the last.

        >>> Processes(3).edges(8)
        [0, 2, 5, 8]
        """
        return [texts * process // self.count for process in range(self.count + 1)]

    def agree(self, values: np.ndarray[Any, Any] | float, device: torch.device) -> np.ndarray[Any, Any]:
        """Return the first process's values on every process, float64.

        Sums in another order, or on another processor, differ in their last bits: what decides how a run goes on must
        be the same everywhere.
        """
        import torch

        mine = np.asarray(values, np.float64)
        if self.count == 1:
            return mine
        shared = torch.from_numpy(mine.copy()).to(device)
        torch.distributed.broadcast(shared, 0)
        return shared.cpu().numpy()


def accumulate(
    trainee: TrainableEncoder, example: Example, settings: Settings, processes: Processes, seed: int
) -> float:
    """Add the gradient of the batch's loss to the parameters' ``.grad`` and return the loss.

    Every process encodes its share, all gather all vectors, take the loss of the whole batch, and send the gradient
    of their own vectors back through the model; the sum over processes is exactly the gradient of the whole batch. A
    batch of more than ``cache_tokens`` tokens keeps no activations: its vectors are computed once without gradient
    and, when the gradient of each vector is known, once more with it, chunk by chunk (GradCache, 2101.06983). Dropout
    is replayed.

    Args:
        trainee: The model; its ``.grad`` are added to.
        example: The whole batch.
        settings: Temperature, symmetry, chunks.
        processes: Who computes which share.
        seed: Seeds dropout; the same on all processes.
    """
    import torch

    rank = processes.rank
    asked, answered = processes.edges(len(example.questions)), processes.edges(len(example.passages))
    mine, ours = slice(asked[rank], asked[rank + 1]), slice(answered[rank], answered[rank + 1])
    texts = [*example.questions[mine], *example.passages[ours]]
    chunks = chunks_of([len(text) for text in texts], settings.chunk_tokens)
    total = sum(map(len, example.questions)) + sum(map(len, example.passages))
    again = total > settings.cache_tokens

    pieces: list[Tensor] = []
    for number, chunk in enumerate(chunks):
        with torch.set_grad_enabled(not again):
            pieces.append(_embed(trainee, texts, chunk, (seed, rank, number)))
    order = torch.from_numpy(np.concatenate([*chunks, np.empty(0, np.int64)])).to(trainee.device)
    own = _placed(pieces, order, len(texts), trainee)
    questions, passages = (
        _gathered(part, sizes, rank).requires_grad_()
        for part, sizes in (
            (own[: mine.stop - mine.start], asked),
            (own[mine.stop - mine.start :], answered),
        )
    )
    loss = info_nce(
        questions,
        passages,
        temperature=settings.temperature,
        positive=torch.from_numpy(example.positive).to(trainee.device),
        ignored=None if example.ignored is None else torch.from_numpy(example.ignored).to(trainee.device),
        symmetric=settings.symmetric,
    )
    loss.backward()
    assert questions.grad is not None
    assert passages.grad is not None
    gradient = torch.cat([questions.grad[mine], passages.grad[ours]])
    if again:
        for number, chunk in enumerate(chunks):
            piece = _embed(trainee, texts, chunk, (seed, rank, number))
            piece.backward(gradient[torch.from_numpy(chunk).to(trainee.device)])
    elif pieces:
        torch.autograd.backward(pieces, list(gradient[order].split([len(chunk) for chunk in chunks])))
    _sum_over_processes(trainee, processes.count)
    return float(loss.detach())


def distil(
    trainee: TrainableEncoder,
    start: TrainableEncoder,
    example: Example,
    settings: Settings,
    processes: Processes,
    seed: int,
) -> float:
    """Add the gradient of a distillation batch to the parameters' ``.grad`` and return its loss.

    The loss is the mean, over the batch's translations and their English texts alike, of 1 − cosine between the
    text's vector and the one that the start gives the English text (2004.09813, whose squared error of unit vectors is
    twice that).

    Args:
        trainee: The model; its ``.grad`` are added to.
        start: The model before training.
        example: Its questions are the translations, its passages the English texts in the same order.
        settings: Chunks.
        processes: Who computes which share.
        seed: Seeds dropout; the same on all processes.
    """
    import torch

    edges = processes.edges(len(example.questions))
    mine = slice(edges[processes.rank], edges[processes.rank + 1])
    english = example.passages[mine]
    texts, count = [*example.questions[mine], *english], 2 * len(example.questions)
    total = torch.zeros((), device=trainee.device)
    if english:
        with torch.no_grad():
            chunks = chunks_of([len(text) for text in english], settings.chunk_tokens)
            pieces = [start.embed([english[i] for i in chunk]) for chunk in chunks]
            order = torch.from_numpy(np.concatenate(chunks)).to(trainee.device)
            target = _placed(pieces, order, len(english), trainee).repeat(2, 1)
        for number, chunk in enumerate(chunks_of([len(text) for text in texts], settings.chunk_tokens)):
            vectors = _embed(trainee, texts, chunk, (seed, processes.rank, number))
            wanted = target[torch.from_numpy(chunk).to(trainee.device)]
            loss = (1 - (vectors * wanted).sum(1)).sum() / count
            loss.backward()
            total += loss.detach()
    _sum_over_processes(trainee, processes.count)
    if processes.count > 1:
        torch.distributed.all_reduce(total)
    return float(total)


def _embed(trainee: TrainableEncoder, texts: Sequence[Tokens], chunk: np.ndarray, seed: tuple[int, int, int]) -> Tensor:
    import torch

    if trainee.model.training:
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1))
    return trainee.embed([texts[i] for i in chunk])


def chunks_of(lengths: Sequence[int], most: int) -> list[np.ndarray]:
    """Group texts by length, each group at most ``most`` tokens unless it is a single text."""
    chunks: list[list[int]] = []
    tokens = most
    for text in np.argsort(lengths, kind="stable"):
        if tokens + lengths[text] > most:
            chunks.append([])
            tokens = 0
        chunks[-1].append(int(text))
        tokens += lengths[text]
    return [np.asarray(chunk, np.int64) for chunk in chunks]


def _placed(pieces: Sequence[Tensor], order: Tensor, texts: int, trainee: TrainableEncoder) -> Tensor:
    import torch

    if not pieces:
        return torch.empty(texts, trainee.dimension, device=trainee.device)
    vectors = torch.cat([piece.detach() for piece in pieces])
    placed = torch.empty_like(vectors)
    placed[order] = vectors
    return placed


def _gathered(part: Tensor, edges: Sequence[int], rank: int) -> Tensor:
    """Return the vectors of all processes in order; this process's are ``part``."""
    import torch

    sizes = [edges[i + 1] - edges[i] for i in range(len(edges) - 1)]
    if len(sizes) == 1:
        return part.clone()
    padded = part.new_zeros(max(sizes), part.shape[1])
    padded[: len(part)] = part
    everyone = [torch.empty_like(padded) for _ in sizes]
    torch.distributed.all_gather(everyone, padded)
    everyone[rank] = padded
    return torch.cat([vectors[:size] for vectors, size in zip(everyone, sizes, strict=True)])


def _sum_over_processes(trainee: TrainableEncoder, processes: int) -> None:
    import torch

    if processes == 1:
        return
    for parameter in trainee.trained.values():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([p.grad.flatten() for p in trainee.trained.values() if p.grad is not None])
    torch.distributed.all_reduce(flat)
    parts = flat.split([p.numel() for p in trainee.trained.values()])
    for parameter, part in zip(trainee.trained.values(), parts, strict=True):
        parameter.grad = part.view_as(parameter)
