"""The answer of a study, in words and in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from panglot.evaluation.bootstrap import holm, interval
from panglot.study.design import Study
from panglot.study.results import FIGURES, Each, Estimate, Results, named

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


PARTS = {
    "all": "all languages",
    "seen": "languages trained on",
    "unseen": "languages not trained on",
    "never": "languages that no cell trained on",
}


def answer(results: Results) -> list[str]:
    """Return how much of the start the study's focus keeps beside its rival: in sum, then a sentence a figure.

    A difference is called one where p, corrected after Holm for all of the sentences' comparisons, is below .05.
    """
    study, every = results.study, contests(results)
    if not every:
        return []
    said: list[str] = []
    for key, group in groupby(every, key=lambda contest: contest.key):
        test, part, figure = key.split("|")
        told = "; ".join(_contest(results, contest) for contest in group)
        said.append(f"{test}, {FIGURES[figure]}, {PARTS[part]}: of the start's value, {study.focus} keeps {told}.")
    return [_sum(study, every), *said]


def _sum(study: Study, every: Sequence[Contest]) -> str:
    """Say in one sentence what all comparisons come to, and how they were tested."""
    judged = [contest for contest in every if contest.corrected is not None]
    if not judged:
        return (
            f"{study.focus} and {study.rival} have one seed in common: another training run may turn every difference"
            " around. Brackets are 95 % intervals over question groups alone."
        )
    ahead, behind = (sum(contest.sign == sign for contest in judged) for sign in (1, -1))
    seeds = sorted({contest.gap.seeds for contest in judged})
    return (
        f"Beside {study.rival}, {study.focus} keeps more in {ahead} and less in {behind} of {len(judged)}"
        f" comparisons, and {len(judged) - ahead - behind} are not told apart. p is of a t test of the difference,"
        f" paired by seed and question, whose variance is that over {_range(seeds)} seeds plus that over question"
        f" groups; it is corrected after Holm for all {len(judged)} comparisons. Brackets are 95 % intervals, and"
        " uncorrected."
    )


def _contest(results: Results, contest: Contest) -> str:
    study, kept = results.study, results.retention(results.study.focus, contest.size, contest.key)
    assert kept is not None
    verdict = {1: f"{study.focus} keeps more", -1: f"{study.rival} keeps more", 0: "not told apart"}[contest.sign]
    tested = "" if contest.corrected is None else f", p {_p(contest.corrected)}: {verdict}"
    gap = f"{100 * contest.gap.value:+.1f} points{_points(contest.gap)} beside {study.rival}"
    return f"{percent(kept)} % at {languages(contest.size)} ({gap}{tested})"


def answers(results: Results) -> dict[str, Any]:
    """Return every comparison of the answer by size and figure, ready for JSON."""
    found: dict[str, Any] = {}
    for contest in contests(results):
        found.setdefault(named(contest.size), {})[contest.key] = {
            "value": contest.gap.value, "interval": contest.gap.ends, "seeds": contest.gap.seeds,
            "p": contest.p, "p_corrected": contest.corrected,
        }  # fmt: skip
    return found


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else f"= {value:.3f}".replace("0.", ".")


def _range(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def percent(found: Estimate) -> str:
    """Return a share in hundredths, with its interval."""
    ends = f" [{100 * found.ends[0]:.1f}, {100 * found.ends[1]:.1f}]" if found.ends else ""
    return f"{100 * found.value:.1f}{ends}"


def _points(found: Estimate) -> str:
    return f" [{100 * found.ends[0]:+.1f}, {100 * found.ends[1]:+.1f}]" if found.ends else ""


def languages(size: int) -> str:
    """Return what a size is called in words."""
    return "all languages" if size == 0 else f"{size} language{'s' if size > 1 else ''}"
