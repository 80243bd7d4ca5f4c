"""Figures in words: what was measured on, what it comes to, and which lead is real."""

from __future__ import annotations

from typing import TYPE_CHECKING

from panglot.report.measures import SETTING_LABELS, measure
from panglot.report.names import clean
from panglot.report.numbers import written
from panglot.report.results import Contest, Dataset, dig

if TYPE_CHECKING:
    from collections.abc import Collection


def facts(dataset: Dataset) -> str:
    """Return what the data set holds: languages, questions, passages, kind of candidates."""
    figures = dataset.any
    counts = [
        f"{written(dataset.value(model, key), 'count')} {key}"
        for model in list(dataset.figures)[:1]
        for key in ("questions", "passages")
        if dataset.value(model, key) is not None
    ]
    parts = [f"{len(dataset.languages)} language{'s' if len(dataset.languages) != 1 else ''}", *counts]
    if candidates := figures.get("candidates"):
        known = {True: ", with context", False: ", without context"}
        context = known.get(bool(figures["context"]), "") if figures.get("context") is not None else ""
        parts.append(f"{clean(candidates)} candidates{context if candidates == 'sentence' else ''}")
    return " · ".join(parts)


def lead(dataset: Dataset) -> str:
    """Return what one pool of all languages costs, in a sentence; nothing for several models."""
    if len(dataset.models) != 1:
        return ""
    model, key = dataset.models[0], dataset.leading_measure()
    mono, multi = dataset.value(model, "monolingual", key), dataset.value(model, "multilingual", key)
    if not mono or multi is None:
        return ""
    text = (
        f"With all {len(dataset.languages)} languages in one pool, "
        f"{written(multi / mono, 'percent', digits=2)} of the monolingual {key} remains"
    )
    distance = dataset.value(model, "multilingual", "rank_distance")
    size = dataset.value(model, "multilingual", "pool_size") or dataset.value(model, "passages")
    if distance is None:
        return f"{text}."
    of = f" of {written(size, 'count')}" if size else ""
    return (
        f"{text}, and the first and the last relevant passage of a question "
        f"lie {written(distance, 'rank')}{of} ranks apart."
    )


def contest_name(contest: Contest) -> str:
    """Return what a contest is about: ``Monolingual mAP``, ``Rank distance``."""
    if contest.measure.key == "rank_distance":
        return contest.measure.label
    return f"{SETTING_LABELS[contest.setting]} {contest.measure.label}"


def verdicts(dataset: Dataset) -> list[str]:
    """Return where a model is best beyond chance, and where none is."""
    measured = [contest for contest in dataset.headline if contest.estimates]
    won: dict[str, list[str]] = {}
    for contest in measured:
        if contest.best:
            won.setdefault(contest.best, []).append(contest_name(contest))
    lines = [f"Best: {clean(model)} in {', '.join(names)}." for model, names in won.items()]
    if even := [contest_name(found) for found in measured if not found.best]:
        lines.append(f"No clear best (the first may lead by chance): {', '.join(even)}.")
    return lines


def setting_label(what: str) -> str:
    """Return how a setting or a measure is called, for the reasons of what was not measured.

    >>> setting_label("crosslingual"), setting_label("rank_distance")
    ('Cross-lingual', 'Rank distance')
    """
    return SETTING_LABELS.get(what) or measure(clean(what)).label


def gaps(dataset: Dataset, told: Collection[str] = ()) -> list[tuple[str, str]]:
    """Return what was not measured, or in part, and the rest of a sentence about it; ``told`` is left out."""
    found: list[tuple[str, str]] = []
    for what, why, models in dataset.not_measured():
        if what in told:
            continue
        of = f" for {', '.join(map(clean, models))}" if len(models) < len(dataset.models) else ""
        found.append((setting_label(what), f"not measured{of}: {clean(why)}"))
    for setting, count in dataset.left_out():
        what = "questions, each in one pool," if setting == "crosslingual" else "questions"
        found.append((setting_label(setting), f"{count:,} {what} without a relevant passage there left out"))
    return found


def geometry_lines(dataset: Dataset, model: str) -> list[str]:
    """Return what the embeddings tell of languages, one plain line per figure."""
    if not dig(dataset.figures.get(model, {}), "geometry"):
        return []
    value = {
        key: dataset.value(model, "geometry", key)
        for key in ("language_classifier", "chance", "translation_cosine", "random_cosine")
    }
    lines: list[str] = []
    if value["language_classifier"] is not None:
        lines.append(
            f"A linear classifier tells the language of an embedding in "
            f"{written(value['language_classifier'], 'percent')} of cases "
            f"(chance: {written(value['chance'], 'percent')})."
        )
    if value["translation_cosine"] is not None:
        lines.append(
            f"Cosine of translations {written(value['translation_cosine'])}, "
            f"of random pairs {written(value['random_cosine'])}."
        )
    return lines
