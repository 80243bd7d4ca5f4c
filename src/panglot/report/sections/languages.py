"""One row per language, and every measure of retrieval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from panglot.report import svg
from panglot.report.charts import language_heading, legend
from panglot.report.heatmap import scrolling
from panglot.report.languages import LanguageColumn, language_columns
from panglot.report.markup import Child, Markup, tag
from panglot.report.measures import SETTING_LABELS, SETTINGS, Measure
from panglot.report.numbers import written
from panglot.report.scales import Scale
from panglot.report.sections.frame import section

if TYPE_CHECKING:
    from panglot.report.results import Dataset

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
        marks: list[Child] = [svg.span(scale, min(known), max(known), 7)] if known else []
        marks += [
            svg.marker(place, scale.percent(value))
            for place, column in enumerate(drawn)
            if (value := values[column.short]) is not None
        ]
        rows.append(
            tag(
                "tr",
                tag("th", language_heading(code), scope="row"),
                tag("td", svg.track(scale, marks, rules=(0, 0.5, 1)), class_="drawn"),
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
        tag("td") if column.shared else tag("th", svg.swatch(place), tag("span", model, class_="unseen"), scope="col")
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
            tag("th", svg.swatch(place), tag("bdi", model), scope="row"),
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
