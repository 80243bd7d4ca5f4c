"""The measures of language bias, each with what it says, and rank distance by language."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from panglot.report import svg
from panglot.report.charts import axis, language_heading
from panglot.report.heatmap import scrolling
from panglot.report.markup import Child, Markup, tag
from panglot.report.numbers import interval, written
from panglot.report.scales import Scale, around, ticks
from panglot.report.sections.frame import beside, section, widths

if TYPE_CHECKING:
    from panglot.report.results import Dataset


def bias(dataset: Dataset) -> Markup:
    """Return the measures of the pool of all languages."""
    size = dataset.value(next(iter(dataset.figures), ""), "multilingual", "pool_size")
    of = f", {written(size, 'count')} passages," if size else ""
    explanation = f"All languages in one pool{of} where every version of an answer should come early."
    table = _measures(dataset)
    by_language = _by_language(dataset)
    if table is None and by_language is None:
        return Markup("")
    content = beside(table, by_language) if len(dataset.models) == 1 else [table, by_language]
    return section("Language bias", explanation, content)


def _measures(dataset: Dataset) -> Child:
    measures = dataset.bias()
    if not measures:
        return None
    several = len(dataset.models) > 1
    rows = [
        tag(
            "tr",
            tag("th", measure.heading, tag("span", measure.meaning, class_="meaning"), scope="row"),
            [_value(dataset, model, measure.key) for model in dataset.models],
        )
        for measure in measures
    ]
    head = tag(
        "tr",
        tag("td"),
        [
            tag("th", svg.swatch(place), tag("bdi", model, class_="name"), scope="col")
            for place, model in enumerate(dataset.models)
        ],
    )
    return scrolling(
        tag(
            "table",
            tag("caption", "Measures of language bias"),
            tag("thead", head) if several else None,
            tag("tbody", rows),
            class_="measures",
            style=widths(dataset.models),
        )
    )


def _value(dataset: Dataset, model: str, key: str) -> Markup:
    found = dataset.estimate(model, "multilingual", key)
    measure = next(measure for measure in dataset.bias() if measure.key == key)
    if found is None:
        return tag("td", written(None), class_="figure")
    ends = interval(found.low, found.high, measure.kind)
    value = written(found.value, measure.kind)
    return tag(
        "td",
        tag("strong", value) if dataset.best("multilingual", key) == model else value,
        tag("span", ends, class_="interval") if ends else None,
        class_="figure",
    )


def _by_language(dataset: Dataset) -> Child:
    found = {
        code: {
            model: value
            for model in dataset.models
            if (value := dataset.value(model, "multilingual", "by_language", code, "rank_distance")) is not None
        }
        for code in dataset.languages
    }
    values = [value for row in found.values() for value in row.values()]
    if not values:
        return None
    several = len(dataset.models) > 1
    scale = Scale(0, around([0.0, *values]).high)
    rows = [
        tag(
            "tr",
            tag("th", language_heading(code), scope="row"),
            tag(
                "td",
                svg.track(scale, _marks(dataset, scale, row), rules=ticks(scale, 4), height=26),
                class_="drawn",
            ),
            tag("td", written(row[dataset.models[0]], "rank"), class_="figure")
            if not several and dataset.models[0] in row
            else None,
        )
        for code, row in found.items()
        if row
    ]
    foot = tag(
        "tr",
        tag("td"),
        tag("td", axis(scale, partial(written, kind="rank")), class_="drawn"),
        None if several else tag("td"),
    )
    return tag(
        "table",
        tag("caption", "Rank distance by language of the question ↓"),
        tag("tbody", rows),
        tag("tfoot", foot, aria_hidden="true"),
        class_="panel dots",
    )


def _marks(dataset: Dataset, scale: Scale, row: dict[str, float]) -> list[Child]:
    marks: list[Child] = []
    for model, value in row.items():
        place = dataset.models.index(model)
        if len(dataset.models) == 1:
            marks.append(svg.span(scale, 0.0, value, place))
        marks.append(svg.marker(place, scale.percent(value), title=f"{model}: {written(value, 'rank')}"))
    return marks
