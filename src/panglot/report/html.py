"""One HTML page that needs nothing but itself: no link, no script, no font from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from panglot._files import write_text
from panglot.report import heatmap
from panglot.report.curves import Lines, from_log
from panglot.report.markup import Child, Markup, join, tag
from panglot.report.results import Dataset, Figures, Results, read
from panglot.report.sections.bias import bias, preference
from panglot.report.sections.headline import headline, how_to_read, provenance
from panglot.report.sections.languages import geometry, languages, matrices, retrieval
from panglot.report.sections.training import training
from panglot.report.tables import facts, gaps, lead

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["from_log", "page", "to_html", "write_html"]

_Curves = Mapping[str, Lines]

# Whatever a name smuggles in, the browser loads nothing and runs nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def to_html(figures_or_comparison: Figures, curves: _Curves | Lines | None = None, title: str | None = None) -> str:
    """Return an evaluation, or a comparison, as one self-contained page.

    Args:
        figures_or_comparison: The dictionary of figures, or what ``compare`` returned.
        curves: The lines of training logs per model, from :func:`from_log`; for one model the lines alone.
        title: Of the page; by default the models and the data sets.

    Raises:
        PanglotError: The first argument is neither.
    """
    results = read(figures_or_comparison)
    by_model = _curves(curves, results)
    name = title or _title(results)
    body: list[Child] = [
        tag("header", tag("h1", name), _contents(results)),
        tag("main", [_dataset(results, dataset, place) for place, dataset in enumerate(results.datasets)],
            training(by_model, results.models) if by_model else None,
            how_to_read(results)),
        provenance(results),
    ]  # fmt: skip
    return _whole(name, body)


def page(title: str, sections: Sequence[Child]) -> str:
    """Return sections of one's own as a page of the same make."""
    return _whole(title, [tag("header", tag("h1", title)), tag("main", list(sections))])


def _whole(title: str, body: Sequence[Child]) -> str:
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="generator", content="panglot"),
        tag("title", title),
        tag("link", rel="icon", href="data:,"),
        tag("style", Markup(_stylesheet())),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', list(body)), lang='en')}\n"


def write_html(
    path: str | Path,
    figures_or_comparison: Figures,
    curves: _Curves | Lines | None = None,
    title: str | None = None,
) -> None:
    """Write the page of :func:`to_html` to ``path``, whole or not at all.

    Raises:
        PanglotError: There are no figures, or the place cannot be written.
    """
    write_text(path, to_html(figures_or_comparison, curves, title))


def _dataset(results: Results, dataset: Dataset, place: int) -> Markup:
    told = [
        contest.measure.key if contest.measure.key == "rank_distance" else contest.setting
        for contest in dataset.headline
        if not contest.estimates
    ]
    missing = [tag("li", tag("strong", what), f" {rest}.") for what, rest in gaps(dataset, told)]
    sentence = lead(dataset)
    return tag(
        "article",
        tag("header", tag("h2", tag("bdi", dataset.name)), tag("p", facts(dataset), class_="facts-line")),
        tag("p", sentence, class_="lead") if sentence else None,
        headline(dataset, compared=results.compared),
        tag("ul", missing, class_="missing") if missing else None,
        matrices(dataset),
        preference(dataset),
        bias(dataset),
        geometry(dataset),
        languages(dataset),
        retrieval(dataset),
        id=f"data-{place}",
    )


def _contents(results: Results) -> Child:
    if len(results.datasets) < 2:
        return None
    links = [
        tag("li", tag("a", tag("bdi", dataset.name), href=f"#data-{place}"))
        for place, dataset in enumerate(results.datasets)
    ]
    return tag("nav", tag("ul", links), aria_label="Data sets")


def _title(results: Results) -> str:
    names = ", ".join(dataset.name for dataset in results.datasets)
    if len(results.models) == 1:
        return f"{results.models[0]} on {names}" if names else results.models[0]
    return f"{len(results.models)} models on {names}" if names else f"{len(results.models)} models"


def _curves(curves: _Curves | Lines | None, results: Results) -> _Curves:
    if not curves:
        return {}
    if isinstance(curves, Mapping):
        return {str(model): lines for model, lines in curves.items() if lines}
    return {results.models[-1]: curves}


@lru_cache(maxsize=1)
def _stylesheet() -> str:
    page = files("panglot.report").joinpath("page.css").read_text(encoding="utf-8")
    lines = (line.strip() for line in page.splitlines())
    return join([Markup(line) for line in lines if line], "\n") + heatmap.stylesheet()
