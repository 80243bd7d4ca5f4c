"""The tables of one data set, for every writer: its headline, comparisons and measures, and the figures by language."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from panglot.evaluation.figures import SETTINGS
from panglot.evaluation.robustness import LABELS
from panglot.report.evaluations import (
    Comparison,
    Dataset,
    Estimate,
    Matrix,
    dig,
    interval,
    matrix,
    mean_by_passage,
    mean_by_question,
    number,
)
from panglot.report.labels import SETTING_LABELS, Kind, format_number, format_p, sanitize, short_names
from panglot.report.tables import Cell, Column, Mark, Row, Scale, Table, Track, around, figure, ticks

Value = Callable[[str, str], float | None]
#: The last colour, for lines that belong to no model.
_PLAIN = 7


def headline(dataset: Dataset) -> Table:
    """Return the three settings and rank distance, one row per model."""
    columns = [Column(c.heading, short=c.heading.replace(" ", "\n", 1)) for c in dataset.headline]
    rows = [
        Row(model, [figure(c.estimates.get(model), c.measure.kind, best=c.best == model) for c in dataset.headline])
        for model in dataset.models
    ]
    return Table("", columns, rows)


def panel(dataset: Dataset, comparison: Comparison) -> Table:
    """Return one comparison, one row per model."""
    kind, rows = comparison.measure.kind, list[Row]()
    # From 0, and scores to 1, so that panels can be compared and nothing looks larger than it is.
    scale = Scale(0, 1 if kind == "score" else around([0.0, *_ends(comparison.estimates.values())]).high)
    for place, model in enumerate(dataset.models):
        found = comparison.estimates.get(model)
        title = f"{model}: {format_number(found.value, kind)}" if found else None
        marks = (Mark(place, found.value, found.interval, title),) if found else ()
        track = Track(scale, marks, rules=tuple(ticks(scale, 4)))
        rows.append(Row(model, [figure(found, kind, best=comparison.best == model)], series=place, track=track))
    return Table(comparison.heading, [Column("")], rows, note=comparison.meaning, axis=(scale, kind))


def _ends(estimates: Iterable[Estimate]) -> list[float]:
    """Return all values and ends of intervals, which a scale must hold."""
    return [end for found in estimates for end in (found.value, *(found.interval or ()))]


def differences(dataset: Dataset) -> Table | None:
    """Return the differences between pairs of models in the headline's comparisons."""
    short = short_names(dataset.models)
    rows: list[Row] = []
    reaches: dict[Kind, float] = {}
    for comparison in dataset.headline:
        ends = map(abs, _ends(one.estimate for one in comparison.differences))
        reaches[comparison.measure.kind] = max(reaches.get(comparison.measure.kind, 0.0), *ends, 0.0)
    for comparison in dataset.headline:
        # Differences of one kind share a scale.
        reach = reaches[comparison.measure.kind] or 1.0
        for place, one in enumerate(comparison.differences):
            value = figure(one.estimate, comparison.measure.kind, sign=True)
            p = one.p if one.p_corrected is None else one.p_corrected
            series = dataset.models.index(one.a) if one.a in dataset.models else 0
            pair = f"{short.get(one.a, sanitize(one.a))} − {short.get(one.b, sanitize(one.b))}"
            cells = [Cell(pair), Cell(value.text), Cell(value.interval), Cell(format_p(p))]
            mark = Mark(series, one.estimate.value, one.estimate.interval)
            track = Track(Scale(-reach, reach), (mark,), notch=0.0)
            name = comparison.name if place == 0 else ""
            rows.append(Row(name, cells, track=track, faint=p is None or p >= 0.05))
    columns = [Column("pair", left=True), Column("difference"), Column("interval"), Column("p")]
    several = any(len(comparison.differences) > 1 for comparison in dataset.headline)
    # Holm's correction is within one measure, so there is nothing to correct for one pair.
    how = "corrected for the pairs of models, not for the measures" if several else "not corrected for the measures"
    title = f"Differences between models; p is {how}"
    return Table(title, columns, rows, corner="measure") if rows else None


def retrieval(dataset: Dataset) -> Table | None:
    """Return all retrieval measures in all settings, or None if there is only one measure."""
    measures = dataset.retrieval()
    settings = [setting for setting in SETTINGS if dataset.keys(setting)]
    if len(measures) < 2 or not settings:
        return None
    places = [(setting, model) for setting in settings for model in dataset.models]
    rows = [
        Row(each.label, [figure(dataset.value(model, setting, each.key), best=dataset.best(setting, each.key) == model)
                         for setting, model in places])
        for each in measures
    ]  # fmt: skip
    columns = [column for setting in settings for column in model_columns(dataset, SETTING_LABELS[setting])]
    return Table("Retrieval measures", columns, rows, corner="measure")


def bias(dataset: Dataset) -> Table | None:
    """Return the measures of language bias, each with its meaning."""
    rows: list[Row] = []
    for found in dataset.bias():
        best = dataset.best("multilingual", found.key)
        estimates = {model: dataset.estimate(model, "multilingual", found.key) for model in dataset.models}
        cells = [figure(each, found.kind, best=best == model) for model, each in estimates.items()]
        rows.append(Row(found.heading, cells, found.meaning))
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
        (
            "Relevant above random",
            "separation",
            "percent",
            "How often a relevant passage is nearer to its question than a random one in the same language.",
        ),
        (
            "Translated above random",
            "separation_across_languages",
            "percent",
            "How often a relevant passage in another language is nearer than a random one in the question's own.",
        ),
    )
    rows: list[Row] = []
    for label, key, kind, note in described:
        values = [dataset.value(model, "geometry", key) for model in dataset.models]
        if any(value is not None for value in values):
            rows.append(Row(label, [figure(value, kind) for value in values], note))
    return Table("Geometry of the embeddings", model_columns(dataset), rows) if rows else None


def robustness(dataset: Dataset) -> Table | None:
    """Return by how much figures change if questions are typed carelessly, cut short, or mix languages."""
    key = dataset.leading_measure()
    kinds: dict[str, Kind] = {**dict.fromkeys(SETTINGS, "score"), "rank_distance": "rank"}
    rows: list[Row] = []
    for model in dataset.models:
        for name, label in LABELS.items():
            path = ("robustness", name)
            if not (asked := dataset.value(model, *path, "questions")):
                continue
            changes = [
                None if (value := dataset.value(model, *path, each, "difference")) is None
                else Estimate(value, interval(dataset.figures[model], *path, each, "interval"))
                for each in kinds
            ]  # fmt: skip
            cells = [figure(change, kind, sign=True) for change, kind in zip(changes, kinds.values(), strict=True)]
            named = label if len(dataset.models) == 1 else f"{model}: {label}"
            rows.append(Row(named, [figure(asked, "count"), *cells]))
    headings = ("questions", *(SETTING_LABELS[each] for each in SETTINGS), "Rank distance ↓")
    title = f"Robustness: change of {key} and rank distance if questions are changed"
    return Table(title, [Column(each) for each in headings], rows, corner="change") if rows else None


def model_columns(dataset: Dataset, group: str = "") -> list[Column]:
    """Return one column per model, or a single column named after the group."""
    if len(dataset.models) == 1:
        return [Column(group)]
    short = short_names(dataset.models)
    return [Column(model, group, short[model], place) for place, model in enumerate(dataset.models)]


@dataclass(frozen=True)
class LanguageFigure:
    """One figure per language, by (model, language), with a short name for narrow terminals.

    It is ``shared`` if it is a fact of the collection, the same for all models. It is ``drawn`` if it is between 0 and
    1 and comparable to the others that are drawn.
    """

    heading: str
    short: str
    kind: Kind
    value: Value
    shared: bool = False
    drawn: bool = False


def language_figures(dataset: Dataset) -> list[LanguageFigure]:
    """Return the figures per language that some model has."""
    key = dataset.leading_measure()
    cells = {model: matrix(dataset, model) for model in dataset.models}
    asked = {model: mean_by_question(found) for model, found in cells.items()}
    answered = {model: mean_by_passage(found) for model, found in cells.items()}

    def by(setting: str, name: str) -> Value:
        return lambda model, code: dataset.value(model, setting, "by_language", code, name)

    rows = [row for f in dataset.figures.values() for row in (dig(f, "multilingual", "by_language") or {}).values()]
    names = (str(name) for row in rows for name in row)
    # The cut-off of a figure is part of its name.
    own = next((name for name in names if name.startswith("self_preference")), "self_preference@10")
    figures = [
        LanguageFigure("Passages", "passages", "count", lambda m, code: dataset.value(m, "pool", code), shared=True),
        LanguageFigure(f"Monolingual {key}", "mono", "score", by("monolingual", key), drawn=True),
        LanguageFigure(f"Cross-lingual {key}, asked in", "cross,\nasked in", "score", lambda m, x: asked[m].get(x),
                       drawn=True),
        LanguageFigure(f"Cross-lingual {key}, answered in", "cross,\nanswered", "score",
                       lambda m, x: answered[m].get(x)),
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
    # Several models have more marks than a row can show.
    one = dataset.models[0] if len(dataset.models) == 1 else None
    scale = Scale(0, 1)
    rows: list[Row] = []
    for code in dataset.languages:
        track = None
        if one is not None:
            marks = [Mark(n, value) for n, f in enumerate(drawn) if (value := f.value(one, code)) is not None]
            ends = [mark.value for mark in marks]
            spans = ((min(ends), max(ends), _PLAIN),) if ends else ()
            track = Track(scale, tuple(marks), spans, rules=(0, 0.5, 1))
        shown = [(f, model) for f in figures for model in (dataset.models[:1] if f.shared else dataset.models)]
        cells = [figure(f.value(model, code), f.kind) for f, model in shown]
        rows.append(Row(code, cells, language=True, track=track))
    columns: list[Column] = []
    for f in figures:
        alone = f.shared or one is not None
        columns += [Column(f.heading, short=f.short)] if alone else model_columns(dataset, f.heading)
    return Table("By language", columns, rows, corner="language", axis=(scale, "score") if one is not None else None)


def distance_by_language(dataset: Dataset) -> Table | None:
    """Return the rank distance by language of the question, as a table of tracks."""
    found = _values(dataset, lambda m, code: dataset.value(m, "multilingual", "by_language", code, "rank_distance"))
    values = [value for row in found.values() for value in row.values()]
    scale = Scale(0, around([0.0, *values]).high)
    table = _tracks(dataset, "Rank distance by language of the question ↓", found, scale, "rank", digits=3)
    return table if table.rows else None


def own_share(dataset: Dataset, key: str) -> Table:
    """Return each language's share of the first results for its own questions, beside its share of the pool."""
    k = key.rpartition("@")[2]
    found = _values(dataset, lambda m, code: dataset.value(m, "multilingual", key, code, code))
    pool = {code: number(dataset.any, "multilingual", "pool_share", code) for code in dataset.languages}
    title = f"Share of the question's own language in the first {k}"
    return _tracks(dataset, title, found, Scale(0, 1), "percent", digits=2, fair=pool, name=f"first {k}")


def _values(dataset: Dataset, value: Value) -> Matrix:
    return {
        code: {model: found for model in dataset.models if (found := value(model, code)) is not None}
        for code in dataset.languages
    }


def _tracks(
    dataset: Dataset, title: str, values: Matrix, scale: Scale, kind: Kind, *, digits: int,
    fair: Mapping[str, float | None] | None = None, name: str = "",
) -> Table:  # fmt: skip
    """Return one row per language with a mark per model, and a notch at what would be fair."""
    rows: list[Row] = []
    for code, row in values.items():
        if not row:
            continue
        neutral = fair.get(code) if fair is not None else None
        marks = tuple(
            Mark(dataset.models.index(model), value, title=f"{model}: {format_number(value, kind)}")
            for model, value in row.items()
        )
        # A line from what is fair, or from 0, to the mark. Those of several models would cover each other.
        start = 0.0 if fair is None else neutral
        spans = () if start is None or len(dataset.models) > 1 else ((start, marks[0].value, marks[0].series),)
        cells = [figure(row.get(model), kind, digits=digits) for model in dataset.models]
        cells += [figure(neutral, kind, digits=digits)] if fair is not None else []
        track = Track(scale, marks, spans=spans, notch=neutral, rules=tuple(ticks(scale, 4)))
        rows.append(Row(code, cells, language=True, track=track))
    columns = model_columns(dataset, name) + ([Column("pool")] if fair is not None else [])
    return Table(title, columns, rows, axis=(scale, kind))
