"""Figures question by question, with intervals and tests over question groups: by bootstrap, permutation, formulas.

Groups keep translations together, because the values of a question and of its translations are not independent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from panglot._environment import cores
from panglot.evaluation import bias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.data.collection import Ints
    from panglot.evaluation.exact_scores import Bools, Doubles
    from panglot.evaluation.measures import Measure
    from panglot.evaluation.ranks import Ranks

# Draws × groups at once, 32 MB as doubles.
_CELLS = 1 << 22
_Z = 1.959963984540054
# Fewer groups do not show how much groups vary. With fewer on either side, no difference is reported.
_MIN_GROUPS = 10


@dataclass(frozen=True)
class Sums:
    """A figure as sums and numbers of the values of each question group in each cell, shape ``[groups, cells]``.

    The figure is the mean over cells of the mean over a cell's questions: (1 / C) Σ_c Σ_g total / Σ_g number. A cell
    is a question language, or a pair of question and passage language.
    """

    total: Doubles
    number: Doubles

    @classmethod
    def of(cls, value: Doubles, language: Ints, group: Ints) -> Sums:
        """Sum values of the shape ``[questions]`` or ``[questions, languages]``, without NaN."""
        value = value[:, None] if value.ndim == 1 else value
        groups = int(group.max(initial=-1)) + 1
        row, column = np.nonzero(np.isfinite(value))
        used, place = np.unique(language[row] * value.shape[1] + column, return_inverse=True)
        at, cells = group[row] * len(used) + place, groups * len(used)
        counted = np.bincount(at, value[row, column], cells), np.bincount(at, minlength=cells)
        return cls(*(each.reshape(groups, len(used)).astype(np.float64) for each in counted))

    def mean(self) -> float:
        """Return the figure, NaN without any value."""
        number = self.number.sum(axis=0)
        return float(np.mean(self.total.sum(axis=0) / number)) if len(number) else float("nan")

    def shares(self) -> Doubles:
        """Return what each group adds to :meth:`mean`, shape ``[groups]``. The sum is the figure."""
        number = self.number.sum(axis=0)
        return (self.total / number).sum(axis=1) / max(1, len(number))


@dataclass(frozen=True, repr=False)
class PerQuestion:
    """Every headline figure question by question. Models are compared on these values.

    Attributes:
        group: Group of each question, shape ``[questions]``.
        language: Language of each question, shape ``[questions]``.
        languages: Name of each language number.
        values: By ``setting.measure``, shape ``[questions]``. Cross-lingual figures have the shape
            ``[questions, languages]``, one column per passage language. NaN where a question is left out.
    """

    group: Ints
    language: Ints
    languages: tuple[str, ...]
    values: Mapping[str, Doubles]

    def __repr__(self) -> str:
        return f"PerQuestion({len(self.group):,} questions, {len(self.values)} figures)"

    @classmethod
    def of(cls, ranks: Ranks, measures: Sequence[Measure]) -> PerQuestion:
        """Measure every question in the three settings, with the bias in the pool of all languages."""
        own = np.arange(len(ranks.question_language)), ranks.question_language
        spans = bias.spans(ranks)
        with ThreadPoolExecutor(cores()) as pool:
            biased = [pool.submit(each.values, ranks, spans) for each in bias.BIAS_MEASURES]
            measured = values(ranks, measures)
        found = {f"monolingual.{each}": by_pool[own] for each, (by_pool, _) in measured.items()}
        for each, (by_pool, _) in measured.items():
            cross = by_pool.copy()
            cross[own] = np.nan
            found[f"crosslingual.{each}"] = cross
        found |= {f"multilingual.{each}": pooled for each, (_, pooled) in measured.items()}
        found |= {
            f"multilingual.{each.name}": value.result() for each, value in zip(bias.BIAS_MEASURES, biased, strict=True)
        }
        return cls(ranks.question_group, ranks.question_language, ranks.languages, found)

    def sums(self) -> dict[str, Sums]:
        """Sum each figure over the question groups."""
        return {name: Sums.of(value, self.language, self.group) for name, value in self.values.items()}


def values(ranks: Ranks, measures: Sequence[Measure]) -> dict[Measure, tuple[Doubles, Doubles]]:
    """Measure every question in the pool of each language, ``[questions, languages]``, and of all, ``[questions]``.

    A value is NaN if the pool has no relevant passage. The column of the question's own language is the monolingual
    setting, the others are the cross-lingual setting.
    """
    questions, languages = len(ranks.question_language), len(ranks.languages)
    cell = ranks.question * languages + ranks.passage_language[ranks.passage]
    # Sorted once here, because sorting sorted arrays again is cheap for every measure.
    own, pooled = np.lexsort((ranks.rank_in_language, cell)), np.lexsort((ranks.rank_in_pool, ranks.question))
    in_language = cell[own], ranks.rank_in_language[own], ranks.relevance[own]
    in_pool = ranks.question[pooled], ranks.rank_in_pool[pooled], ranks.relevance[pooled]
    return {
        measure: (
            measure.values(*in_language, questions * languages).reshape(questions, languages),
            measure.values(*in_pool, questions),
        )
        for measure in measures
    }


def language_means(value: Doubles, language: Ints, languages: int) -> Doubles:
    """Return the mean of the finite values of each question language, shape ``[languages, ...]``.

    ``value`` has the shape ``[questions, ...]`` and ``language`` ``[questions]``. A language without values gets NaN.
    """
    columns = value.reshape(len(value), -1)
    width = columns.shape[1]
    row, column = np.nonzero(np.isfinite(columns))
    cell = language[row] * width + column
    with np.errstate(invalid="ignore", divide="ignore"):
        sums = np.bincount(cell, columns[row, column], languages * width)
        means = sums / np.bincount(cell, minlength=languages * width)
    return means.reshape(languages, *value.shape[1:])


def draw(sums: Mapping[str, Sums], draws: int, seed: int) -> dict[str, Doubles]:
    """Draw groups with replacement and compute every figure on each draw (clustered bootstrap).

    All figures are computed on the same draws, so that differences of figures have intervals too. The same seed and
    number of groups give the same draws. A cell that is empty in a draw is left out of the mean. The values have the
    shape ``[draws]``. They are NaN for a figure of fewer than two groups, whose draws would all be the same.
    """
    if not sums:
        return {}
    groups = len(next(iter(sums.values())).total)
    # One matrix product per block of draws serves all figures.
    table = np.concatenate([part for figure in sums.values() for part in (figure.total, figure.number)], axis=1)
    ends = np.cumsum([figure.total.shape[1] for figure in sums.values()])
    results = {name: np.full(draws, np.nan) for name in sums}
    # The groups that have a value count, not those of the collection.
    varies = {name: np.count_nonzero(figure.number.any(axis=1)) > 1 for name, figure in sums.items()}
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
            if not varies[name]:
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
    ``draws`` random ones, and p is (reached + 1) / (draws + 1). ``differences`` has the shape ``[groups, comparisons]``
    and what each group adds to each figure: :meth:`Sums.shares` of one model minus those of the other.
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


def share_interval(hit: Bools, group: Ints) -> tuple[float, float, float]:
    """Return the share of hits and the ends of its 95 % interval.

    The interval is Wilson's, (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n), with the effective number of
    questions n = N / deff. Kish's design effect deff is the variance between groups, stretched if they are few
    (:func:`_stretch`), divided by the variance of N independent questions. n is at most N, and at least N² / Σ_g N_g²,
    as if the questions of a group were always all hits or all none. n is that least number if all or no questions are
    hits, or with fewer than :data:`_MIN_GROUPS` groups.

    Translations share a group. ``hit`` and ``group`` have the shape ``[questions]``, with at least one question.

    >>> [round(value, 3) for value in share_interval(np.arange(20) < 4, np.arange(20))]
    [0.2, 0.081, 0.416]
    """
    number, rate, sizes = len(hit), float(hit.mean()), np.bincount(group)
    effective, groups = number**2 / float((sizes**2).sum()), int(np.count_nonzero(sizes))
    if 0 < rate < 1 and groups >= _MIN_GROUPS:
        spread = float((_deviations(hit, group, len(sizes)) ** 2).sum()) * _stretch(groups) / _Z**2
        effective = max(effective, number / max(1.0, spread / (rate * (1 - rate) / number)))
    z = _Z**2 / effective
    middle = (rate + z / 2) / (1 + z)
    half = _Z * math.sqrt(rate * (1 - rate) / effective + z / (4 * effective)) / (1 + z)
    return rate, max(0.0, middle - half), min(1.0, middle + half)


def share_difference(hit: Bools, group: Ints, inside: Bools) -> tuple[float, float, float] | None:
    """Return how much larger the share of hits is among some questions than among the rest, and its 95 % interval.

    The interval of the difference is made of those of the shares, [l, u] of p and [l', u'] of p', as Newcombe (1998)
    does: p − p' − √((p − l)² + (u' − p')² − 2r(p − l)(u' − p')), and the upper end likewise. r is the correlation of p
    and p' by Zou and Donner (2008), Σ_g e_g e'_g / √(Σ_g e_g² Σ_g e'_g²), where e_g and e'_g are the sums of deviations
    of group g on each side. A group may have questions on both sides.

    All arrays have the shape ``[questions]``. None is returned if either side has fewer than :data:`_MIN_GROUPS`
    groups.
    """
    if min(len(np.unique(group[side])) for side in (inside, ~inside)) < _MIN_GROUPS:
        return None
    (rate, low, high), (rest, bottom, top) = (share_interval(hit[side], group[side]) for side in (inside, ~inside))
    one, other = (_deviations(hit[side], group[side], int(group.max()) + 1) for side in (inside, ~inside))
    scale = math.sqrt(float((one**2).sum() * (other**2).sum()))
    together = float((one * other).sum()) / scale if scale else 0.0
    down, up = _reach(rate - low, top - rest, together), _reach(high - rate, rest - bottom, together)
    return rate - rest, rate - rest - down, rate - rest + up


def _reach(one: float, other: float, together: float) -> float:
    """Return how far an end of the interval of a difference is from it, given those of both sides."""
    return math.sqrt(max(0.0, one**2 + other**2 - 2 * together * one * other))


def mean_interval(value: Doubles, group: Ints) -> tuple[float, list[float] | None]:
    """Return the mean of values and its 95 % Student interval over groups, or None with fewer than two groups."""
    centre = float(value.mean())
    groups = len(np.unique(group))
    if groups < 2:
        return centre, None
    # Only groups are independent of each other.
    deviation = np.bincount(group, value - centre) / len(value)
    half = math.sqrt(float((deviation**2).sum()) * _stretch(groups))
    return centre, [centre - half, centre + half]


def _deviations(hit: Bools, group: Ints, groups: int) -> Doubles:
    """Return the sum of deviations of each group divided by the number of questions, shape ``[groups]``."""
    return np.bincount(group, hit - hit.mean(), groups) / len(hit)


def _stretch(groups: int) -> float:
    """Return t² · G / (G − 1): by how much a sum of squared deviations of G groups gives a squared half interval.

    G / (G − 1) corrects the variance for few groups, and so does Student's t in the place of z.
    """
    from scipy.special import stdtrit

    return float(stdtrit(groups - 1, 0.975)) ** 2 * groups / (groups - 1)
