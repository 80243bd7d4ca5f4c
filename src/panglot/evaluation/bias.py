"""Language bias in the pool of all languages.

Every function returns one value per question, NaN for a question that is left out, so that one set of means and
intervals serves them all. To add a measure, write its formula and an entry of ``BIAS_MEASURES``, from which
reports take its label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from panglot.evaluation.exact_scores import parts
from panglot.evaluation.measures import Measure
from panglot.evaluation.ranks import UNLISTED

if TYPE_CHECKING:
    from panglot.data.collection import Ints
    from panglot.evaluation.exact_scores import Bools, Doubles
    from panglot.evaluation.ranks import Ranks


@dataclass(frozen=True)
class Spans:
    """First and last relevant passage of each question in the pooled ranking, shape ``[questions]`` each."""

    languages: Ints  # the number of languages with a relevant passage
    own: Bools  # whether one of them is the question's own
    first: Doubles  # the ranks are NaN if no passage is relevant
    last: Doubles
    first_language: Ints  # −1 if no relevant passage is in the ranking

    @property
    def parallel(self) -> Bools:
        """Whether each question has relevant passages in two or more languages, shape ``[questions]``."""
        return self.languages > 1


def spans(ranks: Ranks) -> Spans:
    """Find the first and the last relevant passage of each question.

    A passage that a run does not list counts as the last of the pool. If it lists none, there is no first one.
    """
    questions, languages = len(ranks.question_language), len(ranks.languages)
    first, last = np.full(questions, np.nan), np.full(questions, np.nan)
    language = ranks.passage_language[ranks.passage]
    seen = np.zeros((questions, languages), bool)
    seen[ranks.question, language] = True
    first_language = np.full(questions, -1, np.int64)
    if len(ranks.question):
        listed = ranks.rank_in_pool < UNLISTED
        # The pairs of a question follow each other.
        begins = np.flatnonzero(np.diff(ranks.question, prepend=-1))
        asked = ranks.question[begins]
        lowest = np.minimum.reduceat(ranks.rank_in_pool, begins)
        first[asked] = np.where(lowest < UNLISTED, lowest, np.nan)
        places = np.where(listed, ranks.rank_in_pool, len(ranks.passage_language))
        last[asked] = np.maximum.reduceat(places, begins)
        best = ranks.rank_in_pool == first[ranks.question]
        first_language[ranks.question[best]] = language[best]
    own = seen[np.arange(questions), ranks.question_language]
    return Spans(seen.sum(axis=1), own, first, last, first_language)


def rank_distance(span: Spans) -> Doubles:
    """Return the largest − the smallest rank among the relevant passages (2408.10536), shape ``[questions]``.

    Questions with relevant passages in fewer than two languages are left out, here and in :func:`max_rank`,
    :func:`complete` and :func:`language_preference`.
    """
    return np.where(span.parallel, span.last - span.first, np.nan)


def max_rank(span: Spans) -> Doubles:
    """Return the rank of the last relevant passage, shape ``[questions]``."""
    return np.where(span.parallel, span.last, np.nan)


def complete(span: Spans, cut: int) -> Doubles:
    """Return 1 if all relevant passages are among the first ``cut``, else 0, shape ``[questions]``."""
    return np.where(span.parallel, (span.last <= cut).astype(float), np.nan)


def language_preference(span: Spans, ranks: Ranks) -> Doubles:
    """Return 1 if the first relevant passage is in the question's language, else 0 (2605.07249), shape ``[questions]``.

    Questions without a relevant passage in their own language, or in the ranking, are left out too.
    """
    preferred = (span.first_language == ranks.question_language).astype(float)
    return np.where(span.parallel & span.own & (span.first_language >= 0), preferred, np.nan)


def language_ndcg(span: Spans, ranks: Ranks, cut: int) -> Doubles:
    """Return nDCG in which a relevant passage in the question's language gains twice as much, shape ``[questions]``.

    This is nDCG at ``cut`` in the pool of all languages, with the gain 2 · relevance in the question's own language and
    1 · relevance in any other, so 1 means that the own version comes first and the others follow. The name and the idea
    are those of Lang-nDCG in MLAIRE (2605.07249). The weights are ours, because that paper's were not at hand.
    Questions whose relevant passages are not both in their own and in another language are left out.
    """
    own = ranks.passage_language[ranks.passage] == ranks.question_language[ranks.question]
    gains = ranks.relevance * np.where(own, 2, 1)
    values = Measure("nDCG", cut).values(ranks.question, ranks.rank_in_pool, gains, len(ranks.question_language))
    return np.where(span.parallel & span.own, values, np.nan)


def _first_passage(span: Spans, ranks: Ranks, *, right: bool, own: bool) -> Doubles:
    """Return 1 if the first passage is right (or wrong) and in the own (or another) language, else 0.

    The shape is ``[questions]``. The four cases are MLAIRE's four-way decomposition (2605.07249), and add up to 1.
    *Right* means judged relevant. In a pool of translations, *wrong, own language* is a failure of meaning, and *right,
    other language* is one of preference if the reader prefers the own language. MLAIRE's pools have every answer in
    every language. Here, every question counts that has a relevant passage and a ranking that is not empty.
    """
    first = ranks.top[:, 0]
    found = ((span.first == 1) == right) & ((ranks.passage_language[first] == ranks.question_language) == own)
    return np.where((span.languages > 0) & (first >= 0), found.astype(float), np.nan)


def head_shares(ranks: Ranks, cut: int) -> Doubles:
    """Return the share of each language among the first ``cut`` passages, shape ``[questions, languages]``.

    The shares of a question whose ranking is empty are NaN.
    """
    questions, languages = len(ranks.question_language), len(ranks.languages)
    row, place = np.nonzero(ranks.top[:, :cut] >= 0)
    cells = row * languages + ranks.passage_language[ranks.top[row, place]]
    counts = np.bincount(cells, minlength=questions * languages).reshape(questions, languages)
    with np.errstate(invalid="ignore"):
        return counts / counts.sum(axis=1, keepdims=True)


def self_preference(ranks: Ranks, cut: int) -> Doubles:
    """Return the share of the question's language in the first ``cut``, divided by its share of the pool.

    The shape is ``[questions]``, and 1 means no preference. Questions in a language without passages are left out.
    """
    own = head_shares(ranks, cut)[np.arange(len(ranks.question_language)), ranks.question_language]
    pool = ranks.pool[ranks.question_language] / ranks.pool.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(pool > 0, own / pool, np.nan)


def peer(ranks: Ranks, cut: int) -> Doubles:
    """Return the probability of equal expected rank at ``cut`` (PEER, 2405.00978), shape ``[questions]``.

    Each grade of relevance of a question gives the p-value of a Kruskal-Wallis test that ranks do not depend on
    language. Passages after ``cut`` share one tail rank. The value is the mean over grades. A grade counts 1 if it has
    passages in fewer than two languages, or none within ``cut``.

    With n_l passages of language l, their ranks r within the sample of n, and t passages in the tail:

        H = [12 / (n(n + 1)) · Σ_l (Σ r)² / n_l − 3(n + 1)] / [1 − (t³ − t) / (n³ − n)], χ² with L − 1 degrees
    """
    from scipy.special import chdtrc

    questions, languages = len(ranks.question_language), len(ranks.languages)
    grades = ranks.relevance.max(initial=0) + 1
    levels, unit = np.unique(ranks.question * grades + ranks.relevance, return_inverse=True)
    units, asked = len(levels), levels // grades
    order = np.lexsort((ranks.rank_in_pool, unit))
    unit, rank = unit[order], ranks.rank_in_pool[order]
    cell = unit * languages + ranks.passage_language[ranks.passage[order]]
    size = np.bincount(unit, minlength=units)
    inside = np.bincount(unit[rank <= cut], minlength=units)
    tail = size - inside
    place = np.arange(1, len(unit) + 1) - (np.cumsum(size) - size)[unit]
    # The test uses ranks within the sample, in which the tail is one tie.
    place = np.where(rank <= cut, place, inside[unit] + (tail[unit] + 1) / 2)
    number = np.bincount(cell, minlength=units * languages).reshape(units, languages)
    sums = np.bincount(cell, place, units * languages).reshape(units, languages)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = np.where(number > 0, sums**2 / number, 0.0).sum(axis=1)
        statistic = 12 / (size * (size + 1)) * between - 3 * (size + 1)
        # Ties shrink the variance of ranks; here only the tail is tied.
        statistic /= 1 - (tail**3 - tail) / (size**3 - size)
        freedom = (number > 0).sum(axis=1) - 1
        p = np.where((freedom > 0) & (inside > 0), chdtrc(freedom, np.maximum(statistic, 0)), 1.0)
    with np.errstate(invalid="ignore"):
        return np.bincount(asked, p, questions) / np.bincount(asked, minlength=questions)


def rank_correlation(ranks: Ranks, depth: int = 20) -> Doubles:
    """Return the mean Kendall τ between a question's ranking and those of its translations, shape ``[questions]``.

    A ranking lists passage groups, each at the first of its versions in the pool of all languages. It is cut to the
    first ``depth`` groups among the passages that :class:`Ranks` keeps. Groups that only the other list has share one
    place after its end (τ-b, the agreement of cut lists after MRC@k, 2509.06195). Questions without a translation are
    left out. Of two questions in one group and language, the first represents both.
    """
    questions, languages = len(ranks.question_language), len(ranks.languages)
    cell = ranks.question_group * languages + ranks.question_language
    # A group can ask twice in one language; the first question then represents both.
    cells, first, inverse = np.unique(cell, return_index=True, return_inverse=True)
    group, language = np.divmod(cells, languages)
    member = np.full((group.max(initial=-1) + 1, languages), -1, np.int64)
    member[group, language] = first
    lists = np.full((questions, depth), -1, np.int64)
    # Lists are made only for groups asked in two languages.
    asked = first[np.isin(group, np.flatnonzero(np.bincount(group) > 1))]
    groups = np.where(ranks.top[asked] >= 0, ranks.passage_group[ranks.top[asked]], -1)
    lists[asked] = _group_lists(groups, depth)
    total, number = np.zeros(questions), np.zeros(questions)
    for x in range(languages - 1):
        both = np.stack(np.nonzero((member[:, x, None] >= 0) & (member[:, x + 1 :] >= 0)), axis=1)
        # Blocks bound the memory of the comparison of items.
        for block in parts(both, 1 << 14):
            a, b = member[block[:, 0], x], member[block[:, 0], x + 1 + block[:, 1]]
            tau = kendall(lists[a], lists[b])
            known = np.isfinite(tau)
            for side in (a[known], b[known]):
                np.add.at(total, side, tau[known])
                np.add.at(number, side, 1)
    with np.errstate(invalid="ignore"):
        return (total / number)[first][inverse]


def kendall(a: Ints, b: Ints) -> Doubles:
    """Return Kendall's τ-b between cut lists, in which items of the other list alone share one place after the end.

    τ-b = (agreeing − disagreeing pairs) / √(pairs that a orders · pairs that b orders)

    Both have the shape ``[pairs, depth]``: distinct items in order, −1 after the end of a shorter list. There is one τ
    per pair, NaN if a list orders nothing.

    >>> kendall(np.array([[1, 2, 3]]), np.array([[1, 3, 2]])).round(3)
    array([0.333])
    """
    depth = a.shape[1]
    size_a, size_b = (a >= 0).sum(axis=1), (b >= 0).sum(axis=1)
    # With the places first, every step below runs over long rows of small numbers.
    a, b = np.ascontiguousarray(a.T), np.ascontiguousarray(np.where(b < 0, -2, b).T)
    # Place in b of each item of a. Items that b lacks share the place after its end.
    place = np.empty(a.shape, np.int16)
    in_a = np.zeros(b.shape, bool)
    behind = np.arange(-depth, 0, dtype=np.int16)[:, None]
    for i in range(depth):
        same = b == a[i]
        in_a |= same
        place[i] = (same * behind).sum(axis=0, dtype=np.int16) + depth
    common = (place < depth).sum(axis=0)
    # Places after the end of a shorter list would count as items that only a has.
    balance = -common * (depth - size_a)
    for i in range(depth - 1):
        later = place[i + 1 :]
        balance += (later > place[i]).sum(axis=0, dtype=np.int16)
        balance -= (later < place[i]).sum(axis=0, dtype=np.int16)
    # A common item and one of b alone agree if b puts the common one first.
    balance += np.where(~in_a & (b >= 0), 2 * np.cumsum(in_a, axis=0) - common, 0).sum(axis=0)
    only_a, only_b = size_a - common, size_b - common
    balance -= only_a * only_b
    items = size_a + only_b
    pairs = items * (items - 1) // 2
    untied = (pairs - only_b * (only_b - 1) // 2) * (pairs - only_a * (only_a - 1) // 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return balance / np.sqrt(untied)


class BiasMeasure(NamedTuple):
    """A measure of language bias in the pool of all languages. ``{k}`` in its texts is the cut-off.

    A preference for a language can be wanted, so ``neither`` of two values is better.
    """

    name: str  # the key in the dictionary of figures
    better: Literal["lower", "higher", "neither"]
    label: str
    kind: Literal["score", "rank", "percent", "times"]  # how panglot.report.labels.format_number writes its values
    meaning: str  # in a sentence or two
    values: Callable[[Ranks, Spans], Doubles]  # one value per question


def _complete_within(cut: int) -> BiasMeasure:
    return BiasMeasure(
        f"complete@{cut}", "higher", "Complete within {k}", "percent",
        "Share of questions with all relevant passages in the first {k}.",
        lambda _, span: complete(span, cut),
    )  # fmt: skip


def _first(right: bool, own: bool, meaning: str) -> BiasMeasure:
    names = "right" if right else "wrong", "own" if own else "other"
    return BiasMeasure(
        f"first_{names[0]}_{names[1]}", "neither" if right else "lower", f"First: {names[0]}, {names[1]} language",
        "percent", meaning, lambda ranks, span: _first_passage(span, ranks, right=right, own=own),
    )  # fmt: skip


#: In the order in which reports show them.
BIAS_MEASURES = (
    BiasMeasure(
        "rank_distance", "lower", "Rank distance", "rank",
        "Ranks between the first and the last relevant passage. It grows with the pool.",
        lambda _, span: rank_distance(span),
    ),
    BiasMeasure(
        "rank_distance_share", "lower", "Rank distance, share of pool", "percent",
        "Rank distance divided by the pool size, to compare pools.",
        lambda ranks, span: rank_distance(span) / max(1, len(ranks.passage_language) - 1),
    ),
    BiasMeasure(
        "max_rank", "lower", "Largest rank", "rank", "Rank of the last relevant passage.",
        lambda _, span: max_rank(span),
    ),
    _complete_within(20),
    _complete_within(100),
    BiasMeasure(
        "PEER@20", "higher", "PEER@{k}", "score",
        "p-value of a test that ranks do not depend on language. 1 means no sign of bias. With one relevant passage "
        "per language, as in parallel sets, it cannot become significant.",
        # If no question has passages in two languages, PEER is 1 by definition and means nothing.
        lambda ranks, span: np.where(span.parallel.any(), peer(ranks, 20), np.nan),
    ),
    BiasMeasure(
        "language_preference_rate", "neither", "Own language first", "percent",
        "How often the best answer is in the question's own language.",
        lambda ranks, span: language_preference(span, ranks),
    ),
    BiasMeasure(
        "Lang-nDCG@10", "higher", "Lang-nDCG@{k}", "score",
        "nDCG in which an answer in the question's own language counts twice as much as one in another.",
        lambda ranks, span: language_ndcg(span, ranks, 10),
    ),
    _first(right=True, own=True, meaning="How often the first passage answers the question in its own language."),
    _first(right=True, own=False, meaning="How often the first passage answers the question in another language."),
    _first(right=False, own=True, meaning="How often it does not answer it, and is in the question's language."),
    _first(right=False, own=False, meaning="How often it does not answer it, and is in another language."),
    BiasMeasure(
        "rank_correlation", "higher", "Rank correlation", "score",
        "How similar the rankings of a question asked in two languages are. 1 means identical.",
        lambda ranks, _: rank_correlation(ranks),
    ),
    BiasMeasure(
        "self_preference@10", "neither", "Self-preference@{k}", "times",
        "The own language's share of the first {k} divided by its share of the pool. 1× is neutral.",
        lambda ranks, _: self_preference(ranks, 10),
    ),
)  # fmt: skip
LOWER_IS_BETTER = frozenset(each.name for each in BIAS_MEASURES if each.better == "lower")
NEITHER_IS_BETTER = frozenset(each.name for each in BIAS_MEASURES if each.better == "neither")


def _group_lists(groups: Ints, depth: int) -> Ints:
    """Return the first ``depth`` distinct groups of each row, in order, −1 after the end, as in ``groups``."""
    rows, width = groups.shape
    # Sorted by group, then column, so that the first of each run is where the group comes first.
    bits, fresh = width.bit_length(), np.zeros((rows, width), bool)
    keys = np.sort(groups + 1 << bits | np.arange(width), axis=1)
    row, run = np.nonzero(np.diff(keys >> bits, axis=1, prepend=0))
    fresh[row, keys[row, run] & (1 << bits) - 1] = True
    place = np.cumsum(fresh, axis=1) - 1
    row, column = np.nonzero(fresh & (place < depth))
    lists = np.full((rows, depth), -1, np.int64)
    lists[row, place[row, column]] = groups[row, column]
    return lists
