"""Gradient mixing: from the gradients of several objectives to one update.

Every way finds weights from the Gramian of the gradients, ``G[i, j] = g_i · g_j``. The update is then one weighted sum.
The conflict-aware ways are those of TorchJD.
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

if TYPE_CHECKING:
    from torch import Tensor, nn

Mixing = Literal[
    "none", "mean", "sum", "weighted", "pcgrad", "gradvac", "cagrad", "mgda", "imtl-g", "aligned-mtl", "nash-mtl",
    "upgrad", "fairgrad",
]  # fmt: skip
Array = np.ndarray[Any, Any]
_Method = Callable[["Tensor", float], Array]
#: The methods whose weights do not depend on the gradients.
FIXED = ("mean", "sum", "weighted")
#: Packages that some methods need in addition to TorchJD. All of them come with the extra ``mixing``.
_NEEDS = {
    "cagrad": ("cvxpy", "clarabel"), "nash-mtl": ("cvxpy", "ecos"), "upgrad": ("qpsolvers", "quadprog"),
    "fairgrad": ("scipy",),
}  # fmt: skip


def require_method(method: Mixing) -> None:
    """Refuse a method whose packages are not installed."""
    needed = () if method in (*FIXED, "none") else ("torchjd", *_NEEDS.get(method, ()))
    require(method, *needed, extra="mixing", field="mixing", otherwise="choose mean")


class Aggregator:
    """Finds the weights of a step's objectives.

    ``mean``, ``sum`` and ``weighted`` (a mean by the objectives' own weights) are standard gradient mixing. PCGrad
    (2001.06782) and GradVac (2010.05874, β = .01) give the mean of the corrected gradients. CAGrad (2110.14048) has
    c = .5. MGDA, IMTL-G, Aligned-MTL (2305.19000), UPGrad (2406.16232) and FairGrad (2402.15638, α = 2) are as in their
    papers. Nash-MTL (2202.01017) solves G w = 1/w, so that its update has norm √K. If the solver finds no solution, as
    with parallel gradients, the weights are equal.

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
        """Return the weights of the drawn objectives, shape ``[K]``, or report that the method's solver fails.

        ``gramian`` has the inner products of their gradients, shape ``[K, K]``, and ``drawn`` their numbers among all.
        """
        if (fixed := self.fixed(drawn)) is not None:
            return fixed
        import torch

        # In double precision, and scaled so that the methods' small constants are small in comparison.
        scale = float(np.trace(gramian)) / len(gramian) or 1.0
        normal = torch.from_numpy(gramian / scale)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed * 1_000_003 + step)
            if self._method == "gradvac":
                return self._gradvac(normal, drawn)
            try:
                return _METHODS[self._method](normal, scale)
            except Exception as error:
                # Each solver raises its own kinds of errors.
                problem = f"{self._method} found no weights in step {step + 1}: {error}"
                hint = "choose mean or pcgrad, in a new run folder"
                raise PanglotError(problem, field="mixing", hint=hint) from error

    def _gradvac(self, normal: Tensor, drawn: Sequence[int]) -> Array:
        import torch
        from torchjd.aggregation import GradVacWeighting

        # TorchJD has no public access to this state, which checkpoints hold and of which a step may draw only a part.
        weighting = GradVacWeighting(beta=0.01)
        weighting._ensure_state(len(drawn), normal.dtype)
        place = np.ix_(drawn, drawn)
        weighting._phi_t = torch.from_numpy(self.memory[place])
        weights = weighting(normal).numpy() / len(drawn)
        self.memory[place] = weighting._phi_t.numpy()
        return weights


def _plain(name: str, *arguments: Any, mean: bool = False) -> _Method:
    """Return a method of TorchJD that takes the Gramian and does not depend on its scale."""

    def weights(normal: Tensor, _: float) -> Array:
        from torchjd import aggregation

        found = getattr(aggregation, f"{name}Weighting")(*arguments)(normal).numpy()
        return found / len(found) if mean else found

    return weights


def _nash(normal: Tensor, scale: float) -> Array:
    import torch
    from torchjd.aggregation import NashMTL

    # It takes gradients instead of their Gramian, so it gets a matrix with that Gramian. It is made anew in every step
    # and so starts from equal weights, as a run must that may be resumed.
    values, vectors = torch.linalg.eigh(normal)
    gradients = vectors * values.clamp(min=0).sqrt()
    found = NashMTL(len(normal), max_norm=0.0).weighting(gradients).numpy()
    return found / np.sqrt(scale)


def _upgrad(normal: Tensor, _: float) -> Array:
    from torchjd.aggregation import UPGradWeighting
    from torchjd.linalg import QuadprogProjector

    # The default of 1e-4 on the diagonal is for single precision. Sums are in double precision here and need less.
    return UPGradWeighting(projector=QuadprogProjector(reg_eps=1e-6))(normal).numpy()


def _fair(normal: Tensor, scale: float) -> Array:
    from torchjd.aggregation import FairGradWeighting

    # In G w = w^(-1/2), s times the Gramian makes s^(-2/3) times the weights.
    return FairGradWeighting(alpha=2.0)(normal).numpy() * scale ** (-2 / 3)


_METHODS: Mapping[str, _Method] = {
    "pcgrad": _plain("PCGrad", mean=True), "cagrad": _plain("CAGrad", 0.5), "mgda": _plain("MGDA"),
    "imtl-g": _plain("IMTLG"), "aligned-mtl": _plain("AlignedMTL"), "upgrad": _upgrad, "nash-mtl": _nash,
    "fairgrad": _fair,
}  # fmt: skip


@dataclass(frozen=True)
class Diagnosis:
    """How the gradients of a step's objectives relate.

    ``cosine`` is the mean over pairs of objectives, ``lowest`` the lowest one, ``conflicts`` the share of pairs with a
    negative one. ``norms`` has the shape ``[K]``.
    """

    cosine: float
    lowest: float
    conflicts: float
    norms: Array


def diagnose(gramian: Array) -> Diagnosis:
    """Return cosines, conflicts and norms of two or more gradients, given their Gramian.

    >>> diagnose(np.array([[4.0, -2.0], [-2.0, 4.0]]))
    Diagnosis(cosine=-0.5, lowest=-0.5, conflicts=1.0, norms=array([2., 2.]))
    """
    norms = np.sqrt(np.diag(gramian))
    cosines = gramian / np.maximum(np.outer(norms, norms), 1e-30)
    pairs = cosines[np.triu_indices(len(gramian), 1)]
    return Diagnosis(float(pairs.mean()), float(pairs.min()), float((pairs < 0).mean()), norms)


#: Gradients up to this size are held in memory, larger ones in an unnamed file that the system pages in and out.
_HELD_BYTES = 2**31
#: Up to that many objectives are diagnosed even if their weights are fixed and need no Gramian.
_DIAGNOSED = 8
#: Columns of the gradients that are read at a time.
_COLUMNS = 2**18


@dataclass(frozen=True)
class Aggregation:
    """Loss and weight of each objective, shape ``[K]``, and how the gradients relate, if they were held."""

    losses: list[float]
    weights: Array
    diagnosis: Diagnosis | None


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
    set_gradient(parameters, combination(held, weights).to(device))
    return Aggregation(found, weights, diagnose(gramian))


def gramian_of(held: Tensor) -> Array:
    """Return the inner products of the rows, shape ``[K, K]``, float64, reading some columns at a time."""
    import torch

    total = torch.zeros(len(held), len(held), dtype=torch.float64)
    for part in held.split(_COLUMNS, dim=1):
        total += (part @ part.T).double().cpu()
    return total.numpy()


def combination(held: Tensor, weights: Array) -> Tensor:
    """Return the weighted sum of the rows, shape ``[n]``."""
    import torch

    factors = torch.from_numpy(np.asarray(weights)).to(held.device, held.dtype)
    return torch.cat([factors @ part for part in held.split(_COLUMNS, dim=1)])


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
