"""The gradients of a step's objectives: each computed alone, held while they are needed, and combined."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._files import explain_write
from panglot.training.gradient import Processes
from panglot.training.mixing import Diagnosis, Mixer, diagnose

if TYPE_CHECKING:
    from torch import Tensor, nn

_HELD_BYTES = 2**31
"""Gradients up to this size are held in memory, larger ones in an unnamed file that the system pages in and out."""
_WATCHED = 8
"""So many objectives are diagnosed even where their weights are known beforehand and need no Gramian."""
_COLUMNS = 2**18


@dataclass(frozen=True)
class Mixed:
    """What a step of mixing did.

    Attributes:
        losses: The loss of each objective, shape ``[K]``.
        weights: The weight of each objective's gradient, shape ``[K]``.
        diagnosis: How the gradients lie, if they were held.
    """

    losses: list[float]
    weights: np.ndarray[Any, Any]
    diagnosis: Diagnosis | None


def mix(
    parameters: Sequence[nn.Parameter],
    losses: Sequence[Callable[[], float]],
    mixer: Mixer,
    drawn: Sequence[int],
    k: int,
    folder: Path | None = None,
    processes: Processes = Processes(),  # noqa: B008  (frozen)
) -> Mixed:
    """Leave the combined gradient of several objectives in the parameters' ``.grad``.

    With weights that are known beforehand, one gradient is held beside the sum, however many objectives there are;
    otherwise as many as there are, for their Gramian. Word embeddings are no part of them unless they are trained.

    Holding is the cheap way to the Gramian. With room for B gradients only, the K of a step would be computed some K/2B
    times over, each for seconds, where to write one down and read it again takes a fraction of one; and the inner
    products of a layer from its inputs and outputs alone cost less than its gradient only where a batch has fewer
    tokens than a layer has rows.

    Args:
        parameters: What is trained.
        losses: One function per drawn objective that adds its gradient to ``.grad`` and returns its loss.
        mixer: Finds the weights.
        drawn: The numbers of the objectives.
        k: The step.
        folder: Where gradients go that are too large for memory; by default the system's place for such files.
        processes: All of them combine by the first one's Gramian and weights.

    Raises:
        PanglotError: There is no room for them.
    """
    known = mixer.fixed(drawn)
    if known is not None and len(drawn) > _WATCHED:
        total = _flat(parameters).zero_()
        found: list[float] = []
        for weight, loss in zip(known, losses, strict=True):
            found.append(_alone(parameters, loss))
            total.add_(_flat(parameters), alpha=float(weight))
        _put(parameters, total)
        return Mixed(found, known, None)
    size = sum(parameter.numel() for parameter in parameters)
    held = _room(len(drawn), size, parameters[0], folder)
    found = []
    for row, loss in zip(held, losses, strict=True):
        found.append(_alone(parameters, loss))
        row.copy_(_flat(parameters))
    device = parameters[0].device
    gramian = processes.agree(gramian_of(held), device)
    # Solvers fail on what is no number in their own ways, or not at all.
    finite = bool(np.isfinite(gramian).all())
    weights = mixer.weights(gramian, drawn, k) if finite else np.full(len(drawn), np.nan)
    weights = processes.agree(weights, device)
    _put(parameters, combination(held, weights).to(device))
    return Mixed(found, weights, diagnose(gramian))


def gramian_of(held: Tensor) -> np.ndarray[Any, Any]:
    """Return the inner products of the rows, shape ``[K, K]``, float64, reading some columns at a time."""
    import torch

    total = torch.zeros(len(held), len(held), dtype=torch.float64)
    for part in held.split(_COLUMNS, dim=1):
        total += (part @ part.T).double().cpu()
    return total.numpy()


def combination(held: Tensor, weights: np.ndarray[Any, Any]) -> Tensor:
    """Return the weighted sum of the rows, shape ``[n]``."""
    import torch

    factors = torch.from_numpy(np.asarray(weights)).to(held.device, held.dtype)
    return torch.cat([factors @ part for part in held.split(_COLUMNS, dim=1)])


def _room(rows: int, size: int, like: nn.Parameter, folder: Path | None) -> Tensor:
    import torch

    if rows * size * 4 <= _HELD_BYTES:
        return torch.empty(rows, size, device=like.device)
    place = folder or Path(tempfile.gettempdir())
    with explain_write(place), tempfile.TemporaryFile(dir=place) as file:  # its space lives as long as the mapping
        # Taken now: a mapping that finds no room when it is written to kills the process.
        os.posix_fallocate(file.fileno(), 0, rows * size * 4)
        return torch.from_numpy(np.memmap(file, np.float32, "w+", shape=(rows, size)))


def _alone(parameters: Sequence[nn.Parameter], loss: Callable[[], float]) -> float:
    for parameter in parameters:
        parameter.grad = None
    return loss()


def _flat(parameters: Sequence[nn.Parameter]) -> Tensor:
    import torch

    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])


def _put(parameters: Sequence[nn.Parameter], flat: Tensor) -> None:
    for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = part.view_as(parameter)
