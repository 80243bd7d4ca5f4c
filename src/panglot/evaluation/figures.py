"""Compute the dictionary of figures of one collection from vectors and relevance."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._files import write_json
from panglot.evaluation import bias
from panglot.evaluation.bootstrap import PerQuestion, draw, interval, language_means
from panglot.evaluation.measures import (
    DEFAULT,
    Measure,
    language_classifier,
    mean_distances,
    separation,
    translation_cosines,
)
from panglot.evaluation.ranks import Ranks, rank

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from panglot.data.collection import Collection
    from panglot.encoders.protocol import Vectors
    from panglot.evaluation.bootstrap import Sums
    from panglot.evaluation.exact_scores import Doubles

Figures = dict[str, Any]
SETTINGS = ("monolingual", "crosslingual", "multilingual")
_EXAMPLES, _SHOWN, _CHARACTERS = 16, 10, 160  # Languages with an example, passages in it, characters of each.


@dataclass(frozen=True)
class Result:
    """A dictionary of figures, ready for JSON."""

    figures: Figures

    def to_json(self, path: str | Path) -> None:
        """Write :attr:`figures`, atomically."""
        write_json(path, self.figures)


@dataclass(frozen=True)
class Measured:
    """The figures of one collection (``docs/architecture.md``), and what they were computed from."""

    figures: Figures
    per_question: PerQuestion = field(repr=False)
    ranks: Ranks = field(repr=False)
    collection: Collection

    def misses(self) -> Iterator[Figures]:
        """Yield every question that a passage which does not answer it comes first for, in the pool of all languages.

        An entry has ``question``, ``language`` and ``text``, then ``rank`` and ``relevant``: the rank of its first
        relevant passage and that passage, or None if a run lists none. ``first`` is the passage that came first, or
        None for an empty ranking, and ``version`` is whether it has the group of a relevant one: it is a translation of
        the answer that nobody judged.
        """
        ranks, span = self.ranks, bias.spans(self.ranks)
        questions, passages = self.collection.questions, self.collection.passages
        versions = set(zip(ranks.question.tolist(), ranks.passage_group[ranks.passage].tolist(), strict=True))
        listed = np.flatnonzero(ranks.rank_in_pool == span.first[ranks.question])
        best = dict(zip(ranks.question[listed].tolist(), ranks.passage[listed].tolist(), strict=True))

        def shown(row: int | None) -> Figures | None:
            return None if row is None or row < 0 else _text(passages, row, "passage")

        for row in np.flatnonzero((span.languages > 0) & (span.first != 1)).tolist():
            first = int(ranks.top[row, 0])
            version = first >= 0 and (row, int(ranks.passage_group[first])) in versions
            rank = int(span.first[row]) if row in best else None
            yield {**_text(questions, row, "question"), "rank": rank, "relevant": shown(best.get(row)),
                   "first": shown(first), "version": version}  # fmt: skip


def _text(table: pa.Table, row: int, name: str) -> Figures:
    return {name: table["id"][row].as_py(), **{key: table[key][row].as_py() for key in ("language", "text")}}


def measure(
    questions: Vectors, passages: Vectors, collection: Collection, *, measures: Sequence[Measure] = DEFAULT,
    draws: int = 1000, seed: int = 0,
) -> Measured:  # fmt: skip
    """Measure vectors on a collection in the three settings, with language bias and intervals.

    This is a pure function: the same input gives the same figures on any number of threads.

    Args:
        questions: One row per question, shape ``[questions, dimension]``.
        passages: One row per passage, shape ``[passages, dimension]``.
        collection: The collection that was encoded.
        measures: Measures of each ranking.
        draws: Bootstrap draws for the intervals, 0 for no intervals.
        seed: Seed of the draws and of the samples for the geometry.

    Raises:
        PanglotError: The vectors do not fit the collection.
    """
    ranks = rank(questions, passages, collection)
    # Both take as long, and most of that is numpy's, which threads share.
    with ThreadPoolExecutor(1) as pool:
        geometry = pool.submit(_geometry, questions, passages, ranks, seed)
        found = measure_ranks(ranks, collection, measures=measures, draws=draws, seed=seed)
    found.figures["geometry"], absent = geometry.result()
    found.figures["not_measured"] += absent
    return found


def measure_ranks(
    ranks: Ranks, collection: Collection, *, measures: Sequence[Measure] = DEFAULT, draws: int = 1000, seed: int = 0
) -> Measured:
    """Measure ranks as :func:`measure` does, without the geometry, for which there are no vectors."""
    per_question = PerQuestion.of(ranks, measures)
    sums = per_question.sums()
    drawn = draw(sums, draws, seed) if draws else {}
    missing: list[dict[str, str]] = _not_measured(ranks, draws)
    unmeasured = {item["what"] for item in missing}
    figures: Figures = {
        "languages": list(collection.languages),
        "questions": collection.questions.num_rows,
        "passages": collection.passages.num_rows,
        "groups": _groups(ranks),
        "candidates": collection.metadata.get("candidates", "passage"),
        "context": collection.metadata.get("context", "no") == "yes",
        "digest": collection.digest,
        "pool": dict(zip(collection.languages, ranks.pool.tolist(), strict=True)),
    }
    for setting in SETTINGS:
        figures[setting] = None if setting in unmeasured else _setting(setting, per_question, sums, drawn, ranks)
    if figures["multilingual"] is not None:
        figures["multilingual"] |= _language_shares(ranks)
    if figures["crosslingual"] is not None:
        figures["crosslingual"]["matrix"] = _matrices(ranks, measures, per_question)
    if figures["multilingual"] is not None:
        figures["examples"] = _examples(ranks, collection)
    figures["geometry"] = None
    figures["not_measured"] = missing
    return Measured(figures, per_question, ranks, collection)


def headline(
    questions: Vectors, passages: Vectors, collection: Collection, measures: Sequence[Measure] = DEFAULT
) -> dict[str, float]:
    """Return the figures of the three settings alone, without intervals: ``{"monolingual.mAP": .8, …}``.

    Use it to choose among checkpoints on a dev collection. Figures that the collection does not support are absent.
    """
    sums = PerQuestion.of(rank(questions, passages, collection), measures).sums()
    return {name: value for name, figure in sums.items() if not math.isnan(value := figure.mean())}


def _not_measured(ranks: Ranks, draws: int) -> list[dict[str, str]]:
    """Return ``{"what", "why"}`` for each setting, measure of bias and interval that cannot be measured."""
    own = ranks.question_language[ranks.question] == ranks.passage_language[ranks.passage]
    if not len(own):
        return [{"what": setting, "why": "no question has a relevant passage"} for setting in SETTINGS]
    found: dict[str, str] = {}
    if not own.any():
        found["monolingual"] = "no passage answers a question in its own language"
    one_pool = (ranks.pool > 0).sum() < 2
    if own.all():
        found["crosslingual"] = "no passage in another language answers a question"
        if one_pool and len(np.unique(ranks.question_language)) < 2:
            found["crosslingual"] = "questions and passages are in one language"
    if one_pool:
        found["multilingual"] = "the passages are in one language, so there is no pool of several languages"
    else:
        found |= _bias_reasons(ranks, own_only=bool(own.all()))
    if draws and _groups(ranks) < 2:
        found["interval"] = "there is only one question group"
    elif draws and len(np.unique(ranks.question_group[ranks.question])) < 2:
        found["interval"] = "only one question group has a relevant passage"
    return [{"what": what, "why": why} for what, why in found.items()]


def _bias_reasons(ranks: Ranks, *, own_only: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    if not bias.spans(ranks).parallel.any():
        where = "its own language only" if own_only else "one language only"
        found["rank_distance"] = (
            f"the relevant passages of a question are in {where}, so max rank, complete@k, PEER@k, the language "
            "preference rate and Lang-nDCG@k are not measured either"
        )
    versions = np.unique(np.stack([ranks.question_group, ranks.question_language]), axis=1)
    if len(np.unique(versions[0])) == versions.shape[1]:
        found["rank_correlation"] = "no question group is asked in two languages"
    return found


def _setting(
    setting: str, per_question: PerQuestion, sums: Mapping[str, Sums], drawn: Mapping[str, Doubles], ranks: Ranks
) -> Figures:
    start = f"{setting}."
    names = {name.removeprefix(start): name for name in per_question.values if name.startswith(start)}
    count = len(ranks.languages)
    figures: Figures = {key: plain(sums[name].mean()) for key, name in names.items()}
    if setting == "multilingual":
        figures["pool_size"] = len(ranks.passage_language)
    known = {key: interval(drawn[name]) for key, name in names.items()} if drawn else {}
    if intervals := {key: list(ends) for key, ends in known.items() if ends}:
        figures["interval"] = intervals
    first = per_question.values[next(iter(names.values()))]
    figures["left_out"] = _left_out(first, ranks)
    by_language: dict[str, Figures] = {code: {} for code in ranks.languages}
    for key, name in names.items():
        value = per_question.values[name]
        means = language_means(value, ranks.question_language, count)
        # Cross-lingual figures are the mean over the passage languages of their means.
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
    """Count the questions, or the pairs of question and pool, for which a pool has passages but no relevant one."""
    if value.ndim == 1:
        return int(np.isnan(value).sum())
    pools = np.tile(ranks.pool > 0, (len(value), 1))
    # The pool in the own language belongs to the monolingual setting.
    pools[np.arange(len(value)), ranks.question_language] = False
    return int((np.isnan(value) & pools).sum())


def _matrices(ranks: Ranks, measures: Sequence[Measure], per_question: PerQuestion) -> Figures:
    count = len(ranks.languages)
    own = np.arange(len(ranks.question_language)), ranks.question_language
    matrices: Figures = {}
    for each in measures:
        value = per_question.values[f"crosslingual.{each}"].copy()
        # The diagonal is the monolingual setting.
        value[own] = per_question.values[f"monolingual.{each}"]
        matrices[str(each)] = table(language_means(value, ranks.question_language, count), ranks.languages)
    return matrices


def _language_shares(ranks: Ranks) -> Figures:
    count, total = len(ranks.languages), ranks.pool.sum()
    shares = language_means(bias.head_shares(ranks, 10), ranks.question_language, count)
    pool = {code: number / total for code, number in zip(ranks.languages, ranks.pool.tolist(), strict=True)}
    return {"language_share@10": table(shares, ranks.languages), "pool_share": pool}


def _examples(ranks: Ranks, collection: Collection) -> dict[str, Figures]:
    """Return the first question of each language that has a relevant passage, with the first passages of its ranking.

    The choice does not depend on the model, so that the same questions can be compared. Languages with most passages
    come first.
    """
    texts, passages = collection.questions["text"], collection.passages["text"]
    found: dict[str, Figures] = {}
    answered = np.unique(ranks.question)
    for number in np.argsort(-ranks.pool, kind="stable").tolist():
        rows = answered[ranks.question_language[answered] == number]
        if not len(rows) or len(found) == _EXAMPLES:
            continue
        relevant = set(ranks.passage[ranks.question == rows[0]].tolist())
        hits = [
            {
                "language": ranks.languages[ranks.passage_language[passage]],
                "text": passages[passage].as_py()[:_CHARACTERS],
                "relevant": passage in relevant,
            }
            for passage in ranks.top[rows[0], :_SHOWN].tolist()
            if passage >= 0
        ]
        found[ranks.languages[number]] = {"query": texts[int(rows[0])].as_py()[:_CHARACTERS], "hits": hits}
    return found


def _geometry(questions: Vectors, passages: Vectors, ranks: Ranks, seed: int) -> tuple[Figures | None, list[Figures]]:
    languages, missing = ranks.languages, list[Figures]()
    if (ranks.pool > 0).sum() < 2:
        return None, [{"what": "geometry", "why": "the passages are in one language"}]
    distances = mean_distances(passages, ranks.passage_language, len(languages))
    figures: Figures = {"mean_distance": table(distances, languages)}
    found = language_classifier(passages, ranks.passage_language, ranks.passage_group, seed=seed)
    figures["language_classifier"], figures["chance"] = found or (None, None)
    if found is None:
        missing.append({"what": "language_classifier", "why": "there are too few passages to hold any out"})
    sides = {
        "questions": (questions, ranks.question_language, ranks.question_group),
        "passages": (passages, ranks.passage_language, ranks.passage_group),
    }
    figures |= dict.fromkeys(("translation_cosine", "random_cosine", "translations_of"))
    # Questions are translations of each other more often than passages, so they come first.
    for side, parts in sides.items():
        if cosines := translation_cosines(*parts, seed=seed):
            figures["translation_cosine"], figures["random_cosine"] = cosines
            figures["translations_of"] = side
            break
    else:
        missing.append({"what": "translation_cosine", "why": "no group has versions in two languages"})
    names = ("separation", "separation_across_languages")
    figures |= dict(zip(names, separation(questions, passages, ranks, seed=seed), strict=True))
    return figures, missing


def table(matrix: Doubles, languages: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return a matrix by language names, without empty cells and empty rows."""
    rows = {
        x: {y: value for y, value in zip(languages, row, strict=True) if math.isfinite(value)}
        for x, row in zip(languages, matrix.tolist(), strict=True)
    }
    return {x: row for x, row in rows.items() if row}


def plain(value: float) -> float | None:
    """Return a number for JSON: None instead of NaN and infinity."""
    return float(value) if math.isfinite(value) else None


def _mean_known(rows: Doubles) -> Doubles:
    known = np.isfinite(rows)
    with np.errstate(invalid="ignore"):
        return np.where(known, rows, 0.0).sum(axis=1) / known.sum(axis=1)


def _groups(ranks: Ranks) -> int:
    return len(np.unique(ranks.question_group))
