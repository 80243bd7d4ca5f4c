"""Find the weights of gradient mixing by Nash-MTL, FairGrad and GradVac from the Gramian of the gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

INEXACT = 0.02
"""How far from their equation or optimum, relatively, weights may be without a note in the log."""
# Smaller eigenvalues of the cosines are rounding, as gradients are of single precision.
_FLOOR = 1e-6
_NEWTON = 100  # Most Newton steps. Ten are usual.


def fair_weights(gramian: Array, alpha: float) -> tuple[Array, str]:
    """Return the weights w > 0 that solve G w = w^(−1/α), shape ``[K]``, and why if they do not.

    They minimise ½ wᵀG w − Σ U(w) with U' = w^(−1/α), which is convex, by a damped Newton method (of which 2202.01017
    and 2402.15638 solve approximations). If gradients cancel out, there is no solution. The weights are then those of a
    Gramian whose smallest eigenvalues are lifted, and their update is nearly zero.

    >>> fair_weights(np.array([[4.0, 0.0], [0.0, 1.0]]), 1.0)
    (array([0.5, 1. ]), '')
    """
    norms = np.sqrt(np.diag(gramian))
    values, vectors = np.linalg.eigh(gramian / np.outer(norms, norms))
    # With α = 1, w times the norms depends on cosines alone. With others, one factor makes small constants small.
    unit = norms if alpha == 1 else np.full(len(norms), norms.max())
    matrix = (vectors * np.maximum(values, _FLOOR)) @ vectors.T * np.outer(norms / unit, norms / unit)

    def height(w: Array) -> float:
        utility = np.log(w) if alpha == 1 else w ** (1 - 1 / alpha) / (1 - 1 / alpha)
        return float(w @ matrix @ w / 2 - utility.sum())

    w = np.ones(len(norms))
    w *= (len(w) / (w @ matrix @ w)) ** (alpha / (alpha + 1))
    for _ in range(_NEWTON):
        slope = matrix @ w - w ** (-1 / alpha)
        # Measured in units of w, because the weights of small and large gradients differ by orders of magnitude.
        step = -w * np.linalg.solve(matrix * np.outer(w, w) + np.diag(w ** (1 - 1 / alpha) / alpha), slope * w)
        falls = float(-slope @ step)
        if falls < 1e-14 * len(w):
            break
        # Close to the minimum a whole step is best. Before, halve it until w stays positive and the height falls.
        size = min(1.0, 0.99 / max(float((-step / w).max()), 0.99))
        while falls > 1e-9 and height(w + size * step) > height(w) - size * falls / 4:
            size /= 2
        w = w + size * step
    exact = gramian / np.outer(unit, unit) @ w * w ** (1 / alpha)
    # In G w = w^(−1/α), s² times the Gramian makes s^(−2α/(α + 1)) times the weights.
    w = w / unit ** (2 * alpha / (alpha + 1))
    solved = np.abs(exact - 1).max() <= INEXACT
    return w, "" if solved else "gradients cancel out, so no weights solve its equation exactly"


def gradvac(gramian: Array, target: Array, beta: float = 0.01) -> tuple[Array, Array]:
    """Return the weights of GradVac (2010.05874), shape ``[K]``, and the new running means of cosines, ``[K, K]``.

    Each gradient meets the others in random order. If its cosine φ with one of them is below the running mean φ̂, a
    multiple of the other is added that lifts the cosine to φ̂.
    """
    import torch

    count, target = len(gramian), target.copy()
    coefficients = np.eye(count)
    norms = np.sqrt(np.diag(gramian).clip(min=0))
    for i, row in enumerate(coefficients):
        others = np.delete(np.arange(count), i)
        for j in others[torch.randperm(len(others)).numpy()]:
            norm = np.sqrt(max(float(row @ gramian @ row), 0.0))
            cosine = float(row @ gramian[j]) / (norm * norms[j] + 1e-8)
            goal = target[i, j]
            if cosine < goal:
                sine, sine_goal = np.sqrt(max(1 - cosine**2, 0.0)), np.sqrt(max(1 - goal**2, 0.0))
                row[j] += norm * (goal * sine - cosine * sine_goal) / (norms[j] * sine_goal + 1e-8)
            target[i, j] += beta * (cosine - goal)
    return coefficients.mean(0), target
