"""What a report says about a data set: its tables and its sentences, the same for every writer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

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
    from collections.abc import Collection, Iterator, Sequence

Matrix = Mapping[str, Mapping[str, float]]


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


def _columns(dataset: Dataset, group: str = "") -> list[Column]:
    """Return one column per model, or a single column named after the group."""
    if len(dataset.models) == 1:
        return [Column(group)]
    short = short_names(dataset.models)
    return [Column(model, group, short[model], place) for place, model in enumerate(dataset.models)]


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
    columns = [column for setting in settings for column in _columns(dataset, SETTING_LABELS[setting])]
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
    return Table("Language bias, with all languages in one pool", _columns(dataset), rows) if rows else None


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
    return Table("Geometry of the embeddings", _columns(dataset), rows) if rows else None


def matrix(dataset: Dataset, model: str) -> dict[str, dict[str, float]]:
    """Return question language → passage language → the leading measure.

    The diagonal is the monolingual figure of the language. Pairs without a figure are absent.
    """
    key = dataset.leading_measure()
    figures = dataset.figures.get(model, {})
    cells = dig(figures, "crosslingual", "matrix", key)
    if not isinstance(cells, Mapping):
        return {}
    found: dict[str, dict[str, float]] = {}
    for x in dataset.languages:
        row = {y: value for y in dataset.languages if (value := number(cells, x, y)) is not None}
        own = number(figures, "monolingual", "by_language", x, key)
        found[x] = row | ({x: own} if own is not None else {})
    return found


def mean_by_question(cells: Matrix) -> dict[str, float]:
    """Return question language → the mean over the other passage languages.

    >>> mean_by_question({"de": {"de": 0.9, "en": 0.6, "fr": 0.4}})
    {'de': 0.5}
    """
    rows = {x: [value for y, value in row.items() if y != x] for x, row in cells.items()}
    return {x: fmean(values) for x, values in rows.items() if values}


def mean_by_passage(cells: Matrix) -> dict[str, float]:
    """Return passage language → the mean over the other question languages."""
    turned: dict[str, dict[str, float]] = {}
    for x, row in cells.items():
        for y, value in row.items():
            turned.setdefault(y, {})[x] = value
    return mean_by_question(turned)


@dataclass(frozen=True)
class LanguageFigure:
    """One figure per language.

    Args:
        heading: Its name.
        short: Its name for narrow terminals.
        kind: How its values are formatted.
        value: Returns the figure of (model, language).
        shared: Whether it is a fact of the collection, the same for all models.
        drawn: Whether it is between 0 and 1 and comparable to the others that are drawn.
    """

    heading: str
    short: str
    kind: Kind
    value: Callable[[str, str], float | None]
    shared: bool = False
    drawn: bool = False


def language_figures(dataset: Dataset) -> list[LanguageFigure]:
    """Return the figures per language that some model has."""
    key = dataset.leading_measure()
    cells = {model: matrix(dataset, model) for model in dataset.models}
    asked = {model: mean_by_question(found) for model, found in cells.items()}
    answered = {model: mean_by_passage(found) for model, found in cells.items()}

    def by(setting: str, name: str) -> Callable[[str, str], float | None]:
        return lambda model, code: dataset.value(model, setting, "by_language", code, name)

    names = [
        str(name)
        for figures in dataset.figures.values()
        for row in (dig(figures, "multilingual", "by_language") or {}).values()
        for name in row
    ]
    own = next((name for name in names if name.startswith("self_preference")), "self_preference@10")
    figures = [
        LanguageFigure("Passages", "passages", "count", lambda m, code: dataset.value(m, "pool", code), shared=True),
        LanguageFigure(f"Monolingual {key}", "mono", "score", by("monolingual", key), drawn=True),
        LanguageFigure(f"Cross-lingual {key}, asked in", "cross,\nasked in", "score",
                       lambda model, code: asked[model].get(code), drawn=True),
        LanguageFigure(f"Cross-lingual {key}, answered in", "cross,\nanswered", "score",
                       lambda model, code: answered[model].get(code)),
        LanguageFigure(f"Multilingual {key}", "multi", "score", by("multilingual", key), drawn=True),
        LanguageFigure("Rank distance ↓", "rank\ndistance", "rank", by("multilingual", "rank_distance")),
        LanguageFigure("Self-preference", "self-\npreference", "times", by("multilingual", own)),
    ]  # fmt: skip
    return [f for f in figures if any(f.value(m, c) is not None for m in dataset.models for c in dataset.languages)]


def by_language(dataset: Dataset) -> Table | None:
    """Return the figures of every language."""
    figures = language_figures(dataset)
    if not figures:
        return None
    drawn = [found for found in figures if found.drawn]
    one = dataset.models[0] if len(dataset.models) == 1 else None
    scale = Scale(0, 1)
    rows: list[Row] = []
    for code in dataset.languages:
        track = None
        if one is not None:
            known = [(place, value) for place, f in enumerate(drawn) if (value := f.value(one, code)) is not None]
            ends = [value for _, value in known]
            span = (min(ends), max(ends), 7) if ends else None
            track = Track(scale, tuple(Mark(*pair) for pair in known), spans=(span,) if span else (), rules=(0, 0.5, 1))
        cells = [
            figure(found.value(model, code), found.kind)
            for found in figures
            for model in (dataset.models[:1] if found.shared else dataset.models)
        ]
        rows.append(Row(code, cells, language=True, track=track))
    columns: list[Column] = []
    for found in figures:
        alone = found.shared or one is not None
        columns += [Column(found.heading, short=found.short)] if alone else _columns(dataset, found.heading)
    axis: tuple[Scale, Kind] | None = (scale, "score") if one is not None else None
    return Table("By language", columns, rows, corner="language", axis=axis)


def distance_by_language(dataset: Dataset) -> Table | None:
    """Return the rank distance by language of the question, as a table of tracks."""
    found = _values(dataset, lambda m, code: dataset.value(m, "multilingual", "by_language", code, "rank_distance"))
    values = [value for row in found.values() for value in row.values()]
    scale = Scale(0, around([0.0, *values]).high)
    table = _tracks(dataset, "Rank distance by language of the question ↓", found, scale, "rank", digits=3)
    return table if table.rows else None


def own_share(dataset: Dataset, key: str) -> Table:
    """Return each language's share of the first results for its own questions, beside its share of the pool.

    Args:
        dataset: The data set.
        key: ``language_share@k``.
    """
    k = key.rpartition("@")[2]
    found = _values(dataset, lambda m, code: dataset.value(m, "multilingual", key, code, code))
    most = max([value for row in found.values() for value in row.values()] or [1.0])
    scale = Scale(0, min(1.0, -(-most * 10 // 1) / 10))
    pool = {code: number(dataset.any, "multilingual", "pool_share", code) for code in dataset.languages}
    title = f"Share of the question's own language in the first {k}"
    return _tracks(dataset, title, found, scale, "percent", digits=2, fair=pool, name=f"first {k}")


def _values(dataset: Dataset, value: Callable[[str, str], float | None]) -> dict[str, dict[str, float]]:
    return {
        code: {model: found for model in dataset.models if (found := value(model, code)) is not None}
        for code in dataset.languages
    }


def _tracks(
    dataset: Dataset,
    title: str,
    values: Mapping[str, Mapping[str, float]],
    scale: Scale,
    kind: Kind,
    *,
    digits: int,
    fair: Mapping[str, float | None] | None = None,
    name: str = "",
) -> Table:
    """Return one row per language with a mark per model, and a notch at what would be fair."""
    rows: list[Row] = []
    for code, row in values.items():
        if not row:
            continue
        neutral = (fair or {}).get(code)
        marks = tuple(
            Mark(dataset.models.index(model), value, title=f"{model}: {format_number(value, kind)}")
            for model, value in row.items()
        )
        start = neutral if neutral is not None else 0.0 if fair is None else None
        alone = len(dataset.models) == 1 and start is not None
        spans = tuple((start, mark.value, mark.series) for mark in marks) if alone and start is not None else ()
        cells = [figure(row.get(model), kind, digits=digits) for model in dataset.models]
        cells += [figure(neutral, kind, digits=digits)] if fair is not None else []
        track = Track(scale, marks, spans=spans, notch=neutral, rules=tuple(ticks(scale, 4)))
        rows.append(Row(code, cells, language=True, track=track))
    columns = _columns(dataset, name) + ([Column("pool")] if fair is not None else [])
    return Table(title, columns, rows, axis=(scale, kind))


def shares(dataset: Dataset, key: str) -> dict[str, Matrix]:
    """Return model → question language → passage language → share of the first results."""
    found = {
        model: {
            x: {y: v for y in dataset.languages if (v := dataset.value(model, "multilingual", key, x, y)) is not None}
            for x in dataset.languages
        }
        for model in dataset.models
    }
    return {model: {x: row for x, row in cells.items() if row} for model, cells in found.items() if any(cells.values())}


def share_key(dataset: Dataset) -> str | None:
    """Return the key of the language shares, ``language_share@k``, or None if there are none."""
    names = (str(name) for figures in dataset.figures.values() for name in dig(figures, "multilingual") or ())
    return next((name for name in names if name.startswith("language_share@")), None)


def distances(dataset: Dataset, models: Sequence[str]) -> dict[str, Matrix]:
    """Return model → language → language → distance between their mean embeddings."""
    found = {
        model: {
            x: {
                y: value
                for y in dataset.languages
                if y != x and (value := dataset.value(model, "geometry", "mean_distance", x, y)) is not None
            }
            for x in dataset.languages
        }
        for model in models
    }
    return {model: cells for model, cells in found.items() if any(cells.values())}
