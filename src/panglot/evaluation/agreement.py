"""Whether the same question, asked in two languages, gets the same ranking."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from panglot.corpus.collection import Ints
    from panglot.evaluation.lattice import Doubles
    from panglot.evaluation.ranks import Ranks

Lists = npt.NDArray[np.int64]


def rank_correlation(ranks: Ranks, depth: int = 20) -> Doubles:
    """Mean Kendall τ between a question's ranking and those of its translations, shape ``[questions]``.

    Rankings are over passage groups: a group stands where the first of its versions stands in the pool of
    all languages. They are cut: each is the first ``depth`` groups among the first passages that
    :class:`Ranks` keeps, and the groups that only the other one has share one place behind them (τ-b; the
    agreement of cut lists, after MRC@k, 2509.06195). Questions without a translation are left out; of two
    questions in one group and language, the first stands for both.
    """
    questions, languages = len(ranks.question_language), len(ranks.languages)
    cell = ranks.question_group * languages + ranks.question_language
    cells, first, inverse = np.unique(cell, return_index=True, return_inverse=True)
    group, language = np.divmod(cells, languages)
    member = np.full((group.max(initial=-1) + 1, languages), -1, np.int64)
    member[group, language] = first
    lists = np.full((questions, depth), -1, np.int64)
    asked = first[np.isin(group, np.flatnonzero(np.bincount(group) > 1))]
    lists[asked] = _group_lists(ranks.passage_group[ranks.top[asked]], depth)
    total, number = np.zeros(questions), np.zeros(questions)
    for x, y in combinations(range(languages), 2):
        both = np.flatnonzero((member[:, x] >= 0) & (member[:, y] >= 0))
        for start in range(0, len(both), 1 << 12):
            a, b = member[both[start : start + (1 << 12)]][:, [x, y]].T
            tau = kendall(lists[a], lists[b])
            known = np.isfinite(tau)
            for side in (a, b):
                total[side[known]] += tau[known]
                number[side[known]] += 1
    with np.errstate(invalid="ignore"):
        return (total / number)[first][inverse]


def kendall(a: Lists, b: Lists) -> Doubles:
    """Return Kendall's τ-b between cut lists: what only the other list has shares one place behind.

    Args:
        a: Distinct items in order, −1 behind the end of a shorter list, shape ``[pairs, depth]``.
        b: The lists to compare with, of the same shape.

    Returns:
        One τ a pair, from −1 to 1; NaN where a list orders nothing.

    >>> kendall(np.array([[1, 2, 3]]), np.array([[1, 3, 2]])).round(3)
    array([0.333])
    """
    depth = a.shape[1]
    same = (a[:, :, None] == b[:, None, :]) & (a >= 0)[:, :, None]
    in_b, in_a = same.any(axis=2), same.any(axis=1)
    # Place in b of each item of a: items of a that b lacks share the place behind its end.
    place = np.where(in_b, same.argmax(axis=2), depth)
    size_a, size_b, common = (a >= 0).sum(axis=1), (b >= 0).sum(axis=1), in_b.sum(axis=1)
    balance = np.zeros(len(a), np.int64)
    for i in range(depth - 1):
        later = place[:, i + 1 :]
        steps = np.sign(later - place[:, i, None], dtype=np.int64)
        balance += (steps * ((a[:, i] >= 0)[:, None] & (a[:, i + 1 :] >= 0))).sum(axis=1)
    # A common item and one of b alone agree if b puts the common one first.
    alone = ~in_a & (b >= 0)
    commons_before = np.cumsum(in_a, axis=1)
    balance += (np.where(alone, 2 * commons_before - common[:, None], 0)).sum(axis=1)
    only_a, only_b = size_a - common, size_b - common
    balance -= only_a * only_b
    items = size_a + only_b
    pairs = items * (items - 1) // 2
    untied = (pairs - only_b * (only_b - 1) // 2) * (pairs - only_a * (only_a - 1) // 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return balance / np.sqrt(untied)


def _group_lists(groups: Ints, depth: int) -> Lists:
    """Return the first ``depth`` distinct groups of each row, in order, −1 behind the end."""
    rows, width = groups.shape
    flat = groups + np.arange(rows)[:, None] * (groups.max(initial=0) + 1)
    _, first = np.unique(flat, return_index=True)
    fresh = np.zeros(rows * width, bool)
    fresh[first] = True
    fresh = fresh.reshape(rows, width)
    place = np.cumsum(fresh, axis=1) - 1
    row, column = np.nonzero(fresh & (place < depth))
    lists = np.full((rows, depth), -1, np.int64)
    lists[row, place[row, column]] = groups[row, column]
    return lists
