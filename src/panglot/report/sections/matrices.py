"""The L × L matrices: each language against every other, and the distances of their embeddings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from panglot.report import svg
from panglot.report.heatmap import Look, heatmap, scale_legend
from panglot.report.languages import answered, asked, matrix
from panglot.report.markup import Child, Markup, tag
from panglot.report.numbers import written
from panglot.report.results import Dataset, dig, number
from panglot.report.scales import Scale, around
from panglot.report.sections.frame import beside, folded, section, widths

if TYPE_CHECKING:
    from collections.abc import Mapping


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
            marks = [svg.notch(scale, other), svg.span(scale, other, found, number_of)] if other is not None else []
            marks.append(svg.marker(number_of, scale.percent(found)))
            write = partial(written, kind="percent" if kind == "percent" else "score")
            name = [svg.swatch(number_of), tag("bdi", model)] if len(dataset.models) > 1 else [label]
            if len(dataset.models) > 1 and place == 0:
                rows.append(tag("tr", tag("th", label, colspan=4, scope="rowgroup", class_="group")))
            rows.append(
                tag(
                    "tr",
                    tag("th", name, scope="row"),
                    tag("td", svg.track(scale, marks, rules=(0, 1)), class_="drawn"),
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
        svg.swatch(dataset.models.index(model)),
        tag("bdi", model),
        tag("span", f", {text}", class_="quiet"),
    ]
