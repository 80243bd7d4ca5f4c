"""What each language gets: the columns of every table by language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from panglot.report.labels import SETTING_LABELS, clean, measure, written
from panglot.report.results import Contest, Dataset, dig, number

if TYPE_CHECKING:
    from collections.abc import Collection

    from panglot.report.labels import Kind

Cells = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class LanguageColumn:
    """One figure per language.

    Args:
        short: A heading of one word.
        label: A heading that stands alone.
        kind: How its numbers are written.
        shared: Whether it is a fact of the collection, the same for all models.
        value: The figure of a model in a language.
    """

    short: str
    label: str
    kind: Kind
    shared: bool
    value: Callable[[str, str], float | None]


def matrix(dataset: Dataset, model: str) -> dict[str, dict[str, float]]:
    """Return question language → passage language → the leading measure, own language included.

    The diagonal is the monolingual figure of the language; pairs without a figure are absent.
    """
    key = dataset.leading_measure()
    figures = dataset.figures.get(model, {})
    given = dig(figures, "crosslingual", "matrix", key)
    if not isinstance(given, Mapping):
        return {}
    found: dict[str, dict[str, float]] = {}
    for x in dataset.languages:
        row = {y: value for y in dataset.languages if (value := number(given, x, y)) is not None}
        own = number(figures, "monolingual", "by_language", x, key)
        found[x] = row | ({x: own} if own is not None else {})
    return found


def asked(cells: Cells) -> dict[str, float]:
    """Return question language → the mean over passage languages, its own left out.

    >>> asked({"de": {"de": 0.9, "en": 0.6, "fr": 0.4}})
    {'de': 0.5}
    """
    rows = {x: [value for y, value in row.items() if y != x] for x, row in cells.items()}
    return {x: fmean(values) for x, values in rows.items() if values}


def answered(cells: Cells) -> dict[str, float]:
    """Return passage language → the mean over question languages, its own left out."""
    turned: dict[str, dict[str, float]] = {}
    for x, row in cells.items():
        for y, value in row.items():
            turned.setdefault(y, {})[x] = value
    return asked(turned)


def language_columns(dataset: Dataset) -> list[LanguageColumn]:
    """Return the columns that hold at least one figure."""
    key = dataset.leading_measure()
    cells = {model: matrix(dataset, model) for model in dataset.models}
    rows = {model: asked(found) for model, found in cells.items()}
    columns_of = {model: answered(found) for model, found in cells.items()}

    def by(setting: str, name: str) -> Callable[[str, str], float | None]:
        return lambda model, code: dataset.value(model, setting, "by_language", code, name)

    multilingual = list(
        dict.fromkeys(
            str(name)
            for figures in dataset.figures.values()
            for row in (dig(figures, "multilingual", "by_language") or {}).values()
            for name in row
        )
    )
    own = next((name for name in multilingual if name.startswith("self_preference")), "self_preference@10")
    columns = [
        LanguageColumn("pool", "Passages", "count", True, lambda model, code: dataset.value(model, "pool", code)),
        LanguageColumn("mono", f"Monolingual {key}", "score", False, by("monolingual", key)),
        LanguageColumn("asked", f"Cross-lingual {key}, asked in", "score", False, lambda m, c: rows[m].get(c)),
        LanguageColumn(
            "answered",
            f"Cross-lingual {key}, answered in",
            "score",
            False,
            lambda m, c: columns_of[m].get(c),
        ),
        LanguageColumn("multi", f"Multilingual {key}", "score", False, by("multilingual", key)),
        LanguageColumn("distance", "Rank distance", "rank", False, by("multilingual", "rank_distance")),
        LanguageColumn("own ×", "Self-preference", "times", False, by("multilingual", own)),
    ]
    return [
        column
        for column in columns
        if any(column.value(m, code) is not None for m in dataset.models for code in dataset.languages)
    ]


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
