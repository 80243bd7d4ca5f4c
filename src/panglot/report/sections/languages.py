"""One row per language, and every measure of retrieval."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from panglot.report import charts
from panglot.report.charts import Scale, around, language_heading, legend
from panglot.report.heatmap import Look, heatmap, scale_legend, scrolling
from panglot.report.labels import SETTING_LABELS, SETTINGS, Measure, written
from panglot.report.markup import Child, Markup, beside, folded, section, tag, widths
from panglot.report.results import Dataset, dig, number
from panglot.report.tables import LanguageColumn, answered, asked, language_columns, matrix

if TYPE_CHECKING:
    from collections.abc import Mapping

_SETTING_COLUMNS = {"mono": "Monolingual", "asked": "Cross-lingual, asked in", "multi": "Multilingual"}


def languages(dataset: Dataset) -> Markup:
    """Return the table by language."""
    columns = language_columns(dataset)
    if not columns:
        return Markup("")
    if len(dataset.models) > 1:
        return section(
            "By language", "Every model in every language.", scrolling(_several(dataset, columns)), wide=True
        )
    drawn = [column for column in columns if column.short in _SETTING_COLUMNS]
    explanation = (
        f"{dataset.leading_measure()} of one language: alone, against the others, and in the pool of all. "
        "The farther apart the marks, the more language matters."
    )
    key = legend([(place, _SETTING_COLUMNS[column.short]) for place, column in enumerate(drawn)])
    return section("By language", explanation, key, scrolling(_one(dataset, columns, drawn)), wide=True)


def _one(dataset: Dataset, columns: list[LanguageColumn], drawn: list[LanguageColumn]) -> Markup:
    model, scale = dataset.models[0], Scale(0, 1)
    head = tag(
        "tr",
        tag("th", "Language", scope="col"),
        tag("th", "From 0 to 1", scope="col", class_="drawn"),
        [tag("th", _heading(column), scope="col") for column in columns],
    )
    rows: list[Child] = []
    for code in dataset.languages:
        values = {column.short: column.value(model, code) for column in columns}
        known = [value for column in drawn if (value := values[column.short]) is not None]
        marks: list[Child] = [charts.span(scale, min(known), max(known), 7)] if known else []
        marks += [
            charts.marker(place, scale.percent(value))
            for place, column in enumerate(drawn)
            if (value := values[column.short]) is not None
        ]
        rows.append(
            tag(
                "tr",
                tag("th", language_heading(code), scope="row"),
                tag("td", charts.track(scale, marks, rules=(0, 0.5, 1)), class_="drawn"),
                [tag("td", written(values[column.short], column.kind)) for column in columns],
            )
        )
    return tag("table", tag("caption", "Figures by language"), tag("thead", head), tag("tbody", rows), class_="grid")


def _several(dataset: Dataset, columns: list[LanguageColumn]) -> Markup:
    shown = [column for column in columns if column.short != "answered"]
    groups = [
        tag("th", _label(column), scope="colgroup", colspan=1 if column.shared else len(dataset.models))
        for column in shown
    ]
    below = [
        tag("td")
        if column.shared
        else tag("th", charts.swatch(place), tag("span", model, class_="unseen"), scope="col")
        for column in shown
        for place, model in enumerate(dataset.models[:1] if column.shared else dataset.models)
    ]
    rows = [
        tag(
            "tr",
            tag("th", language_heading(code), scope="row"),
            [
                tag("td", written(column.value(model, code), column.kind), class_=None if place else "first")
                for column in shown
                for place, model in enumerate(dataset.models[:1] if column.shared else dataset.models)
            ],
        )
        for code in dataset.languages
    ]
    head = [tag("tr", tag("th", "Language", scope="col", rowspan=2), groups), tag("tr", below)]
    caption = tag("caption", tag("div", "Figures by language", legend(list(enumerate(dataset.models))), class_="pin"))
    return tag("table", caption, tag("thead", head), tag("tbody", rows), class_="grid several")


def retrieval(dataset: Dataset) -> Markup:
    """Return every measure of retrieval in every setting."""
    measures = dataset.retrieval()
    settings = [setting for setting in SETTINGS if dataset.keys(setting)]
    if len(measures) < 2 or not settings:
        return Markup("")
    if len(dataset.models) != 1:
        table = _retrieval_of_several(dataset, measures, settings)
        return section("All measures", "The same rankings by other measures.", scrolling(table), wide=True)
    model = dataset.models[0]
    head = tag("tr", tag("td"), [tag("th", SETTING_LABELS[setting], scope="col") for setting in settings])
    rows = [
        tag(
            "tr",
            tag("th", measure.label, scope="row"),
            [tag("td", written(dataset.value(model, setting, measure.key))) for setting in settings],
        )
        for measure in measures
    ]
    caption = tag("caption", "Measures of retrieval")
    table = tag("table", caption, tag("thead", head), tag("tbody", rows), class_="grid narrow")
    return section("All measures", "The same rankings by other measures.", scrolling(table))


def _retrieval_of_several(dataset: Dataset, measures: list[Measure], settings: list[str]) -> Markup:
    groups = [tag("th", SETTING_LABELS[setting], scope="colgroup", colspan=len(measures)) for setting in settings]
    below = [tag("th", measure.label, scope="col") for _ in settings for measure in measures]
    rows = [
        tag(
            "tr",
            tag("th", charts.swatch(place), tag("bdi", model), scope="row"),
            [
                tag("td", _score(dataset, model, setting, measure.key), class_=None if nth else "first")
                for setting in settings
                for nth, measure in enumerate(measures)
            ],
        )
        for place, model in enumerate(dataset.models)
    ]
    head = [tag("tr", tag("th", "Model", scope="col", rowspan=2), groups), tag("tr", below)]
    caption = tag("caption", "Measures of retrieval")
    return tag("table", caption, tag("thead", head), tag("tbody", rows), class_="grid several compact")


def _score(dataset: Dataset, model: str, setting: str, key: str) -> Child:
    value = written(dataset.value(model, setting, key))
    return tag("strong", value) if dataset.best(setting, key) == model else value


def _label(column: LanguageColumn) -> str:
    return f"{column.label} ↓" if column.short == "distance" else column.label


def _heading(column: LanguageColumn) -> str:
    return {
        "mono": "Mono",
        "asked": "Cross, asked in",
        "answered": "Cross, answered in",
        "multi": "Multi",
        "distance": "Rank distance ↓",
        "own ×": "Self-preference",
    }.get(column.short, column.label)


def matrices(dataset: Dataset) -> Markup:
    """Return the heat map of the leading measure, one per model on one scale."""
    key = dataset.leading_measure()
    found = {model: cells for model in dataset.models if (cells := matrix(dataset, model))}
    values = [value for cells in found.values() for row in cells.values() for value in row.values()]
    if not values:
        return Markup("")
    scale = around(values, least=0, most=1)
    look = Look("s", lambda _x, _y, value: scale.share(value), partial(written, digits=2))
    tables = [
        heatmap(
            cells,
            dataset.languages,
            look,
            caption=_caption(dataset, model, f"{key} by language of question and passage"),
            corner=("asked in", "answered in"),
            column=("mean", asked(cells)),
            row=("mean", answered(cells)),
        )
        for model, cells in found.items()
    ]
    explanation = (
        f"{key} of questions in one language over passages in another. Outlined: the language with itself, "
        "which is monolingual. Means leave it out."
    )
    legend = scale_legend("s", written(scale.low, digits=2), written(scale.high, digits=2))
    wide = len(tables) > 1
    return section("Every language with every other", explanation, legend, beside(*tables), wide=wide)


def geometry(dataset: Dataset) -> Markup:
    """Return what the embeddings themselves tell of languages."""
    models = [model for model in dataset.models if dig(dataset.figures.get(model, {}), "geometry")]
    if not models:
        return Markup("")
    explanation = (
        "How far embeddings tell languages apart. Best is a linear classifier of languages at chance, "
        "and translations close to one another and far from random pairs."
    )
    return section("Geometry of the embeddings", explanation, _lines(dataset, models), _distances(dataset, models))


def _lines(dataset: Dataset, models: list[str]) -> Markup:
    scale = Scale(0, 1)
    rows: list[Child] = []
    for label, value, beside_it, against, kind in (
        ("Language classifier", "language_classifier", "chance", "chance", "percent"),
        ("Cosine of translations", "translation_cosine", "random_cosine", "random", "score"),
    ):
        for place, model in enumerate(models):
            found, other = (
                dataset.value(model, "geometry", value),
                dataset.value(model, "geometry", beside_it),
            )
            if found is None:
                continue
            number_of = dataset.models.index(model)
            marks = (
                [charts.notch(scale, other), charts.span(scale, other, found, number_of)] if other is not None else []
            )
            marks.append(charts.marker(number_of, scale.percent(found)))
            write = partial(written, kind="percent" if kind == "percent" else "score")
            name = [charts.swatch(number_of), tag("bdi", model)] if len(dataset.models) > 1 else [label]
            if len(dataset.models) > 1 and place == 0:
                rows.append(tag("tr", tag("th", label, colspan=4, scope="rowgroup", class_="group")))
            rows.append(
                tag(
                    "tr",
                    tag("th", name, scope="row"),
                    tag("td", charts.track(scale, marks, rules=(0, 1)), class_="drawn"),
                    tag("td", write(found), class_="figure"),
                    tag("td", f"{against} {write(other)}" if other is not None else "", class_="interval"),
                )
            )
    names = models if len(dataset.models) > 1 else ["Cosine of", "translations"]
    caption = tag("caption", "What embeddings tell of their language, from 0 to 1", class_="quiet")
    return tag("table", caption, tag("tbody", rows), class_="panel geometry", style=widths(names))


def _distances(dataset: Dataset, models: list[str]) -> Child:
    found: dict[str, Mapping[str, Mapping[str, float]]] = {}
    for model in models:
        cells = {
            x: {
                y: value
                for y in dataset.languages
                if y != x and (value := number(dataset.figures[model], "geometry", "mean_distance", x, y)) is not None
            }
            for x in dataset.languages
        }
        if any(cells.values()):
            found[model] = cells
    values = [value for cells in found.values() for row in cells.values() for value in row.values()]
    if not values:
        return None
    scale = around(values, least=0)
    look = Look("s", lambda _x, _y, value: scale.share(value), partial(written, digits=2))
    tables = [
        heatmap(
            cells,
            dataset.languages,
            look,
            caption=_caption(dataset, model, "Distance between the mean embeddings of two languages"),
            corner=("from", "to"),
        )
        for model, cells in found.items()
    ]
    legend = scale_legend("s", written(scale.low, digits=2), written(scale.high, digits=2))
    whole = [beside(*tables), legend]
    return (
        folded("Distances between the means of languages", *whole)
        if len(models) > 1
        else tag("div", whole, class_="stack")
    )


def _caption(dataset: Dataset, model: str, text: str) -> Child:
    if len(dataset.models) == 1:
        return text
    return [
        charts.swatch(dataset.models.index(model)),
        tag("bdi", model),
        tag("span", f", {text}", class_="quiet"),
    ]
