"""Say before a study what it costs and the smallest differences that it can find, from the spread of a pilot."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np

from panglot._errors import PanglotError
from panglot.study.design import START, Study
from panglot.study.endpoints import reach
from panglot.study.results import (
    FIXED,
    SIGNIFICANCE,
    Results,
    SeedFigures,
    combined,
    gap,
    is_distance,
    size_key,
    spread,
)


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
        ``cells`` and ``trials``, which are counts, ``hours`` of one worker, ``pilot``, ``not_in_pilot`` (tests of
        which nothing is known), ``spread_factor`` (how many times larger the true spread over seeds may be, which is
        exceeded in one case of ten) and ``detectable``, a list of :class:`Detectable` as dictionaries.

    Raises:
        PanglotError: Focus and rival of the pilot have fewer than two finished seeds in common.
    """
    from scipy.stats import chi2

    found = detectable(study, pilot)
    if not found:
        hint = "finish two seeds of focus and rival, or name a study that has them with --pilot"
        raise PanglotError("the pilot does not say how much seeds differ", file=pilot.study.file, hint=hint)
    freedom = len(_paired(pilot)[1]) - 1
    known = {test.on for test in pilot.study.tests}
    return {
        "cells": len(study.cells()) - 1, "trials": len(study.trials()), "hours": hours(study, pilot),
        "pilot": str(pilot.study.file), "not_in_pilot": [test.on for test in study.tests if test.on not in known],
        "spread_factor": float(np.sqrt(freedom / chi2.ppf(0.1, freedom))),
        "detectable": [asdict(each) for each in found],
    }  # fmt: skip


def detectable(study: Study, pilot: Results) -> list[Detectable]:
    """Return what the study can detect, for each test and figure that the pilot has too."""
    shares = {test.on: test.share for test in study.tests}
    seeds = len({cell.seed for cell in study.cells() if cell.strategy == study.focus}
                & {cell.seed for cell in study.cells() if cell.strategy == study.rival})  # fmt: skip
    sizes, shared = _paired(pilot)
    keys = [key for key in pilot.measured() if key[0] in shares and key[1] in FIXED and not is_distance(key[2])]
    comparisons = len(keys) * len(study.sizes)
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
            whole = list(gaps.values())
            contrasts["mean"] = combined(whole, [1 / len(whole)] * len(whole))
            contrasts["slope"] = combined([whole[0], whole[-1]], [-1, 1])
        for contrast, each in contrasts.items():
            both = (smallest_difference(each, seeds, each.groups * share, SIGNIFICANCE / n) for n in (1, comparisons))
            found.append(Detectable(test, part, figure, contrast, seeds, *both))
    return found


def smallest_difference(pilot: SeedFigures, seeds: int, groups: float, significance: float) -> float | None:
    """Return the smallest mean difference that a t-test finds with a probability of 80 %, or None if nothing varies.

    The variance of the mean is that of the pilot over question groups, scaled to ``groups``, plus that over its seeds,
    divided by ``seeds``, with the degrees of freedom of Welch and Satterthwaite, as in
    :func:`panglot.study.results.t_test`.

    >>> values = np.array([0.010, 0.012, 0.008])
    >>> pilot = SeedFigures(values, values[:, None] + np.zeros((3, 10)), 400)
    >>> [round(smallest_difference(pilot, seeds, 400, 0.05), 4) for seeds in (3, 10)]
    [0.0062, 0.002]
    """
    error, freedom = spread(pilot, seeds=seeds, groups=groups)
    return error * reach(freedom, significance) if error else None


def hours(study: Study, pilot: Results) -> float:
    """Return the hours of one worker for all trials and cells, from the seconds of the pilot's cells."""
    speeds: dict[str, list[float]] = {}  # seconds per pair
    for cell, about in pilot.about.items():
        if cell.strategy != START:
            speeds.setdefault(cell.strategy, []).append(about["training"]["seconds"] / about["training"]["pairs"])
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
