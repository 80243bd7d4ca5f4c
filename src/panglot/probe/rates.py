"""Shares of questions, with intervals that know that translations of a question fail together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from panglot.corpus.collection import Ints
    from panglot.evaluation.lattice import Doubles

Marks = npt.NDArray[np.bool_]

_Z = 1.959963984540054
FEWEST = 10
"""Below so many questions on either side no difference is given: its normal interval would mean nothing."""


def share(hit: Marks, group: Ints) -> tuple[float, float, float]:
    """Return the share of hits and its 95 % interval.

    Wilson's interval, with the effective number of questions in place of their number: n over Kish's design
    effect, which is the variance between groups over that of independent questions, at least 1. Where all or
    none are hits, it is the number of groups.

    Args:
        hit: One mark a question; at least one question.
        group: The question's group; translations share it.

    >>> [round(value, 3) for value in share(np.arange(20) < 4, np.arange(20))]
    [0.2, 0.081, 0.416]
    """
    number, rate = len(hit), float(hit.mean())
    if 0 < rate < 1:
        spread = float((_pull(hit, group, int(group.max()) + 1) ** 2).sum())
        effective = number / max(1.0, spread / (rate * (1 - rate) / number))
    else:
        effective = float(len(np.unique(group)))
    z = _Z**2 / effective
    middle = (rate + z / 2) / (1 + z)
    half = _Z * math.sqrt(rate * (1 - rate) / effective + z / (4 * effective)) / (1 + z)
    return rate, max(0.0, middle - half), min(1.0, middle + half)


def against_rest(hit: Marks, group: Ints, inside: Marks) -> dict[str, Any]:
    """Return the share among the questions inside, that among the rest, and the difference, with intervals.

    The difference's interval is normal, its variance summed over groups: a group may be on both sides.

    Returns:
        ``weak, questions, rate, interval, rest, difference, difference_interval``; the last three are None
        where either side has fewer than :data:`FEWEST` questions, ``rest`` only where there is no rest.
    """
    rate, low, high = share(hit[inside], group[inside])
    figures: dict[str, Any] = {
        "weak": int(hit[inside].sum()),
        "questions": int(inside.sum()),
        "rate": rate,
        "interval": [low, high],
        "rest": None,
        "difference": None,
        "difference_interval": None,
    }
    if inside.all():
        return figures
    figures["rest"] = rest = float(hit[~inside].mean())
    if min(inside.sum(), (~inside).sum()) >= FEWEST:
        groups = int(group.max()) + 1
        pull = _pull(hit[inside], group[inside], groups) - _pull(hit[~inside], group[~inside], groups)
        half = _Z * math.sqrt(float((pull**2).sum()) * _small(group))
        figures["difference"] = rate - rest
        figures["difference_interval"] = [rate - rest - half, rate - rest + half]
    return figures


def mean(value: Doubles, group: Ints) -> tuple[float, list[float] | None]:
    """Return the mean over values and its 95 % interval over groups, Student's; None with fewer than two groups."""
    from scipy.special import stdtrit

    centre = float(value.mean())
    groups = len(np.unique(group))
    if groups < 2:
        return centre, None
    pull = np.bincount(group, value - centre) / len(value)
    half = float(stdtrit(groups - 1, 0.975)) * math.sqrt(float((pull**2).sum()) * _small(group))
    return centre, [centre - half, centre + half]


def _pull(hit: Marks, group: Ints, groups: int) -> Doubles:
    """Return how far each group moves the share from its value, shape ``[groups]``."""
    return np.bincount(group, hit - hit.mean(), groups) / len(hit)


def _small(group: Ints) -> float:
    """Return the correction of a variance over few groups."""
    number = len(np.unique(group))
    return number / (number - 1) if number > 1 else 1.0
