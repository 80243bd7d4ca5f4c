"""What a report says about a data set: its tables and its sentences, the same for every writer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from panglot.report.by_language import by_language, model_columns
from panglot.report.charts import Mark, Scale, Track, around, ticks
from panglot.report.labels import (
    SETTING_LABELS,
    SETTING_MEANINGS,
    SETTINGS,
    Kind,
    format_number,
    format_p,
    measure,
    sanitize,
    short_names,
)
from panglot.report.results import Comparison, Dataset, Estimate, dig, number
from panglot.report.tables import Cell, Column, Row, Table, figure

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


def contents(dataset: Dataset, *, compared: bool) -> Iterator[Table | list[str]]:
    """Yield the tables of a data set and, as lists, the sentences between them.

    The HTML page arranges the same parts in its own way and adds drawings.
    """
    yield headline(dataset)
    if sentence := summary(dataset):
        yield [sentence]
    if compared:
        yield verdicts(dataset)
    if gaps := missing(dataset):
        yield gaps
    tables = (differences(dataset), retrieval(dataset), by_language(dataset), bias(dataset), geometry(dataset))
    yield from (table for table in tables if table is not None)


def description(dataset: Dataset) -> str:
    """Return what the data set holds: languages, questions, passages, kind of candidates."""
    figures = dataset.any
    counts = [
        f"{format_number(value, 'count')} {key}"
        for key in ("questions", "passages")
        if (value := number(figures, key)) is not None
    ]
    parts = [f"{len(dataset.languages)} language{'s' if len(dataset.languages) != 1 else ''}", *counts]
    if candidates := figures.get("candidates"):
        known = {True: ", with context", False: ", without context"}
        context = known.get(bool(figures["context"]), "") if figures.get("context") is not None else ""
        parts.append(f"{sanitize(candidates)} candidates{context if candidates == 'sentence' else ''}")
    return " · ".join(parts)


def summary(dataset: Dataset) -> str:
    """Return in a sentence what it costs to put all languages in one pool, or nothing for several models."""
    if len(dataset.models) != 1:
        return ""
    model, key = dataset.models[0], dataset.leading_measure()
    mono, multi = dataset.value(model, "monolingual", key), dataset.value(model, "multilingual", key)
    if not mono or multi is None:
        return ""
    text = (
        f"With all {len(dataset.languages)} languages in one pool, "
        f"{format_number(multi / mono, 'percent', digits=2)} of the monolingual {key} remains"
    )
    distance = dataset.value(model, "multilingual", "rank_distance")
    size = dataset.value(model, "multilingual", "pool_size") or dataset.value(model, "passages")
    if distance is None:
        return f"{text}."
    of = f" of {format_number(size, 'count')}" if size else ""
    return (
        f"{text}, and the first and the last relevant passage of a question "
        f"are {format_number(distance, 'rank')}{of} ranks apart."
    )


def comparison_name(comparison: Comparison) -> str:
    """Return what a comparison is about: ``Monolingual mAP``, ``Rank distance``."""
    if comparison.measure.key == "rank_distance":
        return comparison.measure.label
    return f"{SETTING_LABELS[comparison.setting]} {comparison.measure.label}"


def comparison_meaning(comparison: Comparison) -> str:
    """Return what the figure of a comparison is, in a sentence."""
    return comparison.measure.meaning if _is_distance(comparison) else SETTING_MEANINGS[comparison.setting]


def reason_missing(dataset: Dataset, comparison: Comparison) -> str:
    """Return why a comparison has no figures."""
    return dataset.why_not(comparison.measure.key if _is_distance(comparison) else comparison.setting)


def _is_distance(comparison: Comparison) -> bool:
    return comparison.measure.key == "rank_distance"


def verdicts(dataset: Dataset) -> list[str]:
    """Return where a model is significantly best, and where none is."""
    measured = [comparison for comparison in dataset.headline if comparison.estimates]
    won: dict[str, list[str]] = {}
    for comparison in measured:
        if comparison.best:
            won.setdefault(comparison.best, []).append(comparison_name(comparison))
    lines = [f"Best: {sanitize(model)} in {', '.join(names)}." for model, names in won.items()]
    if even := [comparison_name(found) for found in measured if not found.best]:
        lines.append(f"No model is significantly best: {', '.join(even)}.")
    return lines


def missing(dataset: Dataset, known: Collection[str] = ()) -> list[str]:
    """Return a sentence for everything that was not measured, or only in part, except for ``known``."""
    found: list[str] = []
    for what, why, models in dataset.not_measured():
        if what in known:
            continue
        of = f" for {', '.join(map(sanitize, models))}" if len(models) < len(dataset.models) else ""
        label = SETTING_LABELS.get(what) or measure(sanitize(what)).label
        found.append(f"{label} not measured{of}: {sanitize(why)}.")
    for setting, count in dataset.excluded():
        what = "questions, counted once per pool," if setting == "crosslingual" else "questions"
        found.append(f"{SETTING_LABELS[setting]} excludes {count:,} {what} that have no relevant passage there.")
    return found


def headline(dataset: Dataset) -> Table:
    """Return the three settings and rank distance, one row per model."""
    columns = [
        Column(f"{comparison_name(c)}{_arrow(c)}", short=f"{comparison_name(c).replace(' ', chr(10), 1)}{_arrow(c)}")
        for c in dataset.headline
    ]
    rows = [
        Row(model, [figure(c.estimates.get(model), c.measure.kind, best=c.best == model) for c in dataset.headline])
        for model in dataset.models
    ]
    return Table("", columns, rows)


def _arrow(comparison: Comparison) -> str:
    return " ↓" if comparison.measure.lower else ""


def panel(dataset: Dataset, comparison: Comparison) -> Table:
    """Return one comparison, one row per model, on a scale of its own."""
    kind, known = comparison.measure.kind, comparison.estimates
    every = [end for found in known.values() for end in (found.value, found.low, found.high) if end is not None]
    scale = around(every, least=0, most=1 if kind == "score" else None)
    rows = [
        Row(
            model,
            [figure(found, kind, best=comparison.best == model)],
            series=place,
            track=Track(scale, (_mark(place, model, found, kind),) if found else (), rules=tuple(ticks(scale, 4))),
        )
        for place, model in enumerate(dataset.models)
        for found in (known.get(model),)
    ]
    title = f"{comparison_name(comparison)}{_arrow(comparison)}"
    return Table(title, [Column("")], rows, note=comparison_meaning(comparison), axis=(scale, kind))


def _mark(place: int, model: str, found: Estimate, kind: Kind) -> Mark:
    return Mark(place, found.value, found.low, found.high, f"{model}: {format_number(found.value, kind)}")


def differences(dataset: Dataset) -> Table | None:
    """Return the differences between pairs of models in the headline's comparisons."""
    short = short_names(dataset.models)
    rows: list[Row] = []
    for comparison in dataset.headline:
        name, kind = comparison_name(comparison), comparison.measure.kind
        estimates = [one.estimate for one in comparison.differences]
        known = [abs(end) for e in estimates for end in (e.value, e.low, e.high) if end is not None]
        reach = max(known, default=0.0) or 1.0
        for place, one in enumerate(comparison.differences):
            value = figure(one.estimate, kind, sign=True)
            p = one.p if one.p_corrected is None else one.p_corrected
            series = dataset.models.index(one.a) if one.a in dataset.models else 0
            pair = f"{short.get(one.a, sanitize(one.a))} − {short.get(one.b, sanitize(one.b))}"
            rows.append(
                Row(
                    name if place == 0 else "",
                    [Cell(pair), Cell(value.text), Cell(value.interval), Cell(format_p(p))],
                    track=Track(
                        Scale(-reach, reach), (Mark(series, one.estimate.value, one.estimate.low, one.estimate.high),),
                        notch=0.0,
                    ),
                    faint=p is None or p >= 0.05,
                )
            )  # fmt: skip
    columns = [Column("pair", left=True), Column("difference"), Column("interval"), Column("p")]
    title = "Differences between models; p is corrected for the number of comparisons"
    return Table(title, columns, rows, corner="measure") if rows else None


def retrieval(dataset: Dataset) -> Table | None:
    """Return all retrieval measures in all settings, or None if there is only one measure."""
    measures = dataset.retrieval()
    settings = [setting for setting in SETTINGS if dataset.keys(setting)]
    if len(measures) < 2 or not settings:
        return None
    rows = [
        Row(
            found.label,
            [
                figure(dataset.value(model, setting, found.key), best=dataset.best(setting, found.key) == model)
                for setting in settings
                for model in dataset.models
            ],
        )
        for found in measures
    ]
    columns = [column for setting in settings for column in model_columns(dataset, SETTING_LABELS[setting])]
    return Table("Retrieval measures", columns, rows, corner="measure")


def bias(dataset: Dataset) -> Table | None:
    """Return the measures of language bias, each with its meaning."""
    rows = [
        Row(
            found.heading,
            [
                figure(
                    dataset.estimate(model, "multilingual", found.key),
                    found.kind,
                    best=dataset.best("multilingual", found.key) == model,
                )
                for model in dataset.models
            ],
            note=found.meaning,
        )
        for found in dataset.bias()
    ]
    return Table("Language bias, with all languages in one pool", model_columns(dataset), rows) if rows else None


def geometry(dataset: Dataset) -> Table | None:
    """Return how far the embeddings separate languages."""
    if not any(dig(figures, "geometry") for figures in dataset.figures.values()):
        return None
    described: tuple[tuple[str, str, Kind, str], ...] = (
        ("Language classifier", "language_classifier", "percent", "How often it finds the language of an embedding."),
        ("Chance", "chance", "percent", "How often it would by guessing."),
        ("Cosine of translations", "translation_cosine", "score", "Similarity of texts with the same meaning."),
        ("Cosine of random pairs", "random_cosine", "score", "Similarity of unrelated texts."),
    )
    rows: list[Row] = []
    for label, key, kind, note in described:
        values = [dataset.value(model, "geometry", key) for model in dataset.models]
        if any(value is not None for value in values):
            rows.append(Row(label, [figure(value, kind) for value in values], note))
    return Table("Geometry of the embeddings", model_columns(dataset), rows) if rows else None
