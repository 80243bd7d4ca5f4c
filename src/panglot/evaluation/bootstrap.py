"""Bootstrap intervals and randomisation tests over question groups, which keep translations together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from panglot.data.collection import Ints
    from panglot.evaluation.exact_scores import Doubles

_CELLS = 1 << 22


@dataclass(frozen=True)
class Sums:
    """A figure as sums over question groups.

    The figure is the mean over cells of the mean over a cell's questions: (1 / C) Σ_c Σ_g total / Σ_g number. A cell
    is a question language, or a pair of question and passage language.

    Attributes:
        total: Sum of the values of each group in each cell, shape ``[groups, cells]``.
        number: Number of values of each group in each cell, shape ``[groups, cells]``.
    """

    total: Doubles
    number: Doubles

    @classmethod
    def of(cls, value: Doubles, language: Ints, group: Ints) -> Sums:
        """Sum values of the shape ``[questions]`` or ``[questions, languages]``, without NaN."""
        value = value[:, None] if value.ndim == 1 else value
        width = value.shape[1]
        groups = int(group.max(initial=-1)) + 1
        row, column = np.nonzero(np.isfinite(value))
        cell = language[row] * width + column
        used, place = np.unique(cell, return_inverse=True)
        at, shape = group[row] * len(used) + place, (groups, len(used))
        total = np.bincount(at, value[row, column], groups * len(used)).reshape(shape).astype(np.float64)
        return cls(total, np.bincount(at, minlength=groups * len(used)).reshape(shape).astype(np.float64))

    def mean(self) -> float:
        """Return the figure, NaN without any value."""
        number = self.number.sum(axis=0)
        return float(np.mean(self.total.sum(axis=0) / number)) if len(number) else float("nan")

    def shares(self) -> Doubles:
        """Return what each group adds to :meth:`mean`, shape ``[groups]``. The sum is the figure."""
        number = self.number.sum(axis=0)
        return (self.total / number).sum(axis=1) / max(1, len(number))


def draw(sums: Mapping[str, Sums], draws: int, seed: int) -> dict[str, Doubles]:
    """Draw groups with replacement and compute every figure on each draw (clustered bootstrap).

    All figures are computed on the same draws, so that differences of figures have intervals too.

    Args:
        sums: The figures, over the same groups.
        draws: Number of draws.
        seed: Seed of the draws. The same seed and number of groups give the same draws.

    Returns:
        The figure on each draw, shape ``[draws]``. A cell that is empty in a draw is left out of the mean.
    """
    if not sums:
        return {}
    groups = len(next(iter(sums.values())).total)
    # One matrix product per block of draws serves all figures.
    table = np.concatenate([part for figure in sums.values() for part in (figure.total, figure.number)], axis=1)
    ends = np.cumsum([figure.total.shape[1] for figure in sums.values()])
    results = {name: np.full(draws, np.nan) for name in sums}
    generator = np.random.default_rng(seed)
    size = max(1, _CELLS // max(1, groups))
    for start in range(0, draws if groups else 0, size):
        number = min(size, draws - start)
        drawn = generator.integers(0, groups, (number, groups)) + np.arange(number)[:, None] * groups
        # How often each group was drawn. Sums weighted with it are those over the drawn groups.
        weights = np.bincount(drawn.ravel(), minlength=number * groups).reshape(number, groups).astype(np.float64)
        sampled = weights @ table
        for (name, figure), end in zip(sums.items(), ends, strict=True):
            cells = figure.total.shape[1]
            if not cells:
                continue
            low = 2 * (end - cells)
            total, counts = sampled[:, low : low + cells], sampled[:, low + cells : low + 2 * cells]
            with np.errstate(invalid="ignore", divide="ignore"):
                means = np.where(counts > 0, total / counts, 0.0)
                results[name][start : start + number] = means.sum(axis=1) / (counts > 0).sum(axis=1)
    return results


def interval(drawn: Doubles, level: float = 0.95) -> tuple[float, float] | None:
    """Return the percentile interval of draws, or None if no draw has a value."""
    known = drawn[np.isfinite(drawn)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def randomisation(differences: Doubles, draws: int, seed: int) -> Doubles:
    """Return the two-sided p-values of a paired randomisation test over groups, shape ``[comparisons]``.

    If two models are interchangeable, each group's difference has either sign with the same probability. p is the share
    of sign patterns s with ``|Σ_g s_g d_g| ≥ |Σ_g d_g|``. With at most 13 groups all patterns are tried, otherwise
    ``draws`` random ones, and p is (reached + 1) / (draws + 1).

    Args:
        differences: Difference that each group adds to each figure, shape ``[groups, comparisons]``:
            :meth:`Sums.shares` of one model minus those of the other.
        draws: Number of random patterns.
        seed: Seed of the patterns.
    """
    groups, comparisons = differences.shape
    seen = np.abs(differences.sum(axis=0))
    # A sum in another order may differ in its last bits, and must still count as reached.
    bar = seen - 1e-9 * np.abs(differences).sum(axis=0)
    exact = groups <= 13  # 8,192 patterns are fewer than the default number of random ones
    total = 2**groups if exact else draws
    generator = np.random.default_rng(seed)
    reached = np.zeros(comparisons, np.int64)
    size = max(1, _CELLS // max(1, groups))
    for start in range(0, total, size):
        number = min(size, total - start)
        if exact:
            bits = (np.arange(start, start + number)[:, None] >> np.arange(groups)) & 1
        else:
            bits = generator.integers(0, 2, (number, groups), np.int8)
        reached += (np.abs((2.0 * bits - 1) @ differences) >= bar).sum(axis=0)
    return reached / total if exact else (reached + 1) / (total + 1)


def holm(p: Sequence[float]) -> list[float]:
    """Correct p-values for multiple tests (Holm 1979): the k-th smallest of n times (n − k + 1), never falling.

    >>> [round(value, 3) for value in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    corrected, highest = [0.0] * len(p), 0.0
    for place, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        highest = max(highest, min(1.0, p[index] * (len(p) - place)))
        corrected[index] = highest
    return corrected
