"""Turn the finished cells of a study into values with intervals, retention, and the comparison of two strategies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from panglot.evaluation.bootstrap import Sums, draw, holm, interval
from panglot.evaluation.figures import SETTINGS
from panglot.study.cell import cell_folder, on_same_data, outdated
from panglot.study.design import START, Cell, Study
from panglot.training.settings import RENAMED

Doubles = npt.NDArray[np.float64]
DRAWS = 1000
FIGURES = {
    "monolingual.mAP": "monolingual mAP",
    "crosslingual.mAP": "cross-lingual mAP",
    "multilingual.mAP": "multilingual mAP",
    "multilingual.rank_distance": "rank distance",
}
#: The slices of a test set, as reports call them.
PARTS = {
    "all": "all languages",
    "seen": "languages trained on",
    "unseen": "languages not trained on",
    "never": "languages that no cell trained on",
}
#: Slices whose languages are the same at every size, so that sizes can be compared.
FIXED = ("all", "never")
#: Differences with a smaller corrected p-value are significant.
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Estimate:
    """The mean of a figure over seeds, with the 95 % interval over seeds and question groups if anything varies."""

    value: float
    interval: tuple[float, float] | None
    seeds: int


@dataclass(frozen=True)
class SeedFigures:
    """A figure per seed, shape ``[seeds]``, and on draws of question groups, shape ``[seeds, DRAWS]``.

    All cells have the same draws. ``groups`` is the number of question groups with a value.
    """

    values: Doubles
    draws: Doubles
    groups: int


class Results:
    """The figures of a study's finished cells.

    Question groups are drawn with replacement, the same groups for all cells, and so are seeds, the same for all
    strategies. Differences are therefore paired. Cells that were made with other settings than the study has, or with
    different test sets, are an error.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._cells = {cell: cell_folder(study, cell) for cell in study.cells() if cell_folder(study, cell).done}
        self._check()
        self._each: dict[tuple[str, int, str, tuple[int, ...]], SeedFigures | None] = {}

    @cached_property
    def about(self) -> dict[Cell, dict[str, Any]]:
        """What each finished cell wrote beside its sums."""
        return {cell: folder.read() for cell, folder in self._cells.items()}

    @cached_property
    def _sums(self) -> dict[Cell, dict[str, Sums]]:
        return {cell: _read(folder.path / "sums.npz") for cell, folder in self._cells.items()}

    def cells(self, strategy: str, size: int) -> list[Cell]:
        """Return the finished cells of a strategy at a size, by seed. The start has one cell for all sizes."""
        return [cell for cell in self._cells if cell.strategy == strategy and (strategy == START or cell.size == size)]

    def seeds(self, strategy: str, size: int) -> tuple[int, ...]:
        """Return the seeds of a strategy's finished cells."""
        return tuple(cell.seed for cell in self.cells(strategy, size))

    def each(self, strategy: str, size: int, key: str, seeds: tuple[int, ...] | None = None) -> SeedFigures | None:
        """Return a figure, ``test|slice|figure``, per seed, or None if no cell has it.

        For the start, ``size`` is that of the cell that it is compared with. By default, all finished seeds are used.
        """
        test, part, figure = key.split("|")
        if strategy == START:
            seeds = None
            if part in {"seen", "unseen"}:
                key = f"{test}|{part}-{size}|{figure}"
        chosen = self.seeds(strategy, size) if seeds is None else seeds
        request = (strategy, size, key, chosen)
        if request not in self._each:
            cells = [cell for cell in self.cells(strategy, size) if cell.seed in chosen and key in self._sums[cell]]
            found = [self._sums[cell][key] for cell in cells]
            self._each[request] = _drawn(found) if found else None
        return self._each[request]

    def draws(self, strategy: str, size: int, key: str) -> tuple[float, Doubles, int] | None:
        """Return a figure's mean over seeds, its draws, shape ``[DRAWS]``, and the number of seeds, or None."""
        if (found := self.each(strategy, size, key)) is None:
            return None
        count, each = len(found.values), found.draws
        if count > 1:
            # The variance of resampled means of n seeds is (n − 1) / n times too small, so the draws are stretched.
            centre = each.mean(axis=0)
            each = centre + (each - centre) * np.sqrt(count / (count - 1))
        seeds = np.random.default_rng(1).integers(0, count, (count, DRAWS))
        return float(found.values.mean()), np.take_along_axis(each, seeds, axis=0).mean(axis=0), count

    def _check(self) -> None:
        if not on_same_data([*self.about.values()]):
            raise outdated("the cells of this study were measured on different data", self.study.output / "cells",
                           "the cells to run them again")  # fmt: skip
        for cell, about in self.about.items():
            if cell.strategy == START:
                continue
            wanted = {**self.study.train, **self.study.strategy(cell.strategy).settings}
            # The rate of a cell may come from the trials.
            wanted.pop("learning_rate", None)
            # Recipes of earlier versions have the old names of settings.
            made = {RENAMED.get(name, name): value for name, value in about.get("recipe", {}).items()}
            for name in sorted(wanted):
                if made.get(name, wanted[name]) != wanted[name]:
                    problem = f"this cell has {name} {made[name]!r}, and the study has {wanted[name]!r}"
                    raise outdated(problem, self._cells[cell].path)

    def estimate(self, strategy: str, size: int, key: str) -> Estimate | None:
        """Return a figure with its interval, or None without a cell."""
        found = self.draws(strategy, size, key)
        return None if found is None else Estimate(found[0], interval(found[1]), found[2])

    def retention(self, strategy: str, size: int, key: str, *, of: str = START) -> Estimate | None:
        """Return a figure as a share of the start's, or with ``of="best"`` of the strategy's own at its best size."""
        own = self.draws(strategy, size, key)
        other = self.draws(START, size, key) if of == START else self._best(strategy, key)
        if own is None or other is None or other[0] == 0:
            return None
        # A draw whose reference is 0 has no ratio, and the interval leaves it out.
        ratios = np.divide(own[1], other[1], out=np.full_like(own[1], np.nan), where=other[1] != 0)
        return Estimate(own[0] / other[0], interval(ratios), own[2])

    def measured(self) -> list[tuple[str, str, str]]:
        """Return (test, slice, figure) for everything that a cell has and the study wants to report."""
        every = {key for sums in self._sums.values() for key in sums}
        found: list[tuple[str, str, str]] = []
        for test, part, figure in product(self.study.tests, PARTS, FIGURES):
            setting = figure.partition(".")[0]
            if f"{test.on}|{part}|{figure}" in every and setting in (test.settings or SETTINGS):
                measured = next(iter(self.about.values()))["figures"]["datasets"][test.on]
                found += [(test.on, part, figure)] if measured[setting] is not None else []
        return found

    def _best(self, strategy: str, key: str) -> tuple[float, Doubles, int] | None:
        sizes = [(found[0], size) for size in self.study.sizes if (found := self.draws(strategy, size, key))]
        best = (min if is_distance(key) else max)(sizes, default=None)
        return None if best is None else self.draws(strategy, best[1], key)


def _drawn(found: Sequence[Sums]) -> SeedFigures:
    # All seeds in one call, which counts the groups of a draw once.
    drawn = np.stack(list(draw({str(place): sums for place, sums in enumerate(found)}, DRAWS, 0).values()))
    groups = int(found[0].number.any(axis=1).sum())
    # A single group says nothing about how much groups differ.
    return SeedFigures(np.array([sums.mean() for sums in found]), drawn if groups > 1 else drawn * np.nan, groups)


def _read(path: Path) -> dict[str, Sums]:
    with np.load(path, allow_pickle=False) as arrays:
        keys = [name.removesuffix("|total") for name in arrays.files if name.endswith("|total")]
        both = {key: (arrays[f"{key}|total"], arrays[f"{key}|number"]) for key in keys}
    return {key: Sums(*(array.astype(np.float64) for array in pair)) for key, pair in both.items()}


def as_dict(results: Results) -> dict[str, Any]:
    """Return every value, retention and comparison, ready for JSON."""
    study = results.study
    values: dict[str, Any] = {}
    for test, part, figure in results.measured():
        key = f"{test}|{part}|{figure}"
        rows: dict[str, Any] = {}
        for strategy, size in product(study.names, study.sizes):
            if (found := results.estimate(strategy, size, key)) is None:
                continue
            row: dict[str, Any] = asdict(found)
            for of in references(part) if strategy != START and not is_distance(figure) else ():
                kept = results.retention(strategy, size, key, of=of)
                row[f"retention_of_{of}"] = asdict(kept) if kept else {}
            rows.setdefault(strategy, {})[size_key(size)] = row
        values.setdefault(test, {}).setdefault(part, {})[figure] = rows
    answer: dict[str, Any] = {}
    for comparison in comparisons(results):
        about = {**asdict(comparison.gap), "p": comparison.p, "p_corrected": comparison.corrected}
        answer.setdefault(size_key(comparison.size), {})[comparison.key] = about
    sizes = list(map(size_key, study.sizes))
    return {"strategies": study.names[1:], "sizes": sizes, "values": values, "answer": answer}


def size_key(size: int) -> str:
    """Return a number of languages as reports write it: 0 is ``all``."""
    return str(size or "all")


def references(part: str) -> tuple[str, ...]:
    """Return what the figures of a slice are shares of: the start's, and at equal languages the strategy's best."""
    return (START, "best") if part in FIXED else (START,)


def is_distance(key: str) -> bool:
    """Return whether a figure is a distance, of which lower is better and shares mean nothing."""
    return key.endswith("rank_distance")


@dataclass(frozen=True)
class Comparison:
    """One figure, ``test|slice|figure``, of focus and rival at one number of languages.

    The gap is how much more of the start's value the focus keeps, as a share of that value. ``p`` is None if focus and
    rival have one seed or one question group in common, or fewer seeds than the study has for them. ``corrected`` is
    after Holm's correction for ``of`` comparisons: all of the study, whether their cells are finished or not.
    """

    key: str
    size: int
    gap: Estimate
    p: float | None
    corrected: float | None
    of: int

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
    planned, unfinished = len(study.shared_seeds(study.focus, study.rival)), 0
    keys = ["|".join(each) for each in results.measured() if each[1] in FIXED and not is_distance(each[2])]
    for key, size in product(keys, study.shared_sizes(study.focus, study.rival)):
        done = len({*results.seeds(study.focus, size)} & {*results.seeds(study.rival, size)}) == planned
        unfinished += not done
        if pair := difference(results, study.focus, study.rival, size, key):
            found.append((key, size, pair[0], pair[1] if done else None))
    # A report before the end must not call significant what the whole study may not.
    known = [p for *_, p in found if p is not None] + [1.0] * unfinished
    corrected = iter(holm(known))
    return [Comparison(key, size, gap, p, None if p is None else next(corrected), len(known))
            for key, size, gap, p in found]  # fmt: skip


def difference(results: Results, one: str, other: str, size: int, key: str) -> tuple[Estimate, float | None] | None:
    """Return how much more of the start's value one strategy keeps than another, and p, or None if a cell is missing.

    Only seeds that both strategies have are used, so that the difference is paired. Its variance is that of the mean
    over seeds plus that over draws of question groups. Interval and p are those of a t-test with the degrees of freedom
    of Welch and Satterthwaite, so that three seeds count as three. With one seed or one question group, p is None
    (:func:`t_test`).
    """
    seeds = tuple(sorted(set(results.seeds(one, size)) & set(results.seeds(other, size))))
    found = gap(results, one, other, size, key, seeds)
    return None if found is None else t_test(found)


def gap(
    results: Results, one: str, other: str, size: int, key: str, seeds: tuple[int, ...], *, of_start: bool = True
) -> SeedFigures | None:  # fmt: skip
    """Return how much more of the start's value one strategy keeps than another, or None if a cell is missing.

    Without ``of_start``, return how much larger its figure is.
    """
    one_each, other_each = (results.each(name, size, key, seeds) for name in (one, other))
    if one_each is None or other_each is None or len(one_each.values) != len(other_each.values):
        return None
    found = SeedFigures(one_each.values - other_each.values, one_each.draws - other_each.draws, one_each.groups)
    if not of_start:
        return found
    start = results.each(START, size, key)
    if start is None or not start.values[0]:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        return SeedFigures(found.values / start.values[0], found.draws / start.draws[0], start.groups)


def combined(gaps: Sequence[SeedFigures], contrast: str) -> SeedFigures:
    """Return the ``mean`` of differences, such as those at all sizes, or the ``slope``, the last less the first.

    Seeds and groups are the same in all, so they stay paired.
    """
    gaps = [gaps[0], gaps[-1]] if contrast == "slope" else gaps
    weights = [-1, 1] if contrast == "slope" else [1 / len(gaps)] * len(gaps)
    values = np.tensordot(weights, np.stack([each.values for each in gaps]), 1)
    draws = np.tensordot(weights, np.stack([each.draws for each in gaps]), 1)
    return SeedFigures(values, draws, min(each.groups for each in gaps))


def spread(gap: SeedFigures, *, seeds: int | None = None, groups: float | None = None) -> tuple[float, float]:
    """Return the standard error of a mean difference and its degrees of freedom (Welch and Satterthwaite).

    The variance is that over draws of question groups plus that over seeds. With one seed, only the first counts. That
    over draws of G groups is (G − 1) / G times too small, which is put right. The error is 0 if nothing varies, or if
    fewer than two question groups have a value.
    ``seeds`` and ``groups`` are those of another study that varies as much, by default those of the difference.
    """
    over_groups = gap.draws.mean(axis=0)
    known = over_groups[np.isfinite(over_groups)]
    seeds, groups = seeds or len(gap.values), groups or gap.groups
    parts = [float(values.var(ddof=1)) if len(values) > 1 else 0.0 for values in (known, gap.values)]
    parts[0] *= gap.groups / groups * gap.groups / max(1, gap.groups - 1)
    parts[1] /= seeds
    whole = sum(parts)
    if whole < 1e-24 or len(known) < 2:
        return 0.0, 1.0
    return whole**0.5, whole**2 / (parts[0] ** 2 / max(1, groups - 1) + parts[1] ** 2 / max(1, seeds - 1))


def t_test(gap: SeedFigures) -> tuple[Estimate, float | None]:
    """Return the mean of a difference with its interval, and its p-value.

    Seeds and question groups stand for others of their kind. With one group that has a value, nothing is known of
    others, and there is neither. With one seed, there is no p-value, and the interval is over question groups only.

    >>> draws = np.random.default_rng(0).normal(0.1, 0.01, (1, 1000)) + np.array([[0.0], [0.02], [-0.02]])
    >>> found, p = t_test(SeedFigures(np.array([0.1, 0.12, 0.08]), draws, 200))
    >>> [round(end, 2) for end in found.interval], round(p, 3)
    ([0.06, 0.14], 0.001)
    """
    from scipy import stats

    seeds, value = len(gap.values), float(gap.values.mean())
    over_groups = interval(gap.draws.mean(axis=0)) if gap.groups > 1 else None
    if seeds < 2 or over_groups is None:
        return Estimate(value, over_groups, seeds), None
    error, freedom = spread(gap)
    if not error:
        return Estimate(value, (value, value), seeds), 1.0 if abs(value) < 1e-12 else 0.0
    reach = float(stats.t.ppf(0.975, freedom)) * error
    p = 2 * float(stats.t.sf(abs(value) / error, freedom))
    return Estimate(value, (value - reach, value + reach), seeds), p
