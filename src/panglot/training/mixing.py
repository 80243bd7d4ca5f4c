"""Gradient mixing: from the gradients of several objectives to one update.

Every way needs only the Gramian of the gradients, ``G[i, j] = g_i · g_j``, to find weights; the update is then one
weighted sum. The conflict-aware ways are those of TorchJD.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from panglot._errors import PanglotError

if TYPE_CHECKING:
    from torch import Tensor

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
            f"{way} needs {', '.join(missing)}", field="mixing", cure="pip install 'panglot[mixing]', or choose mean"
        )


class Mixer:
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
                    cure="choose mean or pcgrad, in a new run folder",
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
