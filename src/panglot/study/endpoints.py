"""Test what a study was designed to find out: whether a strategy is better, worse or equivalent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from panglot.evaluation.bootstrap import holm
from panglot.study.design import Endpoint
from panglot.study.results import SIGNIFICANCE, Estimate, Results, SeedFigures, combined, gap, spread, t_test

#: Probability of finding a difference that is called detectable.
POWER = 0.8


@dataclass(frozen=True)
class Finding:
    """The difference of two strategies at an endpoint, ``one`` − ``other``, in the figure's own unit.

    ``p`` is of the test that there is no difference. ``p_equivalence`` is of two one-sided tests (TOST, Schuirmann
    1987) that it is outside the ``margin``, the larger of the two. With primary endpoints, both are corrected after
    Holm. They are None if there is only one seed. ``detectable`` is the smallest difference that a study with this
    spread finds with probability :data:`POWER`.
    """

    endpoint: Endpoint
    one: str
    other: str
    margin: float
    difference: Estimate
    p: float | None
    p_equivalence: float | None
    detectable: float | None

    @property
    def verdict(self) -> str:
        """``better``, ``worse``, ``equivalent`` or ``undecided``, of ``one``."""
        if self.p is not None and self.p < SIGNIFICANCE:
            return "better" if self.difference.value > 0 else "worse"
        return "equivalent" if self.is_equivalent else "undecided"

    @property
    def is_equivalent(self) -> bool:
        """Whether the difference is smaller than the margin, which it may be although it is significant."""
        return self.p_equivalence is not None and self.p_equivalence < SIGNIFICANCE


def primary(results: Results) -> list[Finding]:
    """Return the findings at the primary endpoints of which all cells are there, corrected after Holm for all of them.

    The correction counts every primary endpoint, whether its cells are finished or not.
    """
    study = results.study
    wanted = [each for each in study.endpoints if each.primary]
    found = [each for each in (_finding(results, study.focus, study.rival, one) for one in wanted) if each]
    missing = [1.0] * (len(wanted) - len(found))
    p, p_equivalence = (
        holm([1.0 if value is None else value for value in values] + missing)
        for values in ([each.p for each in found], [each.p_equivalence for each in found])
    )
    return [
        each if each.p is None else replace(each, p=p[place], p_equivalence=p_equivalence[place])
        for place, each in enumerate(found)
    ]


def secondary(results: Results) -> list[Finding]:
    """Return the findings at the other endpoints, and at all of them for the pairs of strategies ``beside``.

    Their p-values are not corrected.
    """
    study = results.study
    others = [(study.focus, study.rival, each) for each in study.endpoints if not each.primary]
    others += [(one, other, each) for one, other in study.beside for each in study.endpoints]
    found = (_finding(results, *wanted) for wanted in others)
    return [each for each in found if each is not None]


def _finding(results: Results, one: str, other: str, endpoint: Endpoint) -> Finding | None:
    found = contrast(results, one, other, endpoint)
    if found is None:
        return None
    (difference, p), margin = t_test(found), results.study.margin
    error, freedom = spread(found)
    if p is None:
        return Finding(endpoint, one, other, margin, difference, None, None, None)
    if not error:
        return Finding(endpoint, one, other, margin, difference, p, float(abs(difference.value) >= margin), None)
    from scipy.stats import t

    outside = float(max(t.sf((margin + sign * difference.value) / error, freedom) for sign in (1, -1)))
    return Finding(endpoint, one, other, margin, difference, p, outside, error * reach(freedom, SIGNIFICANCE))


def reach(freedom: float, significance: float) -> float:
    """Return how many standard errors a difference must be to be found with probability :data:`POWER`."""
    from scipy.stats import t

    return float(t.ppf(1 - significance / 2, freedom)) + float(t.ppf(POWER, freedom))


def contrast(results: Results, one: str, other: str, endpoint: Endpoint) -> SeedFigures | None:
    """Return an endpoint's difference per seed, or None if a cell that it needs is not finished.

    It is the mean over the endpoint's tests, and over all sizes or, as ``slope``, that at the largest size less that at
    the smallest. The same seeds count at every size.
    """
    study = results.study
    allowed = [size for size in study.sizes if all(study.strategy(name).allows(size) for name in (one, other))]
    sizes = [allowed[0], allowed[-1]] if endpoint.contrast == "slope" and len(allowed) > 1 else allowed
    if endpoint.contrast == "slope" and len(sizes) < 2:
        return None
    seeds = set.intersection(*(set(results.seeds(name, size)) for size in sizes for name in (one, other)))
    shared = tuple(sorted(seeds))
    gaps: list[SeedFigures] = []
    for size in sizes:
        keys = [f"{test}|{endpoint.part}|{endpoint.figure}" for test in endpoint.on]
        each = [gap(results, one, other, size, key, shared, of_start=False) for key in keys]
        known = [found for found in each if found is not None]
        if len(known) < len(each):
            return None
        gaps.append(combined(known, [1 / len(known)] * len(known)))
    weights: Sequence[float] = [-1, 1] if endpoint.contrast == "slope" else [1 / len(gaps)] * len(gaps)
    return combined(gaps, weights)
