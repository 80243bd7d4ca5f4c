"""Every figure question by question, in the three settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from panglot.evaluation import bias
from panglot.evaluation.bootstrap import Sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.data.collection import Ints
    from panglot.evaluation.exact_scores import Doubles
    from panglot.evaluation.measures import Measure
    from panglot.evaluation.ranks import Ranks


@dataclass(frozen=True)
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

    @classmethod
    def of(cls, ranks: Ranks, measures: Sequence[Measure]) -> PerQuestion:
        """Measure every question in the three settings, with the bias in the pool of all languages."""
        own = np.arange(len(ranks.question_language)), ranks.question_language
        measured = values(ranks, measures)
        found = {f"monolingual.{each}": value.by_pool[own] for each, value in measured.items()}
        for each, value in measured.items():
            cross = value.by_pool.copy()
            cross[own] = np.nan
            found[f"crosslingual.{each}"] = cross
        found |= {f"multilingual.{each}": value.pooled for each, value in measured.items()}
        spans = bias.spans(ranks)
        found |= {f"multilingual.{each.name}": each.values(ranks, spans) for each in bias.BIAS_MEASURES}
        return cls(ranks.question_group, ranks.question_language, ranks.languages, found)

    def sums(self) -> dict[str, Sums]:
        """Sum each figure over the question groups."""
        return {name: Sums.of(value, self.language, self.group) for name, value in self.values.items()}


@dataclass(frozen=True)
class Values:
    """One measure of every question in every pool.

    Attributes:
        by_pool: Value in the pool of each language, shape ``[questions, languages]``. NaN if that pool has no relevant
            passage. The column of the question's own language is the monolingual setting, the others are the
            cross-lingual setting.
        pooled: Value in the pool of all languages, shape ``[questions]``.
    """

    by_pool: Doubles
    pooled: Doubles


def values(ranks: Ranks, measures: Sequence[Measure]) -> dict[Measure, Values]:
    """Measure every question in the pool of each language and in the pool of all."""
    questions, languages = len(ranks.question_language), len(ranks.languages)
    cell = ranks.question * languages + ranks.passage_language[ranks.passage]
    # Sorted once here, because sorting sorted arrays again is cheap for every measure.
    own, pooled = np.lexsort((ranks.rank_in_language, cell)), np.lexsort((ranks.rank_in_pool, ranks.question))
    in_language = cell[own], ranks.rank_in_language[own], ranks.relevance[own]
    in_pool = ranks.question[pooled], ranks.rank_in_pool[pooled], ranks.relevance[pooled]
    return {
        measure: Values(
            measure.values(*in_language, questions * languages).reshape(questions, languages),
            measure.values(*in_pool, questions),
        )
        for measure in measures
    }


def language_means(value: Doubles, language: Ints, languages: int) -> Doubles:
    """Return the mean of the finite values of each question language, NaN for a language without any.

    Args:
        value: One value per question, NaN for a question that is left out, shape ``[questions, ...]``.
        language: Language of each question, shape ``[questions]``.
        languages: Number of languages.

    Returns:
        Means, shape ``[languages, ...]``.
    """
    known = np.isfinite(value)
    sums = np.zeros((languages, *value.shape[1:]))
    counts = np.zeros((languages, *value.shape[1:]), np.int64)
    np.add.at(sums, language, np.where(known, value, 0.0))
    np.add.at(counts, language, known)
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / counts
