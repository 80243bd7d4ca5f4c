"""Gradient mixing: from the gradients of several objectives to one update.

Every way needs only the Gramian of the gradients, ``G[i, j] = g_i · g_j``, to find weights; the update is then one
weighted sum. The conflict-aware ways are those of TorchJD.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from panglot._errors import PanglotError
from panglot._files import explain_write
from panglot.training.gradient import Processes

if TYPE_CHECKING:
    from torch import Tensor, nn

Mixing = Literal[
    "none", "mean", "sum", "weighted", "pcgrad", "gradvac", "cagrad", "mgda", "imtl-g", "aligned-mtl", "nash-mtl",
    "upgrad", "fairgrad",
]  # fmt: skip
#: The ways whose weights do not depend on the gradients.
FIXED = ("mean", "sum", "weighted")
#: What some ways need beside TorchJD itself; all of it comes with the extra ``mixing``.
_NEEDS = {
    "cagrad": ("cvxpy", "clarabel"),
    "nash-mtl": ("cvxpy", "ecos"),
    "upgrad": ("qpsolvers", "quadprog"),
    "fairgrad": ("scipy",),
}


def require(way: Mixing) -> None:
    """Check that what a way needs is installed.

    Raises:
        PanglotError: It is not.
    """
    needed = () if way in (*FIXED, "none") else ("torchjd", *_NEEDS.get(way, ()))
    if missing := [name for name in needed if find_spec(name) is None]:
        raise PanglotError(
            f"{way} needs {', '.join(missing)}", field="mixing", hint="pip install 'panglot[mixing]', or choose mean"
        )


class Aggregator:
    """Weights of a step's objectives.

    ``mean``, ``sum`` and ``weighted`` (a mean by the objectives' own weights) are standard gradient mixing. PCGrad
    (2001.06782) and GradVac (2010.05874, β = .01) give the mean of the corrected gradients; CAGrad (2110.14048) has
    c = .5; MGDA, IMTL-G, Aligned-MTL (2305.19000), UPGrad (2406.16232) and FairGrad (2402.15638, α = 2) are as in
    their papers; Nash-MTL (2202.01017) solves G w = 1/w, so that its update has norm √K (where the solver finds no
    solution, as with parallel gradients, its weights are equal).

    GradVac lifts a pair's cosine to its running mean, which starts at 0: as long as a pair has met seldom, in short
    runs or where few objectives are drawn of many, that is nearly PCGrad. After n meetings the mean has gone 1 − .99^n
    of its way: a tenth after 10, two thirds after 100.

    Args:
        way: The way; not ``none``.
        weights: Of all objectives, for ``weighted``.
        seed: PCGrad and GradVac visit objectives in random order; keyed by the seed and the step.

    Raises:
        PanglotError: What the way needs is not installed.
    """

    def __init__(self, way: Mixing, weights: Sequence[float], seed: int) -> None:
        require(way)
        self._way: Mixing = way
        self._own = np.asarray(weights, np.float64)
        self._seed = seed
        #: GradVac's running mean of the cosine of every two objectives, shape ``[K, K]``; empty for other ways.
        self.memory = np.zeros((len(weights),) * 2 if way == "gradvac" else (0, 0))

    def fixed(self, drawn: Sequence[int]) -> np.ndarray[Any, Any] | None:
        """Return the weights of the drawn objectives, shape ``[K]``, if they can be told before the gradients."""
        if self._way == "mean":
            return np.full(len(drawn), 1 / len(drawn))
        if self._way == "sum":
            return np.ones(len(drawn))
        if self._way == "weighted":
            # Over the draws of a few, each objective keeps its share on average.
            return self._own[list(drawn)] * len(self._own) / (len(drawn) * self._own.sum())
        return None

    def weights(self, gramian: np.ndarray[Any, Any], drawn: Sequence[int], step: int) -> np.ndarray[Any, Any]:
        """Return the weights of the drawn objectives, shape ``[K]``.

        Args:
            gramian: Inner products of their gradients, shape ``[K, K]``.
            drawn: Their numbers among all objectives.
            step: The step.
        """
        if (known := self.fixed(drawn)) is not None:
            return known
        import torch

        # In double precision, and scaled so that the methods' small constants are small beside it.
        scale = float(np.trace(gramian)) / len(gramian) or 1.0
        normal = torch.from_numpy(gramian / scale)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed * 1_000_003 + step)
            if self._way == "gradvac":
                return self._vaccine(normal, drawn)
            try:
                return _WAYS[self._way](normal, scale)
            except Exception as error:
                # Each solver has errors of its own kind.
                raise PanglotError(
                    f"{self._way} found no weights in step {step + 1}: {error}",
                    field="mixing",
                    hint="choose mean or pcgrad, in a new run folder",
                ) from error

    def _vaccine(self, normal: Tensor, drawn: Sequence[int]) -> np.ndarray[Any, Any]:
        import torch
        from torchjd.aggregation import GradVacWeighting

        weighting = GradVacWeighting(beta=0.01)
        weighting._ensure_state(len(drawn), normal.dtype)
        place = np.ix_(drawn, drawn)
        weighting._phi_t = torch.from_numpy(self.memory[place])
        weights = weighting(normal).numpy() / len(drawn)
        self.memory[place] = weighting._phi_t.numpy()
        return weights


def _plain(name: str, *arguments: Any, mean: bool = False) -> Callable[[Tensor, float], np.ndarray[Any, Any]]:
    """Return a way of TorchJD that takes the Gramian and does not depend on its scale."""

    def weights(normal: Tensor, _: float) -> np.ndarray[Any, Any]:
        from torchjd import aggregation

        found = getattr(aggregation, f"{name}Weighting")(*arguments)(normal).numpy()
        return found / len(found) if mean else found

    return weights


def _nash(normal: Tensor, scale: float) -> np.ndarray[Any, Any]:
    import torch
    from torchjd.aggregation import NashMTL

    # It wants gradients and not their Gramian: any matrix with that Gramian serves. Made anew for every step, it
    # starts from equal weights, so that a resumed run does what an unbroken one does.
    values, vectors = torch.linalg.eigh(normal)
    gradients = vectors * values.clamp(min=0).sqrt()
    found = NashMTL(len(normal), max_norm=0.0).weighting(gradients).numpy()
    return found / np.sqrt(scale)


def _upgrad(normal: Tensor, _: float) -> np.ndarray[Any, Any]:
    from torchjd.aggregation import UPGradWeighting
    from torchjd.linalg import QuadprogProjector

    # The sums are in double precision: less is needed on the diagonal than the 1e-4 that is there for single.
    return UPGradWeighting(projector=QuadprogProjector(reg_eps=1e-6))(normal).numpy()


def _fair(normal: Tensor, scale: float) -> np.ndarray[Any, Any]:
    from torchjd.aggregation import FairGradWeighting

    # In G w = w^(-1/2), s times the Gramian makes s^(-2/3) times the weights.
    return FairGradWeighting(alpha=2.0)(normal).numpy() * scale ** (-2 / 3)


_WAYS: Mapping[str, Callable[[Tensor, float], np.ndarray[Any, Any]]] = {
    "pcgrad": _plain("PCGrad", mean=True),
    "cagrad": _plain("CAGrad", 0.5),
    "mgda": _plain("MGDA"),
    "imtl-g": _plain("IMTLG"),
    "aligned-mtl": _plain("AlignedMTL"),
    "upgrad": _upgrad,
    "nash-mtl": _nash,
    "fairgrad": _fair,
}


@dataclass(frozen=True)
class Diagnosis:
    """How the objectives' gradients of a step lie.

    Attributes:
        cosine: Mean cosine over pairs of objectives.
        lowest: The lowest.
        conflicts: Share of the pairs with a negative cosine.
        norms: Norm of each objective's gradient, shape ``[K]``.
    """

    cosine: float
    lowest: float
    conflicts: float
    norms: np.ndarray[Any, Any]


def diagnose(gramian: np.ndarray[Any, Any]) -> Diagnosis:
    """Return what a Gramian of two or more gradients tells.

    >>> diagnose(np.array([[4.0, -2.0], [-2.0, 4.0]]))
    Diagnosis(cosine=-0.5, lowest=-0.5, conflicts=1.0, norms=array([2., 2.]))
    """
    norms = np.sqrt(np.diag(gramian))
    cosines = gramian / np.maximum(np.outer(norms, norms), 1e-30)
    pairs = cosines[np.triu_indices(len(gramian), 1)]
    return Diagnosis(float(pairs.mean()), float(pairs.min()), float((pairs < 0).mean()), norms)


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
    mixer: Aggregator,
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
