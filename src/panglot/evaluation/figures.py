"""From vectors and relevance to the dictionary of figures of one collection."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot.evaluation import bias, geometry
from panglot.evaluation.bootstrap import Sums, draw, interval
from panglot.evaluation.measures import DEFAULT, Measure
from panglot.evaluation.ranks import Ranks, rank
from panglot.evaluation.settings import SETTINGS, language_means, reasons, values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from panglot.data.collection import Collection, Ints
    from panglot.encoders.protocol import Vectors
    from panglot.evaluation.exact_scores import Doubles

Figures = dict[str, Any]


@dataclass(frozen=True)
class PerQuestion:
    """Every headline figure question by question, to pair models with.

    Attributes:
        group: Group number of each question, shape ``[questions]``.
        language: Language number of each question.
        languages: The names of the language numbers.
        values: By ``setting.measure``; shape ``[questions]``, or ``[questions, languages]`` for
            cross-lingual figures, one column a passage language. NaN where a question is left out.
    """

    group: Ints
    language: Ints
    languages: tuple[str, ...]
    values: Mapping[str, Doubles]

    def sums(self) -> dict[str, Sums]:
        """Sum each figure over the question groups."""
        return {name: Sums.of(value, self.language, self.group) for name, value in self.values.items()}


@dataclass(frozen=True)
class Measured:
    """What was found on one collection.

    Attributes:
        figures: Its part of the dictionary of figures, as ``docs/architecture.md`` has it.
        per_question: The same question by question.
        ranks: The ranks behind them.
        collection: What was measured on.
    """

    figures: Figures
    per_question: PerQuestion = field(repr=False)
    ranks: Ranks = field(repr=False)
    collection: Collection


def measure(
    questions: Vectors,
    passages: Vectors,
    collection: Collection,
    *,
    measures: Sequence[Measure] = DEFAULT,
    draws: int = 1000,
    seed: int = 0,
) -> Measured:
    """Measure vectors on a collection in the three settings, with the bias and its intervals.

    A pure function: the same input gives the same figures on any number of threads.

    Args:
        questions: One row per question, shape ``[questions, dimension]``.
        passages: One row per passage, shape ``[passages, dimension]``.
        collection: What was encoded.
        measures: What to measure of each ranking.
        draws: Bootstrap draws for the intervals; 0 for none.
        seed: Of the draws, and of the samples of the geometry.

    Raises:
        PanglotError: The vectors do not fit the collection.
    """
    ranks = rank(questions, passages, collection)
    per_question = per_question_values(ranks, measures)
    sums = per_question.sums()
    drawn = draw(sums, draws, seed) if draws and _groups(ranks) > 1 else {}
    missing: list[dict[str, str]] = reasons(ranks, draws)
    unmeasured = {item["what"] for item in missing}
    figures: Figures = {
        "languages": list(collection.languages),
        "questions": collection.questions.num_rows,
        "passages": collection.passages.num_rows,
        "groups": _groups(ranks),
        "candidates": collection.about.get("candidates", "passage"),
        "context": collection.about.get("context", "no") == "yes",
        "digest": collection.digest,
        "pool": dict(zip(collection.languages, ranks.pool.tolist(), strict=True)),
    }
    for setting in SETTINGS:
        figures[setting] = None if setting in unmeasured else _setting(setting, per_question, sums, drawn, ranks)
    if figures["multilingual"] is not None:
        figures["multilingual"] |= _heads(ranks)
    if figures["crosslingual"] is not None:
        figures["crosslingual"]["matrix"] = _matrices(ranks, measures, per_question)
    figures["geometry"], absent = _geometry(questions, passages, ranks, seed)
    figures["not_measured"] = missing + absent
    return Measured(figures, per_question, ranks, collection)


def headline(
    questions: Vectors, passages: Vectors, collection: Collection, measures: Sequence[Measure] = DEFAULT
) -> dict[str, float]:
    """Return the figures of the three settings alone, without intervals: ``{"monolingual.mAP": .8, …}``.

    For choosing among checkpoints on a dev collection. Figures that the collection cannot support are absent.
    """
    sums = per_question_values(rank(questions, passages, collection), measures).sums()
    return {name: value for name, figure in sums.items() if not math.isnan(value := figure.mean())}


def per_question_values(ranks: Ranks, measures: Sequence[Measure]) -> PerQuestion:
    """Return every headline figure question by question."""
    own = np.arange(len(ranks.question_language)), ranks.question_language
    found: dict[str, Doubles] = {}
    measured = values(ranks, measures)
    for each, value in measured.items():
        found[f"monolingual.{each}"] = value.by_pool[own]
    for each, value in measured.items():
        cross = value.by_pool.copy()
        cross[own] = np.nan
        found[f"crosslingual.{each}"] = cross
    for each, value in measured.items():
        found[f"multilingual.{each}"] = value.pooled
    spans = bias.spans(ranks)
    found |= {f"multilingual.{each.name}": each.values(ranks, spans) for each in bias.BIAS_MEASURES}
    return PerQuestion(ranks.question_group, ranks.question_language, ranks.languages, found)


def _setting(
    setting: str,
    per_question: PerQuestion,
    sums: Mapping[str, Sums],
    drawn: Mapping[str, Doubles],
    ranks: Ranks,
) -> Figures:
    names = [name for name in per_question.values if name.startswith(f"{setting}.")]
    short = [name.partition(".")[2] for name in names]
    count = len(ranks.languages)
    figures: Figures = {key: plain(sums[name].mean()) for key, name in zip(short, names, strict=True)}
    if setting == "multilingual":
        figures["pool_size"] = len(ranks.passage_language)
    if drawn:
        figures["interval"] = {
            key: list(ends) for key, name in zip(short, names, strict=True) if (ends := interval(drawn[name]))
        }
    first = per_question.values[names[0]]
    figures["left_out"] = _left_out(first, ranks)
    by_language: dict[str, Figures] = {code: {} for code in ranks.languages}
    for key, name in zip(short, names, strict=True):
        value = per_question.values[name]
        means, _ = language_means(value, ranks.question_language, count)
        # Across languages: the mean over the passage languages of the means.
        means = means if means.ndim == 1 else _mean_known(means)
        for code, mean in zip(ranks.languages, means.tolist(), strict=True):
            by_language[code][key] = plain(mean)
    measured = np.isfinite(first) if first.ndim == 1 else np.isfinite(first).any(axis=1)
    asked = np.bincount(ranks.question_language[measured], minlength=count)
    figures["by_language"] = {
        code: {**by_language[code], "questions": number}
        for code, number in zip(ranks.languages, asked.tolist(), strict=True)
        if number
    }
    return figures


def _left_out(value: Doubles, ranks: Ranks) -> int:
    """Count the questions, or question and pool, without a relevant passage in a pool that has passages."""
    if value.ndim == 1:
        return int(np.isnan(value).sum())
    pools = np.tile(ranks.pool > 0, (len(value), 1))
    pools[np.arange(len(value)), ranks.question_language] = False
    return int((np.isnan(value) & pools).sum())


def _matrices(ranks: Ranks, measures: Sequence[Measure], per_question: PerQuestion) -> Figures:
    count = len(ranks.languages)
    own = np.arange(len(ranks.question_language)), ranks.question_language
    matrices: Figures = {}
    for each in measures:
        value = per_question.values[f"crosslingual.{each}"].copy()
        value[own] = per_question.values[f"monolingual.{each}"]
        matrices[str(each)] = table(language_means(value, ranks.question_language, count)[0], ranks.languages)
    return matrices


def _heads(ranks: Ranks) -> Figures:
    count, total = len(ranks.languages), ranks.pool.sum()
    shares = language_means(bias.head_shares(ranks, 10), ranks.question_language, count)[0]
    pool = {code: number / total for code, number in zip(ranks.languages, ranks.pool.tolist(), strict=True)}
    return {"language_share@10": table(shares, ranks.languages), "pool_share": pool}


def _geometry(questions: Vectors, passages: Vectors, ranks: Ranks, seed: int) -> tuple[Figures | None, list[Figures]]:
    languages, missing = ranks.languages, list[Figures]()
    if (ranks.pool > 0).sum() < 2:
        return None, [{"what": "geometry", "why": "the passages are in one language only"}]
    distances = geometry.mean_distances(passages, ranks.passage_language, len(languages))
    figures: Figures = {"mean_distance": table(distances, languages)}
    found = geometry.language_classifier(passages, ranks.passage_language, ranks.passage_group, seed=seed)
    figures["language_classifier"], figures["chance"] = found or (None, None)
    if found is None:
        missing.append({"what": "language_classifier", "why": "too few passages to hold any out"})
    sides = {
        "questions": (questions, ranks.question_language, ranks.question_group),
        "passages": (passages, ranks.passage_language, ranks.passage_group),
    }
    figures["translation_cosine"], figures["random_cosine"], figures["translations_of"] = None, None, None
    for side, parts in sides.items():
        if cosines := geometry.translation_cosines(*parts, seed=seed):
            figures["translation_cosine"], figures["random_cosine"] = cosines
            figures["translations_of"] = side
            break
    else:
        missing.append({"what": "translation_cosine", "why": "no group has versions in two languages"})
    return figures, missing


def table(matrix: Doubles, languages: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return a matrix by language names; cells without a value, and rows without cells, are absent."""
    rows = {
        x: {y: value for y, value in zip(languages, row, strict=True) if math.isfinite(value)}
        for x, row in zip(languages, matrix.tolist(), strict=True)
    }
    return {x: row for x, row in rows.items() if row}


def plain(value: float) -> float | None:
    """Return a number as JSON knows it: None where there is none."""
    return float(value) if math.isfinite(value) else None


def _mean_known(rows: Doubles) -> Doubles:
    known = np.isfinite(rows)
    with np.errstate(invalid="ignore"):
        return np.where(known, rows, 0.0).sum(axis=1) / known.sum(axis=1)


def _groups(ranks: Ranks) -> int:
    return len(np.unique(ranks.question_group))
