"""Compare the two strategies that a study is about, in numbers and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from panglot.evaluation.bootstrap import holm, interval
from panglot.report.labels import format_p
from panglot.report.tables import Cell, Table, simple_table
from panglot.study.design import Study
from panglot.study.results import FIGURES, Estimate, Results, SeedFigures, size_key

Doubles = npt.NDArray[np.float64]
#: Differences with a smaller corrected p-value are significant.
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Comparison:
    """One figure of focus and rival at one number of languages.

    Attributes:
        key: ``test|slice|figure``.
        size: The number of languages.
        gap: How much more of the start's value the focus keeps than the rival, as a share of that value.
        p: The p-value of the difference, or None if focus and rival have only one seed in common.
        corrected: The p-value after Holm's correction for all comparisons of the study.
    """

    key: str
    size: int
    gap: Estimate
    p: float | None
    corrected: float | None

    @property
    def sign(self) -> int:
        """1 if the focus keeps more, -1 if the rival does, 0 if the difference is not significant."""
        if self.corrected is None or self.corrected >= SIGNIFICANCE:
            return 0
        return 1 if self.gap.value > 0 else -1


def comparisons(results: Results) -> list[Comparison]:
    """Return the comparisons of a study: every test, figure and size, in all languages and in those never trained on.

    Slices whose languages differ between sizes, and rank distance, which is not an accuracy, are only in the tables.
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
    return [Comparison(key, size, gap, p, None if p is None else next(corrected)) for key, size, gap, p in found]


def difference(results: Results, one: str, other: str, size: int, key: str) -> tuple[Estimate, float | None] | None:
    """Return how much more of the start's value one strategy keeps than another, and p, or None if a cell is missing.

    Only seeds that both strategies have are used, so that the difference is paired. Its variance is that of the mean
    over seeds plus that over draws of question groups. Interval and p are those of a t-test with the degrees of freedom
    of Welch and Satterthwaite, so that three seeds count as three. With one seed, the interval is over question groups
    only and p is None.
    """
    both = tuple(sorted(set(results.seeds(one, size)) & set(results.seeds(other, size))))
    one_each, other_each, start = (results.each(name, size, key, both) for name in (one, other, "start"))
    if one_each is None or other_each is None or start is None or not start.values[0]:
        return None
    if len(one_each.values) != len(other_each.values):  # a cell does not have this figure
        return None
    values = (one_each.values - other_each.values) / start.values[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = (one_each.draws - other_each.draws) / start.draws[0]
    return t_test(SeedFigures(values, drawn, start.groups))


def t_test(gap: SeedFigures) -> tuple[Estimate, float | None]:
    """Return the mean of a difference with its interval, and its p-value.

    >>> draws = np.random.default_rng(0).normal(0.1, 0.01, (1, 1000)) + np.array([[0.0], [0.02], [-0.02]])
    >>> found, p = t_test(SeedFigures(np.array([0.1, 0.12, 0.08]), draws, 200))
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


def answer(results: Results) -> tuple[str, Table] | None:
    """Return a summary of all comparisons and their table, or None if there are none.

    A difference is significant if p, after Holm's correction for all comparisons, is below .05.
    """
    study, every = results.study, comparisons(results)
    if not every:
        return None
    rows: list[list[str | Cell]] = []
    for comparison in every:
        test, part, figure = comparison.key.split("|")
        kept = results.retention(study.focus, comparison.size, comparison.key)
        assert kept is not None
        rows.append([
            test, FIGURES[figure], PARTS[part], languages(comparison.size), percent(kept), _points(comparison.gap),
            "–" if comparison.corrected is None else format_p(comparison.corrected),
            {1: study.focus, -1: study.rival, 0: "–"}[comparison.sign],
        ])  # fmt: skip
    kept_heading, gap_heading = f"{study.focus} keeps, %", f"more than {study.rival}, points"
    head = ["test", "figure", "measured on", "trained on", kept_heading, gap_heading, "p", "significantly more"]
    title = f"Share of the start's value that {study.focus} keeps, compared with {study.rival}"
    return _summary(study, every), simple_table(head, rows, title=title, left=[1, 2, 3, 7])


def _summary(study: Study, every: Sequence[Comparison]) -> str:
    """Return the counts of significant differences, and how they were tested."""
    tested = [comparison for comparison in every if comparison.corrected is not None]
    if not tested:
        return (
            f"{study.focus} and {study.rival} have only one seed in common, so another training run may reverse every"
            " difference. Brackets are 95 % intervals over question groups only."
        )
    ahead, behind = (sum(comparison.sign == sign for comparison in tested) for sign in (1, -1))
    seeds = sorted({comparison.gap.seeds for comparison in tested})
    return (
        f"Compared with {study.rival}, {study.focus} keeps more in {ahead} and less in {behind} of {len(tested)}"
        f" comparisons, and {len(tested) - ahead - behind} differences are not significant. p is from a t-test of the"
        f" difference, paired by seed and question. Its variance is that over {_range(seeds)} seeds plus that over"
        f" question groups. It is corrected after Holm for all {len(tested)} comparisons. Brackets are uncorrected 95 %"
        " intervals."
    )


def comparisons_to_json(results: Results) -> dict[str, Any]:
    """Return size → ``test|slice|figure`` → comparison, ready for JSON."""
    found: dict[str, Any] = {}
    for comparison in comparisons(results):
        found.setdefault(size_key(comparison.size), {})[comparison.key] = {
            "value": comparison.gap.value, "interval": comparison.gap.ends, "seeds": comparison.gap.seeds,
            "p": comparison.p, "p_corrected": comparison.corrected,
        }  # fmt: skip
    return found


def _range(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def percent(found: Estimate) -> Cell:
    """Return a share in per cent, with its interval."""
    ends = f"[{100 * found.ends[0]:.1f}, {100 * found.ends[1]:.1f}]" if found.ends else ""
    return Cell(f"{100 * found.value:.1f}", ends)


def _points(found: Estimate) -> Cell:
    ends = f"[{100 * found.ends[0]:+.1f}, {100 * found.ends[1]:+.1f}]" if found.ends else ""
    return Cell(f"{100 * found.value:+.1f}", ends)


def languages(size: int) -> str:
    """Return a size in words."""
    return "all languages" if size == 0 else f"{size} language{'s' if size > 1 else ''}"
