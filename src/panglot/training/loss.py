"""The contrastive loss of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


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
