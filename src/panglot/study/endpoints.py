"""Test what a study was designed to find out: whether a strategy is better, worse or equivalent.

Before the study, :func:`plan` says what it costs and the smallest differences that it can find, from the spread of a
pilot.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import product
from statistics import fmean
from typing import Any

import numpy as np

from panglot.evaluation.bootstrap import holm
from panglot.study.design import START, Endpoint, Study
from panglot.study.estimates import (
    FIXED,
    SIGNIFICANCE,
    Estimate,
    Results,
    SeedFigures,
    combined,
    gap,
    is_distance,
    size_key,
    spread,
    t_test,
)

#: Probability of finding a difference that is called detectable.
_POWER = 0.8


@dataclass(frozen=True)
class Finding:
    """The difference of two strategies at an endpoint, ``one`` − ``other``, in the figure's own unit.

    ``p`` is of the test that there is no difference. ``p_equivalence`` is of two one-sided tests (TOST, Schuirmann
    1987) that it is outside the ``margin``, the larger of the two. With primary endpoints, both are corrected after
    Holm. They are None with one seed or one question group. ``detectable`` is the smallest difference that a study with
    this spread finds with probability :data:`_POWER`, with primary endpoints in the first step of Holm's correction.

    ``by_seed`` are the differences whose mean is ``difference``. ``planned`` is the number of seeds that the study has
    for both strategies. With fewer, the finding is unfinished: nothing is tested, and there is no interval.
    """

    endpoint: Endpoint
    one: str
    other: str
    margin: float
    difference: Estimate
    by_seed: tuple[float, ...]
    planned: int
    p: float | None = None
    p_equivalence: float | None = None
    detectable: float | None = None

    @property
    def seeds(self) -> str:
        """The number of seeds, such as ``10``, or ``2 of 10`` if that is fewer than planned."""
        of = f" of {self.planned}" if self.difference.seeds < self.planned else ""
        return f"{self.difference.seeds}{of}"

    @property
    def verdict(self) -> str:
        """``better``, ``worse``, ``equivalent`` or ``undecided``, of ``one``, or ``unfinished``."""
        if self.difference.seeds < self.planned:
            return "unfinished"
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
    # In the first step of Holm's correction, the smallest p-value is compared with this.
    significance = SIGNIFICANCE / max(1, len(wanted))
    every = (_finding(results, study.focus, study.rival, one, significance) for one in wanted)
    found = [each for each in every if each]
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


def _finding(
    results: Results, one: str, other: str, endpoint: Endpoint, significance: float = SIGNIFICANCE
) -> Finding | None:  # fmt: skip
    found = contrast(results, one, other, endpoint)
    if found is None:
        return None
    (difference, p), margin = t_test(found), results.study.margin
    planned = len(results.study.shared_seeds(one, other))
    untested = Finding(endpoint, one, other, margin, difference, tuple(found.values.tolist()), planned)
    if difference.seeds < planned:
        return replace(untested, difference=replace(difference, interval=None))
    error, freedom = spread(found)
    if p is None:
        return untested
    if not error:
        return replace(untested, p=p, p_equivalence=float(abs(difference.value) >= margin))
    from scipy.stats import t

    outside = float(max(t.sf((margin + sign * difference.value) / error, freedom) for sign in (1, -1)))
    return replace(untested, p=p, p_equivalence=outside, detectable=error * _reach(freedom, significance))


def _reach(freedom: float, significance: float) -> float:
    """Return how many standard errors a difference must be to be found with probability :data:`_POWER`."""
    from scipy.stats import t

    return float(t.ppf(1 - significance / 2, freedom)) + float(t.ppf(_POWER, freedom))


def caution(seeds: Iterable[int]) -> str:
    """Return a sentence on tests with so few seeds that they find too often what is not there, or nothing.

    With few seeds, the degrees of freedom of Welch and Satterthwaite are too many where seeds vary more than question
    groups.
    """
    least = min(seeds, default=0)
    most = {2: "13 %", 3: "8 %", 4: "6.5 %", 5: "6 %"}.get(least)  # simulated, in the worst case
    return f" With {least} seeds, this finds what is not there in up to {most} of the cases, not 5 %." if most else ""


def contrast(results: Results, one: str, other: str, endpoint: Endpoint) -> SeedFigures | None:
    """Return an endpoint's difference per seed, or None if a cell that it needs is not finished or does not exist.

    It is the mean over the endpoint's tests, and over all sizes or, as ``slope``, that at the largest size less that at
    the smallest. The same seeds count at every size.
    """
    study = results.study
    sizes = study.shared_sizes(one, other)
    if len(sizes) < (2 if endpoint.contrast == "slope" else 1):
        return None
    if endpoint.contrast == "slope":
        sizes = [sizes[0], sizes[-1]]
    seeds = set.intersection(*(set(results.seeds(name, size)) for size in sizes for name in (one, other)))
    shared = tuple(sorted(seeds))
    gaps: list[SeedFigures] = []
    for size in sizes:
        keys = [f"{test}|{endpoint.part}|{endpoint.figure}" for test in endpoint.on]
        each = [gap(results, one, other, size, key, shared, of_start=False) for key in keys]
        known = [found for found in each if found is not None]
        if len(known) < len(each):
            return None
        gaps.append(combined(known, "mean"))
    return combined(gaps, endpoint.contrast)


@dataclass(frozen=True)
class Classified:
    """How often a linear classifier finds the language of a test set's passages by their vectors.

    This is the mean over seeds of :func:`panglot.evaluation.measures.language_classifier`, as a share. With ``less``,
    it is the difference to another strategy, paired by seed. Interval and p are of a t-test over seeds alone.
    """

    test: str
    size: int
    strategy: str
    less: str
    found: Estimate
    p: float | None


def classifiers(results: Results) -> list[Classified]:
    """Return the language classifier of the start and each strategy, then of focus − rival and the pairs ``beside``.

    Test sets in two languages, such as those of sentences with their translations, are left out.
    """
    study = results.study
    measured = {(cell, test.on): about["figures"]["datasets"][test.on]
                for cell, about in results.about.items() for test in study.tests}  # fmt: skip
    known = {place: (found.get("geometry") or {}).get("language_classifier")
             for place, found in measured.items() if len(found["languages"]) > 2}  # fmt: skip
    shares = {place: share for place, share in known.items() if share is not None}
    pairs = [*((name, "") for name in study.names), (study.focus, study.rival), *study.beside]
    every: list[Classified] = []
    for test, size, (one, other) in product(study.tests, study.sizes, pairs):
        first, second = (
            {cell.seed: shares[cell, test.on] for cell in results.cells(name, size) if (cell, test.on) in shares}
            for name in (one, other)
        )
        seeds = sorted({*first} & {*second} if other else first)
        if not seeds:
            continue
        values = np.array([first[seed] - second.get(seed, 0.0) for seed in seeds])
        # The classifier is of the whole set, so nothing is drawn, and every draw is the same.
        found, p = t_test(SeedFigures(values, np.repeat(values[:, None], 2, axis=1), 2))
        ends = np.clip(found.interval or (), -1.0 if other else 0.0, 1.0).tolist()
        found = replace(found, interval=tuple(ends) if len(seeds) > 1 else None)
        every.append(Classified(test.on, size, one, other, found, p))
    return every


@dataclass(frozen=True)
class Detectable:
    """The smallest difference of focus and rival that the study finds with a probability of 80 %.

    Both are shares of the start's value: ``alone`` for one test at 5 %, ``corrected`` for the first step of Holm's
    correction over all comparisons of the study. ``contrast`` is a number of languages, ``mean`` over all of them, or
    ``slope``, the difference at the most languages less that at the fewest. None means that nothing varies in
    the pilot, as where all figures are 1.
    """

    test: str
    part: str
    figure: str
    contrast: str
    seeds: int
    alone: float | None
    corrected: float | None


def plan(study: Study, pilot: Results) -> dict[str, Any]:
    """Return the cost of a study and what it can detect, ready for JSON.

    The spread over seeds and over question groups, and the seconds per pair, are those of the pilot's finished cells.
    Its own focus and rival stand for those of the study. A test of which the study draws another share of the groups
    has its spread over groups scaled, and a training run with another number of pairs its seconds.

    Returns:
        ``cells`` and ``trials``, which are counts, ``hours`` of one worker for training and measuring, ``pilot``,
        ``not_in_pilot`` (tests of which nothing is known), ``spread_factor`` (how many times larger the true spread
        over seeds may be, which is exceeded in one case of ten) and ``detectable``, a list of :class:`Detectable` as
        dictionaries. ``hours`` is None if the pilot has no trained cell. ``spread_factor`` is None and ``detectable``
        empty if its focus and rival have fewer than two finished seeds in common.
    """
    from scipy.stats import chi2

    found = detectable(study, pilot)
    freedom = len(_paired(pilot)[1]) - 1
    known = {test.on for test in pilot.study.tests}
    return {
        "cells": len(study.cells()) - 1, "trials": len(study.trials()), "hours": _hours(study, pilot),
        "pilot": str(pilot.study.file), "not_in_pilot": [test.on for test in study.tests if test.on not in known],
        "spread_factor": float(np.sqrt(freedom / chi2.ppf(0.1, freedom))) if found else None,
        "detectable": [asdict(each) for each in found],
    }  # fmt: skip


def detectable(study: Study, pilot: Results) -> list[Detectable]:
    """Return what the study can detect, for each test and figure that the pilot has too."""
    shares = {test.on: test.share for test in study.tests}
    seeds = len(study.shared_seeds(study.focus, study.rival))
    sizes, shared = _paired(pilot)
    keys = [key for key in pilot.measured() if key[0] in shares and key[1] in FIXED and not is_distance(key[2])]
    comparisons = len(keys) * len(study.shared_sizes(study.focus, study.rival))
    found: list[Detectable] = []
    for test, part, figure in keys if len(shared) > 1 else []:
        every = {
            size: gap(pilot, pilot.study.focus, pilot.study.rival, size, f"{test}|{part}|{figure}", shared)
            for size in sizes
        }
        gaps = {size: each for size, each in every.items() if each is not None}
        if not gaps:
            continue
        share = shares[test] / next(each.share for each in pilot.study.tests if each.on == test)
        contrasts = {size_key(size): gap for size, gap in gaps.items()}
        if len(gaps) > 1:
            contrasts |= {name: combined(list(gaps.values()), name) for name in ("mean", "slope")}
        for contrast, each in contrasts.items():
            both = (smallest_difference(each, seeds, each.groups * share, SIGNIFICANCE / n) for n in (1, comparisons))
            found.append(Detectable(test, part, figure, contrast, seeds, *both))
    return found


def smallest_difference(pilot: SeedFigures, seeds: int, groups: float, significance: float) -> float | None:
    """Return the smallest mean difference that a t-test finds with a probability of 80 %.

    It is None if nothing varies, or if the pilot has a single question group, so that nothing is known of others.

    The variance of the mean is that of the pilot over question groups, scaled to ``groups``, plus that over its seeds,
    divided by ``seeds``, with the degrees of freedom of Welch and Satterthwaite, as in
    :func:`panglot.study.estimates.t_test`.

    >>> values = np.array([0.010, 0.012, 0.008])
    >>> pilot = SeedFigures(values, values[:, None] + np.zeros((3, 10)), 400)
    >>> [round(smallest_difference(pilot, seeds, 400, 0.05), 4) for seeds in (3, 10)]
    [0.0062, 0.002]
    """
    error, freedom = spread(pilot, seeds=seeds, groups=groups)
    return error * _reach(freedom, significance) if error and pilot.groups > 1 else None


def _hours(study: Study, pilot: Results) -> float | None:
    """Return the hours of one worker for all trials and cells, from the seconds of the pilot's cells, or None."""
    speeds: dict[str, list[float]] = {}  # seconds per pair
    for cell, about in pilot.about.items():
        if cell.strategy != START:
            speeds.setdefault(cell.strategy, []).append(about["training"]["seconds"] / about["training"]["pairs"])
    if not speeds:
        return None
    typical = fmean(fmean(each) for each in speeds.values())
    pairs = float(study.train.get("pairs", 4000))
    shares = {test.on: test.share for test in pilot.study.tests}
    tests = {test.on: test.share / shares[test.on] for test in study.tests if test.on in shares}
    measuring = fmean(
        sum(share * sum(about["figures"]["datasets"][name]["seconds"].values()) for name, share in tests.items())
        for about in pilot.about.values()
    )
    trained = [*study.trials(), *study.cells()[1:]]
    training = sum(pairs * fmean(speeds.get(cell.strategy, [typical])) for cell in trained)
    return (training + measuring * len(study.cells())) / 3600


def _paired(pilot: Results) -> tuple[list[int], tuple[int, ...]]:
    """Return the pilot's sizes at which focus and rival share two seeds or more, and the seeds of all these sizes."""
    seeds = {
        size: set(pilot.seeds(pilot.study.focus, size)) & set(pilot.seeds(pilot.study.rival, size))
        for size in pilot.study.sizes
    }
    sizes = [size for size, each in seeds.items() if len(each) > 1]
    return sizes, tuple(sorted(set[int].intersection(*(seeds[size] for size in sizes)))) if sizes else ()
