"""Language bias in the pool of all languages: who stands where, and whose languages fill the head.

Every function gives one value a question, NaN for a question that is left out, so that one set of means and
intervals serves them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from panglot.corpus.collection import Ints
    from panglot.evaluation.lattice import Doubles
    from panglot.evaluation.ranks import Ranks


@dataclass(frozen=True)
class Spans:
    """The relevant passages of each question in the pooled ranking, shape ``[questions]`` each.

    Attributes:
        languages: Number of languages that have a relevant passage.
        first: Rank of the best relevant passage; NaN without any.
        last: Rank of the worst.
        first_language: Language of the best; −1 without any.
    """

    languages: Ints
    first: Doubles
    last: Doubles
    first_language: Ints

    @property
    def parallel(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which questions have relevant passages in two languages or more."""
        return self.languages > 1


def spans(ranks: Ranks) -> Spans:
    """Find the first and the last relevant passage of each question."""
    questions, languages = len(ranks.question_language), len(ranks.languages)
    first, last = np.full(questions, np.inf), np.full(questions, -np.inf)
    np.minimum.at(first, ranks.question, ranks.pooled)
    np.maximum.at(last, ranks.question, ranks.pooled)
    none = np.isinf(first)
    first[none], last[none] = np.nan, np.nan
    language = ranks.passage_language[ranks.passage]
    cells = np.unique(ranks.question * languages + language)
    first_language = np.full(questions, -1, np.int64)
    best = ranks.pooled == first[ranks.question]
    first_language[ranks.question[best]] = language[best]
    return Spans(np.bincount(cells // languages, minlength=questions), first, last, first_language)


def rank_distance(span: Spans) -> Doubles:
    """Largest rank − smallest rank among the relevant passages (2408.10536).

    Questions with relevant passages in fewer than two languages are left out here, and in
    :func:`max_rank`, :func:`complete` and :func:`language_preference`.
    """
    return np.where(span.parallel, span.last - span.first, np.nan)


def max_rank(span: Spans) -> Doubles:
    """Rank of the last relevant passage."""
    return np.where(span.parallel, span.last, np.nan)


def complete(span: Spans, cut: int) -> Doubles:
    """1 where all relevant passages are within ``cut``, else 0."""
    return np.where(span.parallel, (span.last <= cut).astype(float), np.nan)


def language_preference(span: Spans, ranks: Ranks) -> Doubles:
    """1 where the best-ranked relevant passage is in the question's own language, else 0 (2605.07249).

    Questions without a relevant passage in their own language are left out too.
    """
    own = np.zeros(len(span.languages), bool)
    language = ranks.passage_language[ranks.passage]
    own[ranks.question[language == ranks.question_language[ranks.question]]] = True
    preferred = (span.first_language == ranks.question_language).astype(float)
    return np.where(span.parallel & own, preferred, np.nan)


def head_shares(ranks: Ranks, cut: int) -> Doubles:
    """Share of each language among the first ``cut`` passages, shape ``[questions, languages]``."""
    questions, languages = len(ranks.question_language), len(ranks.languages)
    head = ranks.passage_language[ranks.top[:, :cut]]
    cells = np.arange(questions)[:, None] * languages + head
    counts = np.bincount(cells.ravel(), minlength=questions * languages).reshape(questions, languages)
    return counts / max(1, head.shape[1])


def self_preference(ranks: Ranks, cut: int) -> Doubles:
    """Share of the question's language among the first ``cut``, divided by its share of the pool.

    1 is no preference. Questions in a language without passages are left out.
    """
    own = head_shares(ranks, cut)[np.arange(len(ranks.question_language)), ranks.question_language]
    pool = ranks.pool[ranks.question_language] / ranks.pool.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(pool > 0, own / pool, np.nan)


def peer(ranks: Ranks, cut: int) -> Doubles:
    """Probability of equal expected rank at ``cut`` (PEER, 2405.00978).

    For each grade of a question's relevant passages, the p-value of a Kruskal-Wallis test that their ranks
    do not depend on their language; passages beyond ``cut`` share one tail rank. The mean over the grades.
    A grade with fewer than two languages counts 1, and so does one whose passages are all beyond ``cut``.
    """
    from scipy.special import chdtrc

    questions, languages = len(ranks.question_language), len(ranks.languages)
    grades = ranks.grade.max(initial=0) + 1
    levels, unit = np.unique(ranks.question * grades + ranks.grade, return_inverse=True)
    units, asked = len(levels), levels // grades
    order = np.lexsort((ranks.pooled, unit))
    unit, rank = unit[order], ranks.pooled[order]
    cell = unit * languages + ranks.passage_language[ranks.passage[order]]
    size = np.bincount(unit, minlength=units)
    inside = np.bincount(unit[rank <= cut], minlength=units)
    tail = size - inside
    place = np.arange(1, len(unit) + 1) - (np.cumsum(size) - size)[unit]
    # The test is on the ranks within the sample; the tail is one tie.
    place = np.where(rank <= cut, place, inside[unit] + (tail[unit] + 1) / 2)
    number = np.bincount(cell, minlength=units * languages).reshape(units, languages)
    sums = np.bincount(cell, place, units * languages).reshape(units, languages)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = np.where(number > 0, sums**2 / number, 0.0).sum(axis=1)
        statistic = 12 / (size * (size + 1)) * between - 3 * (size + 1)
        statistic /= 1 - (tail**3 - tail) / (size**3 - size)
        freedom = (number > 0).sum(axis=1) - 1
        p = np.where((freedom > 0) & (inside > 0), chdtrc(freedom, np.maximum(statistic, 0)), 1.0)
    with np.errstate(invalid="ignore"):
        return np.bincount(asked, p, questions) / np.bincount(asked, minlength=questions)
