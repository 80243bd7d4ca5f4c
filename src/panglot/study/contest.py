"""The study's question: does its focus keep more of the start than its rival, at every number of languages?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from panglot.evaluation.bootstrap import holm, interval
from panglot.study.results import Each, Estimate, Results

Doubles = npt.NDArray[np.float64]
REAL = 0.05


@dataclass(frozen=True)
class Contest:
    """A figure of both strategies at one number of languages.

    Attributes:
        key: ``test|slice|figure``.
        size: The number of languages.
        gap: How much more of the start's value the focus keeps, as a share of it.
        p: That the difference is nothing but chance; None where both have one seed in common, which tells nothing.
        corrected: The same, corrected after Holm for all contests of the study.
    """

    key: str
    size: int
    gap: Estimate
    p: float | None
    corrected: float | None

    @property
    def sign(self) -> int:
        """1 where the focus keeps more, -1 where the rival does, 0 where they are not told apart."""
        if self.corrected is None or self.corrected >= REAL:
            return 0
        return 1 if self.gap.value > 0 else -1


def contests(results: Results) -> list[Contest]:
    """Return the contests of a study: every test, accuracy and size, in all languages and in those never trained on.

    Slices of languages that change from size to size, and the rank distance, which is no accuracy, are in the tables
    alone.
    """
    study = results.study
    found: list[tuple[str, int, Estimate, float | None]] = []
    for test, part, figure in results.measured():
        if part not in {"all", "never"} or figure.endswith("rank_distance"):
            continue
        key = f"{test}|{part}|{figure}"
        pairs = ((size, difference(results, study.focus, study.rival, size, key)) for size in study.sizes)
        found.extend((key, size, *pair) for size, pair in pairs if pair is not None)
    corrected = iter(holm([p for *_, p in found if p is not None]))
    return [Contest(key, size, gap, p, None if p is None else next(corrected)) for key, size, gap, p in found]


def difference(results: Results, one: str, other: str, size: int, key: str) -> tuple[Estimate, float | None] | None:
    """Return how much more of the start's value one strategy keeps than another, and p; None where a cell is missing.

    Over the seeds that both have, so that the difference is paired. Its variance is that of the mean over seeds plus
    that over draws of question groups; interval and p are those of a t test with the degrees of freedom of Welch and
    Satterthwaite, so that three seeds count as three. With one seed the interval is over question groups alone.
    """
    both = tuple(sorted(set(results.seeds(one, size)) & set(results.seeds(other, size))))
    mine, theirs, start = (results.each(name, size, key, both) for name in (one, other, "start"))
    if mine is None or theirs is None or start is None or not start.values[0]:
        return None
    if len(mine.values) != len(theirs.values):  # a figure that one of the cells could not give
        return None
    values = (mine.values - theirs.values) / start.values[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = (mine.draws - theirs.draws) / start.draws[0]
    return tested(Each(values, drawn, start.groups))


def tested(gap: Each) -> tuple[Estimate, float | None]:
    """Return the mean of a difference with its interval, and p.

    >>> draws = np.random.default_rng(0).normal(0.1, 0.01, (1, 1000)) + np.array([[0.0], [0.02], [-0.02]])
    >>> found, p = tested(Each(np.array([0.1, 0.12, 0.08]), draws, 200))
    >>> [round(end, 2) for end in found.ends], round(p, 3)
    ([0.06, 0.14], 0.001)
    """
    from scipy import stats

    seeds, value = len(gap.values), float(gap.values.mean())
    over_groups = gap.draws.mean(axis=0)
    if seeds < 2:
        return Estimate(value, interval(over_groups), seeds), None
    known = over_groups[np.isfinite(over_groups)]
    parts = [float(known.var(ddof=1)) if len(known) > 1 else 0.0, float(gap.values.var(ddof=1)) / seeds]
    whole = sum(parts)
    if whole < 1e-24:
        return Estimate(value, (value, value), seeds), 1.0 if abs(value) < 1e-12 else 0.0
    freedom = whole**2 / (parts[0] ** 2 / max(1, gap.groups - 1) + parts[1] ** 2 / (seeds - 1))
    reach = float(stats.t.ppf(0.975, freedom)) * whole**0.5
    p = 2 * float(stats.t.sf(abs(value) / whole**0.5, freedom))
    return Estimate(value, (value - reach, value + reach), seeds), p
