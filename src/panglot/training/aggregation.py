"""Gradient mixing: from the gradients of several objectives to one update.

Every way finds weights from the Gramian of the gradients, ``G[i, j] = g_i · g_j``. The update is then one weighted sum.
GradVac, Nash-MTL and FairGrad are solved here, the other conflict-aware ways by TorchJD.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from panglot._environment import require
from panglot._errors import PanglotError
from panglot._files import explain_write
from panglot.training.gradient_weights import INEXACT, fair_weights, gradvac

if TYPE_CHECKING:
    from torch import Tensor, nn

Mixing = Literal[
    "none", "mean", "sum", "weighted", "pcgrad", "gradvac", "cagrad", "mgda", "imtl-g", "aligned-mtl", "nash-mtl",
    "upgrad", "fairgrad",
]  # fmt: skip
Array = np.ndarray[Any, Any]
_Method = Callable[["Tensor"], Array]
#: The methods whose weights do not depend on the gradients.
FIXED = ("mean", "sum", "weighted")
#: Packages that some methods need in addition to TorchJD. All of them come with the extra ``mixing``.
_NEEDS = {"cagrad": ("cvxpy", "clarabel"), "upgrad": ("qpsolvers", "quadprog")}
#: α in G w = w^(−1/α), by the methods that solve this equation.
_ALPHA = {"nash-mtl": 1.0, "fairgrad": 2.0}
#: With these, an objective without a gradient would stop the update or have an infinite weight.
_WITHOUT_ZEROS = ("cagrad", "mgda", "imtl-g", *_ALPHA)
#: A gradient is zero if its norm is below this share of the largest norm.
_ZERO = 1e-7


def require_method(method: Mixing) -> None:
    """Refuse a method whose packages are not installed."""
    needed = () if method in (*FIXED, *_ALPHA, "gradvac", "none") else ("torchjd", *_NEEDS.get(method, ()))
    require(method, *needed, extra="mixing", field="mixing", otherwise="choose mean")


class Aggregator:
    """Finds the weights of a step's objectives.

    ``mean``, ``sum`` and ``weighted`` (a mean by the objectives' own weights) are standard gradient mixing. PCGrad
    (2001.06782) and GradVac (2010.05874, β = .01) give the mean of the corrected gradients. CAGrad (2110.14048) has
    c = .5. MGDA, IMTL-G, Aligned-MTL (2305.19000), UPGrad (2406.16232) and FairGrad (2402.15638, α = 2) are as in their
    papers. Nash-MTL (2202.01017) solves G w = 1/w, so that its update has norm √K.

    Parallel gradients are no special case for the last two. If gradients cancel out, so that no direction improves
    every objective, their equations have no solution, and the update is nearly zero. If all gradients are zero, the
    weights are equal. If some are zero, CAGrad, MGDA, IMTL-G, Nash-MTL and FairGrad weigh the others. Whenever weights
    are not what a method's formula says, :attr:`fallback` has the reason, which goes to the log.

    GradVac lifts the cosine of a pair to its running mean, which starts at 0. As long as a pair has rarely met, in
    short runs or if few of many objectives are drawn, that is nearly PCGrad. After n meetings the mean has covered 1 −
    .99^n of its way: a tenth after 10, two thirds after 100.

    ``weights`` are those of all objectives, for ``weighted``. The seed and the step seed the order in which PCGrad and
    GradVac visit objectives.
    """

    def __init__(self, method: Mixing, weights: Sequence[float], seed: int) -> None:
        require_method(method)
        self._method: Mixing = method
        self._own = np.asarray(weights, np.float64)
        self._seed = seed
        #: GradVac's running mean of the cosine of every two objectives, shape ``[K, K]``; empty for other ways.
        self.memory = np.zeros((len(weights),) * 2 if method == "gradvac" else (0, 0))
        #: Why the last weights are not what the method's formula says, else an empty text.
        self.fallback = ""

    def fixed(self, drawn: Sequence[int]) -> Array | None:
        """Return the weights of the drawn objectives, shape ``[K]``, if they do not depend on the gradients."""
        if self._method == "mean":
            return np.full(len(drawn), 1 / len(drawn))
        if self._method == "sum":
            return np.ones(len(drawn))
        if self._method == "weighted":
            # If only a few are drawn per step, each objective still has its share on average.
            return self._own[list(drawn)] * len(self._own) / (len(drawn) * self._own.sum())
        return None

    def weights(self, gramian: Array, drawn: Sequence[int], step: int) -> Array:
        """Return the weights of the drawn objectives, shape ``[K]``, and set :attr:`fallback`.

        ``gramian`` has the inner products of their gradients, shape ``[K, K]``, and ``drawn`` their numbers among all.

        Raises:
            PanglotError: The Gramian has NaN or infinity, or the method's solver fails.
        """
        self.fallback = ""
        if (fixed := self.fixed(drawn)) is not None:
            return fixed
        if not np.isfinite(gramian).all():
            problem = f"the inner products of the gradients of step {step + 1} are not finite"
            raise PanglotError(problem, field="mixing", hint="lower learning_rate, or set precision to fp32")
        norms = np.sqrt(np.diag(gramian).clip(min=0))
        if not norms.any():
            self.fallback = "all gradients are zero, so the weights are equal"
            return np.full(len(drawn), 1 / len(drawn))
        used = np.flatnonzero(norms > _ZERO * norms.max())
        zeros = len(norms) - len(used)
        if self._method not in _WITHOUT_ZEROS:
            used, zeros = np.arange(len(norms)), 0
        weights = np.zeros(len(norms))
        weights[used], self.fallback = self._solve(gramian[np.ix_(used, used)], [drawn[i] for i in used.tolist()], step)
        if zeros:
            self.fallback = "; ".join(filter(None, (f"weight 0 for {zeros} zero gradients", self.fallback)))
        return weights

    def _solve(self, gramian: Array, drawn: Sequence[int], step: int) -> tuple[Array, str]:
        """Return weights, and why they are not what the method's formula says."""
        import torch

        if self._method in _ALPHA:
            return fair_weights(gramian, _ALPHA[self._method])
        # In double precision, and scaled so that the methods' small constants are small in comparison.
        normal = gramian / (float(np.trace(gramian)) / len(gramian))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed * 1_000_003 + step)
            if self._method == "gradvac":
                place = np.ix_(drawn, drawn)
                weights, self.memory[place] = gradvac(normal, self.memory[place])
                return weights, ""
            try:
                weights = _METHODS[self._method](torch.from_numpy(normal))
            except Exception as error:
                # Each solver raises its own kinds of errors.
                problem = f"{self._method} found no weights in step {step + 1}: {error}"
                hint = "choose mean or pcgrad, in a new run folder"
                raise PanglotError(problem, field="mixing", hint=hint) from error
        if not weights.any():
            return weights, "the gradients cancel out, so the update is zero"
        if self._method == "mgda":
            # The least-norm point has no gradient along which it could be shortened.
            square = float(weights @ normal @ weights)
            if square - float((normal @ weights).min()) > max(INEXACT * square, INEXACT**2):
                return weights, "the search for the least norm stopped early"
        return weights, ""


def _torchjd(name: str, mean: bool = False, **options: Any) -> _Method:
    """Return a method of TorchJD that takes the Gramian and does not depend on its scale."""

    def weights(normal: Tensor) -> Array:
        from torchjd import aggregation

        found = getattr(aggregation, f"{name}Weighting")(**options)(normal).numpy()
        return found / len(found) if mean else found

    return weights


def _upgrad(normal: Tensor) -> Array:
    import torch
    from torchjd.aggregation import UPGradWeighting
    from torchjd.linalg import QuadprogProjector

    # The dual cone depends on directions alone, and the projection of s g is s times that of g. Of unit gradients, what
    # is added to the diagonal is as small for short gradients as for long ones.
    norms = normal.diagonal().sqrt()
    unit = torch.where(norms > 0, norms, 1.0)
    # The default of 1e-4 on the diagonal is for single precision. Sums are in double precision here and need less.
    ways = UPGradWeighting(norms / len(norms), QuadprogProjector(reg_eps=1e-6))
    return (ways(normal / torch.outer(unit, unit)) / unit).numpy()


_METHODS: Mapping[str, _Method] = {
    "pcgrad": _torchjd("PCGrad", mean=True), "cagrad": _torchjd("CAGrad", c=0.5),
    # The default of 100 steps stops far from the least norm if there are dozens of objectives.
    "mgda": _torchjd("MGDA", epsilon=1e-4, max_iters=1000),
    "imtl-g": _torchjd("IMTLG"), "aligned-mtl": _torchjd("AlignedMTL"), "upgrad": _upgrad,
}  # fmt: skip


def diagnose(gramian: Array) -> tuple[dict[str, float], Array]:
    """Return how two or more gradients relate, as the log says it, and their norms, shape ``[K]``.

    Over the pairs of gradients, these are the mean and the lowest cosine, and the share of those with a negative one.

    >>> diagnose(np.array([[4.0, -2.0], [-2.0, 4.0]]))
    ({'cosine': -0.5, 'lowest_cosine': -0.5, 'conflicts': 1.0}, array([2., 2.]))
    """
    norms = np.sqrt(np.diag(gramian))
    cosines = gramian / np.maximum(np.outer(norms, norms), 1e-30)
    pairs = cosines[np.triu_indices(len(gramian), 1)]
    figures = {"cosine": pairs.mean(), "lowest_cosine": pairs.min(), "conflicts": (pairs < 0).mean()}
    return {name: float(figure) for name, figure in figures.items()}, norms


#: Gradients up to this size are held in memory, larger ones in an unnamed file that the system pages in and out.
_HELD_BYTES = 2**31
#: Up to that many objectives are diagnosed even if their weights are fixed and need no Gramian.
_DIAGNOSED = 8
#: Columns of the gradients that are read at a time.
_COLUMNS = 2**18


@dataclass(frozen=True)
class Aggregation:
    """Loss and weight of each objective, shape ``[K]``, and what :func:`diagnose` says if the gradients were held.

    ``fallback`` is why the weights are not what the method's formula says, else an empty text.
    """

    losses: list[float]
    weights: Array
    diagnosis: tuple[dict[str, float], Array] | None
    fallback: str = ""


def aggregate(
    parameters: Sequence[nn.Parameter], losses: Sequence[Callable[[], float]], aggregator: Aggregator,
    drawn: Sequence[int], k: int, folder: Path | None = None, broadcast: Callable[[Array], Array] = np.asarray,
) -> Aggregation:  # fmt: skip
    """Leave the combined gradient of several objectives in the parameters' ``.grad``.

    With fixed weights and many objectives, only one gradient is held in addition to the sum. Otherwise all gradients of
    the step are held for their Gramian. Word embeddings are not among them unless they are trained.

    Holding gradients is the cheapest way to the Gramian. With room for only B of a step's K gradients, each would be
    computed some K/2B times, which takes seconds, while writing and reading it takes a fraction of a second. Inner
    products of a layer's gradients can be computed from its inputs and outputs, but that is cheaper only if a batch has
    fewer tokens than the layer has rows.

    ``losses`` has one function per drawn objective that adds its gradient to ``.grad`` and returns its loss. Gradients
    that are too large for memory go to ``folder``, by default the system's temporary folder. ``broadcast`` returns the
    first process's values on all processes, which then have equal weights.
    """
    known = aggregator.fixed(drawn)
    if known is not None and len(drawn) > _DIAGNOSED:
        total = flat_gradient(parameters).zero_()
        found: list[float] = []
        for weight, loss in zip(known, losses, strict=True):
            found.append(_alone(parameters, loss))
            total.add_(flat_gradient(parameters), alpha=float(weight))
        set_gradient(parameters, total)
        return Aggregation(found, known, None)
    size = sum(parameter.numel() for parameter in parameters)
    held = _room(len(drawn), size, parameters[0], folder)
    found = []
    for row, loss in zip(held, losses, strict=True):
        found.append(_alone(parameters, loss))
        row.copy_(flat_gradient(parameters))
    device = parameters[0].device
    gramian = broadcast(gramian_of(held))
    # Solvers treat NaN each in its own way, or not at all. The loop stops the run when it sees NaN weights' gradient.
    finite = bool(np.isfinite(gramian).all())
    weights = broadcast(aggregator.weights(gramian, drawn, k) if finite else np.full(len(drawn), np.nan))
    set_gradient(parameters, _combination(held, weights).to(device))
    return Aggregation(found, weights, diagnose(gramian), aggregator.fallback if finite else "")


def gramian_of(held: Tensor) -> Array:
    """Return the inner products of the rows, shape ``[K, K]``, float64, reading some columns at a time."""
    import torch

    total = torch.zeros(len(held), len(held), dtype=torch.float64)
    for part in held.split(_COLUMNS, dim=1):
        total += (part @ part.T).double().cpu()
    return total.numpy()


def _combination(held: Tensor, weights: Array) -> Tensor:
    """Return the weighted sum of the rows, shape ``[n]``."""
    import torch

    factors = torch.from_numpy(np.asarray(weights)).to(held.device, held.dtype)
    return torch.cat([factors @ part for part in held.split(_COLUMNS, dim=1)])


def held_bytes(method: Mixing, objectives: int, size: int) -> int:
    """Return the memory that mixing needs for gradients of ``size`` numbers, beside those in ``.grad``."""
    rows = 0 if (method in FIXED and objectives > _DIAGNOSED) or objectives * size * 4 > _HELD_BYTES else objectives
    # Beside the rows there are the sum and one more gradient as a flat copy.
    return (rows + 2) * size * 4


def _room(rows: int, size: int, like: nn.Parameter, folder: Path | None) -> Tensor:
    import torch

    if rows * size * 4 <= _HELD_BYTES:
        return torch.empty(rows, size, device=like.device)
    place = folder or Path(tempfile.gettempdir())
    with explain_write(place), tempfile.TemporaryFile(dir=place) as file:
        # Space is reserved now, because a mapping that finds none when it is written to kills the process. It is freed
        # with the mapping.
        os.posix_fallocate(file.fileno(), 0, rows * size * 4)
        return torch.from_numpy(np.memmap(file, np.float32, "w+", shape=(rows, size)))


def _alone(parameters: Sequence[nn.Parameter], loss: Callable[[], float]) -> float:
    for parameter in parameters:
        parameter.grad = None
    return loss()


def flat_gradient(parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return the gradients of all parameters in one vector, with zeros for a parameter without one."""
    import torch

    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])


def set_gradient(parameters: Sequence[nn.Parameter], flat: Tensor) -> None:
    """Undo :func:`flat_gradient`."""
    for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = part.view_as(parameter)
