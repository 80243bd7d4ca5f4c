"""The three settings: which pool, which passages are relevant, what is averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from panglot.evaluation.bias import spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.data.collection import Ints
    from panglot.evaluation.exact_scores import Doubles
    from panglot.evaluation.measures import Measure
    from panglot.evaluation.ranks import Ranks


@dataclass(frozen=True)
class Values:
    """One measure in all settings, question by question.

    Attributes:
        by_pool: Value of each question in the pool of each language; NaN where that pool has no relevant
            passage; shape ``[questions, languages]``. The column of the question's own language is the
            monolingual setting, the others the cross-lingual one.
        pooled: Value of each question in the pool of all languages, shape ``[questions]``.
    """

    by_pool: Doubles
    pooled: Doubles


def values(ranks: Ranks, measures: Sequence[Measure]) -> dict[Measure, Values]:
    """Measure every question in every language's pool, and in the pool of all."""
    questions, languages = len(ranks.question_language), len(ranks.languages)
    cell = ranks.question * languages + ranks.passage_language[ranks.passage]
    # Sorted once here, so that every measure finds them in order.
    own, all_ = np.lexsort((ranks.rank_in_language, cell)), np.lexsort((ranks.rank_in_pool, ranks.question))
    alone = cell[own], ranks.rank_in_language[own], ranks.relevance[own]
    pooled = ranks.question[all_], ranks.rank_in_pool[all_], ranks.relevance[all_]
    return {
        measure: Values(
            measure.values(*alone, questions * languages).reshape(questions, languages),
            measure.values(*pooled, questions),
        )
        for measure in measures
    }


def language_means(value: Doubles, language: Ints, languages: int) -> tuple[Doubles, Ints]:
    """Return the mean of the finite values of each question language, and their number.

    Args:
        value: One value a question, NaN for a question that is left out, shape ``[questions, ...]``.
        language: Language of each question.
        languages: Number of languages.

    Returns:
        Means, NaN for a language without values, shape ``[languages, ...]``, and counts of the same shape.
    """
    known = np.isfinite(value)
    sums = np.zeros((languages, *value.shape[1:]))
    counts = np.zeros((languages, *value.shape[1:]), np.int64)
    np.add.at(sums, language, np.where(known, value, 0.0))
    np.add.at(counts, language, known)
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / counts, counts


SETTINGS = ("monolingual", "crosslingual", "multilingual")


def reasons(ranks: Ranks, draws: int) -> list[dict[str, str]]:
    """Return ``{"what", "why"}`` for each setting, measure of bias and interval that cannot be measured."""
    spoken = ranks.passage_language[ranks.passage]
    own = ranks.question_language[ranks.question] == spoken
    if not len(own):
        return [{"what": setting, "why": "no question has a relevant passage"} for setting in SETTINGS]
    found: dict[str, str] = {}
    if not own.any():
        found["monolingual"] = "no passage answers a question in its own language"
    one_pool = (ranks.pool > 0).sum() < 2
    if own.all():
        one_language = one_pool and len(np.unique(ranks.question_language)) < 2
        found["crosslingual"] = (
            "questions and passages are in one language"
            if one_language
            else "no passage in another language answers a question"
        )
    if one_pool:
        found["multilingual"] = "the passages are in one language, so there is no pool of several"
    else:
        found |= _bias_reasons(ranks, own_only=bool(own.all()))
    if draws and len(np.unique(ranks.question_group)) < 2:
        found["interval"] = "there is one question group only"
    return [{"what": what, "why": why} for what, why in found.items()]


def _bias_reasons(ranks: Ranks, *, own_only: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    if not spans(ranks).parallel.any():
        where = "its own language only" if own_only else "one language only"
        found["rank_distance"] = (
            f"the relevant passages of a question are in {where}; so there is no max rank, complete@k, "
            "PEER@k or language preference rate either"
        )
    versions = np.unique(np.stack([ranks.question_group, ranks.question_language]), axis=1)
    if len(np.unique(versions[0])) == versions.shape[1]:
        found["rank_correlation"] = "no question group is asked in two languages"
    return found
