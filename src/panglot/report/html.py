"""One HTML page that needs nothing but itself: no link, no script, no font from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from panglot._files import write_text
from panglot.report import contents
from panglot.report import dataset_tables as tables
from panglot.report.curves import Lines, training_section
from panglot.report.evaluations import Comparison, Dataset, Figures, Results, dig, read_results, share_key, shares
from panglot.report.heatmap import color_classes, distance_maps, flow, language_shares, matrices
from panglot.report.labels import MISSING, format_interval, format_number, language_name, sanitize
from panglot.report.markup import (
    Child,
    Markup,
    beside,
    draw_track,
    example,
    join,
    legend,
    section,
    table_to_html,
    tag,
)
from panglot.report.tables import Mark, Scale, Table, Track

__all__ = ["page", "to_html", "write_html"]

_DRAWN = 4  # Models whose flows are drawn.

_Curves = Mapping[str, Lines]

# Even if a name smuggles markup in, the browser loads nothing and runs nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def to_html(figures_or_comparison: Figures, curves: _Curves | Lines | None = None, title: str | None = None) -> str:
    """Return an evaluation, or a comparison, as one self-contained page.

    Args:
        figures_or_comparison: The dictionary of figures, or what ``compare`` returned.
        curves: Model → the lines of its training log, from :func:`from_log`. For one model, the lines alone.
        title: Title of the page, by default the models and the data sets.

    Raises:
        PanglotError: The first argument is neither.
    """
    results = read_results(figures_or_comparison)
    by_model = _curves(curves, results)
    main: list[Child] = [
        tag("article", tag("header", tag("h2", title)), table_to_html(table), _list(lines, "verdicts"))
        for title, table, lines in contents.scoreboards(results)
    ]
    # The page of one data set begins with the sentence that matters.
    heading = contents.preference(results.datasets[0]) if title is None and len(results.datasets) == 1 else ""
    main += [_dataset(results, dataset, place, lead=not heading) for place, dataset in enumerate(results.datasets)]
    main += [training_section(by_model, results.models) if by_model else None, _how_to_read(results)]
    return page(title or _title(results), main, _navigation(results), _provenance(results), heading)


def write_html(
    path: str | Path, figures_or_comparison: Figures, curves: _Curves | Lines | None = None, title: str | None = None
) -> None:
    """Write the page of :func:`to_html` to ``path``. If it fails, an existing file stays as it is.

    Raises:
        PanglotError: There are no figures, or the file cannot be written.
    """
    write_text(path, to_html(figures_or_comparison, curves, title))


def page(title: str, sections: Sequence[Child], navigation: Child = None, foot: Child = None, heading: str = "") -> str:
    """Return a page of sections under a title, or under another heading with the title below it."""
    head = tag("head", tag("meta", charset="utf-8"), tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
               tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
               tag("meta", name="color-scheme", content="light dark"), tag("meta", name="generator", content="panglot"),
               tag("title", title), tag("link", rel="icon", href="data:,"),
               tag("style", Markup(_stylesheet())))  # fmt: skip
    body = tag(
        "body",
        tag("header", tag("h1", heading or title), tag("p", title, class_="quiet") if heading else None, navigation),
        tag("main", sections),
        foot,
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


@lru_cache(maxsize=1)
def _stylesheet() -> str:
    css = files("panglot.report").joinpath("page.css").read_text(encoding="utf-8")
    lines = (line.strip() for line in css.splitlines())
    return join([Markup(line) for line in lines if line], "\n") + color_classes()


def _title(results: Results) -> str:
    names = ", ".join(dataset.name for dataset in results.datasets)
    models = results.models[0] if len(results.models) == 1 else f"{len(results.models)} models"
    return f"{models} on {names}" if names else models


def _curves(curves: _Curves | Lines | None, results: Results) -> _Curves:
    if not curves:
        return {}
    if isinstance(curves, Mapping):
        return {str(model): lines for model, lines in curves.items() if lines}
    return {results.models[-1]: curves}


def _navigation(results: Results) -> Child:
    if len(results.datasets) < 2:
        return None
    links = [tag("a", tag("bdi", each.name), href=f"#data-{n}") for n, each in enumerate(results.datasets)]
    return tag("nav", tag("ul", [tag("li", link) for link in links]), aria_label="Data sets")


def _dataset(results: Results, dataset: Dataset, place: int, *, lead: bool) -> Markup:
    # The headline gives these reasons itself.
    known = [comparison.subject for comparison in dataset.headline if not comparison.estimates]
    missing = contents.missing(dataset, known)
    sentence, summary = contents.preference(dataset) if lead else "", contents.summary(dataset)
    return tag(
        "article",
        tag("header", tag("h2", tag("bdi", dataset.name)), tag("p", contents.description(dataset), class_="quiet")),
        tag("p", sentence, class_="lead") if sentence else None,
        _headline(dataset, compared=results.compared),
        _list(missing, "missing") if missing else None,
        tag("p", summary, class_="summary") if summary else None,
        _example(dataset),
        [part(dataset) for part in (_flow, matrices, language_shares, _bias)],
        [part(dataset) for part in (_geometry, _robustness, _by_language, _retrieval)],
        id=f"data-{place}",
    )


def _headline(dataset: Dataset, *, compared: bool) -> Markup:
    if not compared and len(dataset.models) == 1:
        return tag("dl", [_stat(dataset, comparison) for comparison in dataset.headline], class_="stats")
    panels = [
        table_to_html(tables.panel(dataset, comparison), "panel")
        if comparison.estimates
        else tag("p", tag("strong", comparison.name), f": {dataset.why_not(comparison.subject)}")
        for comparison in dataset.headline
    ]
    pairs = None
    if (differences := tables.differences(dataset)) is not None:
        pairs = tag("details", tag("summary", "Differences between all pairs"), table_to_html(differences))
    return join([tag("div", panels, class_="panels"), _list(contents.verdicts(dataset), "verdicts"), pairs])


def _list(lines: Sequence[str], look: str) -> Markup:
    return tag("ul", [tag("li", line) for line in lines], class_=look)


def _stat(dataset: Dataset, comparison: Comparison) -> Markup:
    """Return one headline figure of a single model, in large digits."""
    model, kind = dataset.models[0], comparison.measure.kind
    found = comparison.estimates.get(model)
    arrow = tag("span", " ↓", title="lower is better", class_="arrow") if comparison.measure.lower else None
    name = tag("dt", comparison.name, arrow)
    if found is None:
        why = tag("dd", dataset.why_not(comparison.subject), class_="meaning")
        return tag("div", name, tag("dd", MISSING, class_="figure none"), why)
    size = dataset.value(model, "multilingual", "pool_size") or dataset.value(model, "passages")
    most = found.interval[1] if found.interval else found.value
    scale = Scale(0, 1 if kind == "score" else max(size or 0.0, most))
    track = Track(scale, (Mark(0, found.value, found.interval),), rules=scale.ends)
    ends = [tag("span", format_number(end, kind, digits=0)) for end in scale.ends]
    return tag("div", name, tag("dd", format_number(found.value, kind), class_="figure"),
               tag("dd", format_interval(found.interval, kind), class_="interval"),
               tag("dd", draw_track(track, 16), tag("div", ends, class_="axis", aria_hidden="true"), class_="drawn"),
               tag("dd", comparison.meaning, class_="meaning"))  # fmt: skip


def _example(dataset: Dataset) -> Child:
    """Return one real question of the language that is preferred most, with the first passages by each model."""
    if (found := contents.before_after(dataset)) is None:
        return None
    code, models = found
    examples = {model: shown for model in models if (shown := dig(dataset.figures[model], "examples", code))}
    # A question of other data has another text.
    if len({each["query"] for each in examples.values()}) != 1:
        return None
    heading = f"The first question in {language_name(code).english}"
    query = next(iter(examples.values()))["query"]
    return example(heading, query, code, {model: each["hits"] for model, each in examples.items()}, "relevant")


def _flow(dataset: Dataset) -> Markup:
    key = share_key(dataset)
    if key is None or not (found := shares(dataset, key)):
        return Markup("")
    k = key.rpartition("@")[2]
    text = (
        f"On the left are the languages of the questions, on the right those of their first {k} passages. "
        "A band to the same language stands out."
    )
    figures = [
        flow(tag("strong", tag("bdi", model)), cells, dataset.languages)
        for model, cells in list(found.items())[:_DRAWN]
    ]
    return section(f"Where the first {k} come from", text, beside(*figures), wide=len(figures) > 1)


def _bias(dataset: Dataset) -> Markup:
    size = dataset.value(next(iter(dataset.figures), ""), "multilingual", "pool_size")
    of = f" of {format_number(size, 'count')} passages" if size else ""
    explanation = f"In one pool{of} in all languages, every language version of an answer should come early."
    both = _shown(tables.bias(dataset), "measures"), _shown(tables.distance_by_language(dataset), "dots")
    found = [table for table in both if table]
    return section("Language bias", explanation, *([beside(*found)] if found and len(dataset.models) == 1 else found))


def _geometry(dataset: Dataset) -> Markup:
    explanation = (
        "How far embeddings separate languages. At best, a linear classifier of languages does no better than chance, "
        "and translations are similar while random pairs are not."
    )
    table = _shown(tables.geometry(dataset), "measures")
    return section("Geometry of the embeddings", explanation, table, distance_maps(dataset) if table else None)


def _robustness(dataset: Dataset) -> Markup:
    explanation = (
        "The same questions, changed, on the same passages. Only questions that a change applies to are counted."
    )
    table = tables.robustness(dataset)
    return section("Robustness", explanation, _shown(table and replace(table, title=""), "measures"), wide=True)


def _by_language(dataset: Dataset) -> Markup:
    explanation, keys = "All models in every language.", None
    if len(dataset.models) == 1:
        explanation = (
            f"{dataset.leading_measure()} of one language: alone, against the others, and in the pool of all. "
            "The farther apart the marks are, the more language matters."
        )
        drawn = [found for found in tables.language_figures(dataset) if found.drawn]
        keys = legend([(place, found.heading) for place, found in enumerate(drawn)])
    return section("By language", explanation, _shown(tables.by_language(dataset), keys=keys), wide=True)


def _retrieval(dataset: Dataset) -> Markup:
    wide = len(dataset.models) > 1
    text = "The same rankings by other measures."
    return section("All measures", text, _shown(tables.retrieval(dataset)), wide=wide)


def _shown(table: Table | None, look: str = "", keys: Child = None) -> Child:
    """Return a table as HTML, or nothing without one."""
    return table_to_html(table, look, keys) if table is not None else None


def _how_to_read(results: Results) -> Markup:
    """Return the terms of the page in plain words."""
    terms = {
        "Monolingual": "Each question is compared with the passages in its own language only.",
        "Cross-lingual": "Each question is compared with the passages in one other language. "
        "The figure is the mean over all pairs of languages.",
        "Multilingual": "Each question is compared with the passages of all languages. "
        "Every language version of the answer counts.",
        "mAP": "Mean average precision: 1 if every relevant passage comes before all others, near 0 if they come late.",
        "Rank distance": "Number of ranks between the first and the last version of an answer in the pool of all "
        "languages. A model without language bias puts them side by side. It grows with the pool.",
        "Self-preference": "A language's share of the first results for its own questions, "
        "divided by its share of the pool.",
        "Intervals": "95% bootstrap intervals over question groups. All translations of a question are drawn together, "
        "so the interval shows how the figure would vary with other questions.",
    }
    if results.compared:
        several = "s, corrected for the pairs of models" if len(results.models) > 2 else ""
        terms["Bold"] = (
            f"The best model, if a paired randomisation test separates it from the other{several} (p < .05). "
            "The number of measures is not corrected for. If none is bold, the models should not be ranked."
        )
    content = tag("dl", [[tag("dt", term), tag("dd", text)] for term, text in terms.items()], class_="terms")
    return tag("section", tag("h2", "How to read this"), content, class_="about", id="how-to-read")


def _provenance(results: Results) -> Markup:
    """Return settings, versions, machine and command, with which the figures can be computed again."""
    each = {model: _facts(results.evaluations.get(model) or {}) for model in results.models}
    if results.compared and (whole := _facts(results.metadata)):
        each = {model: found | whole for model, found in each.items()}
    keys = list(dict.fromkeys(key for found in each.values() for key in found))
    # What all models share is written once.
    shared = [key for key in keys if len({found.get(key) for found in each.values()}) == 1]
    first = each[results.models[0]]
    seen = [key for key in ("panglot", "date", "command") if key in shared]
    folded: list[Child] = [_list_facts(first, [key for key in shared if key not in seen])]
    for model in results.models:
        if own := [key for key in each[model] if key not in shared]:
            folded += [tag("h3", tag("bdi", model)), _list_facts(each[model], own)]
    rest = tag("details", tag("summary", "Settings, machine, versions and digests"), folded)
    return tag("footer", tag("h2", "How the figures were made"), _list_facts(first, seen), rest, class_="about")


def _list_facts(facts: Mapping[str, str], keys: Sequence[str]) -> Child:
    shown = [(key, tag("code" if key == "command" else "bdi", facts[key])) for key in keys]
    return tag("dl", [tag("div", tag("dt", key), tag("dd", value)) for key, value in shown], class_="facts")


def _facts(figures: Mapping[str, Any]) -> dict[str, str]:
    single = ("panglot", "commit", "date", "command", "seconds")
    found = {key: _text(figures[key]) for key in single if figures.get(key) is not None}
    for group in ("model", "settings", "machine", "versions"):
        for key, value in (dig(figures, group) or {}).items():
            if (group, key) != ("model", "name") and value is not None:
                found[f"{group} {sanitize(key)}" if group == "model" else sanitize(key)] = _text(value)
    for name, dataset in (dig(figures, "datasets") or {}).items():
        if digest := dig(dataset, "digest"):
            found[f"digest of {sanitize(name)}"] = _text(digest)
    return found


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{sanitize(key)} {_text(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(part) for part in value)
    return f"{value:,.6g}" if isinstance(value, float) else sanitize(value)
