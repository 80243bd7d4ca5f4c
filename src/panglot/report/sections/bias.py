"""The measures of language bias, each with what it says, and rank distance by language."""

from __future__ import annotations

import math
from functools import partial

from panglot.report import charts
from panglot.report.charts import Scale, around, axis, language_heading, legend, ticks
from panglot.report.heatmap import Look, heatmap, scale_legend, scrolling
from panglot.report.labels import interval, written
from panglot.report.markup import Child, Markup, beside, folded, section, tag, widths
from panglot.report.results import Dataset, dig, number


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
            tag("th", charts.swatch(place), tag("bdi", model, class_="name"), scope="col")
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
                charts.track(scale, _marks(dataset, scale, row), rules=ticks(scale, 4), height=26),
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
            marks.append(charts.span(scale, 0.0, value, place))
        marks.append(charts.marker(place, scale.percent(value), title=f"{model}: {written(value, 'rank')}"))
    return marks


# On the scale of colours, eight times one's share is one end and an eighth the other.
_DOUBLINGS = 3


def preference(dataset: Dataset) -> Markup:
    """Return each language's share of the first results, by language of the question."""
    key = _key(dataset)
    if key is None:
        return Markup("")
    k = key.rpartition("@")[2]
    explanation = (
        f"Of the first {k} passages, how many are in the question's own language? The upright line is that "
        "language's share of the pool: on the line, language plays no part."
    )
    return section("Which languages come first", explanation, _own(dataset, key, k), _tables(dataset, key, k))


def _key(dataset: Dataset) -> str | None:
    for figures in dataset.figures.values():
        for name in dig(figures, "multilingual") or ():
            if str(name).startswith("language_share@"):
                return str(name)
    return None


def _share(dataset: Dataset, model: str, key: str, x: str, y: str) -> float | None:
    return dataset.value(model, "multilingual", key, x, y)


def _pool(dataset: Dataset, code: str) -> float | None:
    return number(dataset.any, "multilingual", "pool_share", code)


def _own(dataset: Dataset, key: str, k: str) -> Markup:
    several = len(dataset.models) > 1
    found = {
        code: {
            model: value for model in dataset.models if (value := _share(dataset, model, key, code, code)) is not None
        }
        for code in dataset.languages
    }
    most = max([value for row in found.values() for value in row.values()] or [1.0])
    scale = Scale(0, min(1.0, math.ceil(most * 10) / 10))
    rows: list[Child] = []
    for code, row in found.items():
        if not row:
            continue
        pool = _pool(dataset, code)
        marks: list[Child] = [charts.notch(scale, pool)] if pool is not None else []
        for model, value in row.items():
            place = dataset.models.index(model)
            if not several and pool is not None:
                marks.append(charts.span(scale, pool, value, place))
            marks.append(charts.marker(place, scale.percent(value), title=f"{model}: {written(value, 'percent')}"))
        rows.append(
            tag(
                "tr",
                tag("th", language_heading(code), scope="row"),
                tag("td", charts.track(scale, marks, rules=ticks(scale, 4), height=26), class_="drawn"),
                [tag("td", written(row.get(model), "percent", digits=2), class_="figure") for model in dataset.models],
                tag("td", written(pool, "percent", digits=2), class_="interval"),
            )
        )
    headings = [
        tag(
            "th",
            [charts.swatch(place), tag("span", model, class_="unseen")] if several else f"First {k}",
            scope="col",
        )
        for place, model in enumerate(dataset.models)
    ]
    head = tag("tr", tag("td"), tag("td"), headings, tag("th", "Pool", scope="col"))
    foot = tag(
        "tr",
        tag("td"),
        tag("td", axis(scale, partial(written, kind="percent", digits=2)), class_="drawn"),
        tag("td", colspan=len(dataset.models) + 1),
    )
    table = tag(
        "table",
        tag("caption", f"Share of the question's own language among the first {k}"),
        tag("thead", head),
        tag("tbody", rows),
        tag("tfoot", foot, aria_hidden="true"),
        class_="panel dots many" if several else "panel dots",
    )
    names = legend(list(enumerate(dataset.models))) if several else None
    return tag("div", names, scrolling(table), class_="stack")


def _tables(dataset: Dataset, key: str, k: str) -> Child:
    pool = {code: share for code in dataset.languages if (share := _pool(dataset, code)) is not None}

    def place(_x: str, y: str, value: float) -> float:
        fair = pool.get(y)
        if not fair:
            return 0.5
        return 0.5 + math.log2(max(value, 1e-9) / fair) / (2 * _DOUBLINGS)

    look = Look("d", place, lambda value: f"{100 * value:.0f}")
    tables: list[Child] = []
    for number_of, model in enumerate(dataset.models):
        cells = {
            x: {y: value for y in dataset.languages if (value := _share(dataset, model, key, x, y)) is not None}
            for x in dataset.languages
        }
        if not any(cells.values()):
            continue
        text = f"Percent of the first {k} passages in each language"
        name = [charts.swatch(number_of), tag("bdi", model), tag("span", f", {text}", class_="quiet")]
        tables.append(
            heatmap(
                {x: row for x, row in cells.items() if row},
                dataset.languages,
                look,
                caption=name if len(dataset.models) > 1 else text,
                corner=("asked in", "found in"),
                row=("pool", pool),
            )
        )
    if not tables:
        return None
    bar = scale_legend("d", "⅛ of its share", "8×", "white: its share of the pool")
    whole = [beside(*tables), bar]
    return folded("Shares of every language", *whole) if len(dataset.models) > 1 else tag("div", whole, class_="stack")
