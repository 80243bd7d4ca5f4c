"""The three settings: which pool, which passages are relevant, what is averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.corpus.collection import Ints
    from panglot.evaluation.lattice import Doubles
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
    own, all_ = np.lexsort((ranks.within, cell)), np.lexsort((ranks.pooled, ranks.question))
    alone = cell[own], ranks.within[own], ranks.grade[own]
    pooled = ranks.question[all_], ranks.pooled[all_], ranks.grade[all_]
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
