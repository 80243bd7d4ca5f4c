"""The three settings and rank distance, with intervals; for several models, which lead is real."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from panglot.report import charts
from panglot.report.charts import Scale, around, axis, ticks
from panglot.report.heatmap import scrolling
from panglot.report.labels import NOTHING, SETTING_MEANINGS, chance, clean, interval, short_names, written
from panglot.report.markup import Child, Markup, folded, join, tag, widths
from panglot.report.results import Results, dig
from panglot.report.tables import contest_name, verdicts

if TYPE_CHECKING:
    from panglot.report.results import Contest, Dataset, Difference, Estimate


def headline(dataset: Dataset, *, compared: bool) -> Markup:
    """Return the section that stands first: what the models reach."""
    if not compared and len(dataset.models) == 1:
        return tag("dl", [_stat(dataset, contest) for contest in dataset.headline], class_="stats")
    panels = [_panel(dataset, contest) for contest in dataset.headline]
    lines = tag("ul", [tag("li", line) for line in verdicts(dataset)], class_="verdicts")
    return join([tag("div", panels, class_="panels"), lines, _differences(dataset)])


def _meaning(contest: Contest) -> str:
    if contest.measure.key == "rank_distance":
        return contest.measure.meaning
    return SETTING_MEANINGS[contest.setting]


def _stat(dataset: Dataset, contest: Contest) -> Markup:
    found, kind = contest.estimates.get(dataset.models[0]), contest.measure.kind
    name = tag("dt", contest_name(contest), _arrow(contest))
    if found is None:
        why = dataset.why_not(contest.measure.key if contest.measure.key == "rank_distance" else contest.setting)
        return tag("div", name, tag("dd", NOTHING, class_="figure none"), tag("dd", why, class_="meaning"))
    size = dataset.value(dataset.models[0], "multilingual", "pool_size") or dataset.value(dataset.models[0], "passages")
    scale = Scale(0, 1) if kind == "score" else Scale(0, max(size or 0.0, found.high or found.value))
    drawing = charts.track(scale, _marks(scale, found, 0), rules=(scale.low, scale.high), height=16)
    return tag(
        "div",
        name,
        tag("dd", written(found.value, kind), class_="figure"),
        tag("dd", interval(found.low, found.high, kind), class_="interval"),
        tag("dd", drawing, axis(scale, lambda value: written(value, kind, digits=0)), class_="drawn"),
        tag("dd", _meaning(contest), class_="meaning"),
    )


def _panel(dataset: Dataset, contest: Contest) -> Markup:
    kind = contest.measure.kind
    caption = tag("caption", tag("strong", contest_name(contest), _arrow(contest)), tag("span", _meaning(contest)))
    if not contest.estimates:
        setting = contest.measure.key if contest.measure.key == "rank_distance" else contest.setting
        return tag("table", caption, tag("tbody", tag("tr", tag("td", dataset.why_not(setting)))), class_="panel")
    scale = _scale(contest)
    ends = {
        model: interval(found.low, found.high, kind) if (found := contest.estimates.get(model)) else ""
        for model in dataset.models
    }
    rows: list[Child] = []
    for place, model in enumerate(dataset.models):
        found = contest.estimates.get(model)
        best = contest.best == model
        drawing = charts.track(scale, _marks(scale, found, place) if found else [], rules=ticks(scale, 4))
        value = written(found.value, kind) if found else NOTHING
        rows.append(
            tag(
                "tr",
                tag("th", charts.swatch(place), tag("bdi", model), scope="row"),
                tag("td", drawing, class_="drawn"),
                tag(
                    "td",
                    tag("strong", value, title="best, and surely so") if best else value,
                    tag("span", ends[model], class_="interval"),
                    class_="figure",
                ),
            )
        )
    digits = 2 if kind == "score" and scale.high - scale.low >= 0.04 else 3
    foot = tag(
        "tr",
        tag("td"),
        tag("td", axis(scale, lambda value: written(value, kind, digits=digits)), class_="drawn"),
        tag("td"),
    )
    return tag(
        "table",
        caption,
        tag("tbody", rows),
        tag("tfoot", foot, aria_hidden="true"),
        class_="panel",
        style=widths(dataset.models, ends.values()),
    )


def _arrow(contest: Contest) -> Child:
    if not contest.measure.lower:
        return None
    return tag("span", " ↓", title="lower is better", class_="arrow")


def _marks(scale: Scale, found: Estimate, series: int) -> list[Child]:
    line = (
        charts.whisker(scale, found.low, found.high, series)
        if found.low is not None and found.high is not None
        else None
    )
    return [line, charts.marker(series, scale.percent(found.value))]


def _scale(contest: Contest) -> Scale:
    every = [
        end for found in contest.estimates.values() for end in (found.value, found.low, found.high) if end is not None
    ]
    return around(every, least=0, most=1 if contest.measure.kind == "score" else None)


def _differences(dataset: Dataset) -> Child:
    bodies = [_difference_rows(dataset, contest) for contest in dataset.headline if contest.differences]
    if not bodies:
        return None
    headings = ("Pair", "", "Difference", "Interval", "p")
    head = tag("tr", [tag("th", heading, scope="col") if heading else tag("td") for heading in headings])
    caption = tag("caption", "Differences of pairs of models. p is corrected for the number of comparisons.")
    table = tag("table", caption, tag("thead", head), bodies, class_="differences")
    return folded("Differences of all pairs", scrolling(table))


def _difference_rows(dataset: Dataset, contest: Contest) -> Markup:
    known = [end for one in contest.differences for end in _ends(one)]
    reach = max(abs(end) for end in known) or 1.0
    scale = Scale(-reach, reach)
    rows = [_difference_row(dataset, contest, one, scale) for one in contest.differences]
    heading = tag("tr", tag("th", contest_name(contest), _arrow(contest), colspan=5, scope="rowgroup"))
    return tag("tbody", heading, rows)


def _difference_row(dataset: Dataset, contest: Contest, one: Difference, scale: Scale) -> Markup:
    short, kind, found = short_names(dataset.models), contest.measure.kind, one.estimate
    p = one.p if one.p_corrected is None else one.p_corrected
    real = p is not None and p < 0.05
    series = dataset.models.index(one.a) if one.a in dataset.models else 0
    pair = [tag("bdi", short.get(one.a, one.a)), " − ", tag("bdi", short.get(one.b, one.b))]
    return tag(
        "tr",
        tag("th", pair, scope="row"),
        tag(
            "td",
            charts.track(scale, [charts.notch(scale, 0.0), *_marks(scale, found, series)], height=16),
            class_="drawn",
        ),
        tag("td", written(found.value, kind, sign=True), class_="figure"),
        tag("td", interval(found.low, found.high, kind, sign=True), class_="interval"),
        tag("td", chance(p).removeprefix("= "), class_="figure"),
        class_=None if real else "unsure",
    )


def _ends(one: Difference) -> list[float]:
    found = one.estimate
    return [end for end in (found.value, found.low, found.high) if end is not None]


def how_to_read(results: Results) -> Markup:
    """Return the terms of the page in plain words."""
    terms = [
        ("Monolingual", "A question meets only passages in its own language."),
        (
            "Cross-lingual",
            "A question meets only passages in one other language: a figure per pair, then their mean.",
        ),
        (
            "Multilingual",
            "A question meets the passages of all languages at once; every version of the answer counts.",
        ),
        (
            "mAP",
            "Mean average precision: 1 if every relevant passage comes before every other, near 0 if late.",
        ),
        (
            "Rank distance",
            (
                "Ranks between the first and the last version of an answer, in the pool of all languages. "
                "A model that is blind to language puts them side by side. Larger pools make it larger."
            ),
        ),
        (
            "Self-preference",
            "A language's share of the first results for its own questions, over its share of the pool.",
        ),
        (
            "Intervals",
            (
                "95% bootstrap intervals over question groups: all translations of a question are drawn "
                "together, so the interval says how the figure would move with other questions."
            ),
        ),
    ]
    if results.compared:
        terms.append(
            (
                "Bold",
                (
                    "The best model, and only where a paired randomisation test, corrected for the number of "
                    "comparisons, tells it from the others. Where none is bold, no order should be claimed."
                ),
            )
        )
    content = tag("dl", [[tag("dt", term), tag("dd", text)] for term, text in terms], class_="terms")
    return tag("section", tag("h2", "How to read this"), content, class_="about", id="how-to-read")


def provenance(results: Results) -> Markup:
    """Return settings, versions, machine and command: what it takes to make the figures again."""
    each = {model: _facts(results.evaluations.get(model) or {}) for model in results.models}
    if results.compared and (whole := _facts(results.about)):
        each = {model: found | whole for model, found in each.items()}
    keys = list(dict.fromkeys(key for found in each.values() for key in found))
    shared = [key for key in keys if len({found.get(key) for found in each.values()}) == 1]
    same = tag("dl", [_pair(key, each[results.models[0]][key]) for key in shared], class_="facts")
    parts: list[Child] = [same]
    for model in results.models:
        own = [_pair(key, value) for key, value in each[model].items() if key not in shared]
        if own:
            parts += [tag("h3", tag("bdi", model)), tag("dl", own, class_="facts")]
    return tag("footer", tag("h2", "Where the figures come from"), parts, class_="about")


def _pair(key: str, value: str) -> Markup:
    shown = tag("code", value) if key == "command" else tag("bdi", value)
    return tag("div", tag("dt", key), tag("dd", shown))


def _facts(figures: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key in ("panglot", "date", "command", "seconds"):
        if figures.get(key) is not None:
            found[key] = _text(figures[key])
    for group in ("model", "settings", "machine", "versions"):
        for key, value in (dig(figures, group) or {}).items():
            if (group, key) != ("model", "name") and value is not None:
                found[f"{group} {clean(key)}" if group == "model" else clean(key)] = _text(value)
    for name, dataset in (dig(figures, "datasets") or {}).items():
        if digest := dig(dataset, "digest"):
            found[f"digest of {clean(name)}"] = _text(digest)
    return found


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{clean(key)} {_text(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(part) for part in value)
    return f"{value:,.6g}" if isinstance(value, float) else clean(value)
