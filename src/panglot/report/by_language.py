"""The figures per language: matrices, shares of the first results, and their tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from panglot.report.charts import Mark, Scale, Track, around, ticks
from panglot.report.labels import Kind, format_number, short_names
from panglot.report.results import Dataset, dig, number
from panglot.report.tables import Column, Row, Table, figure

if TYPE_CHECKING:
    from collections.abc import Sequence

Matrix = Mapping[str, Mapping[str, float]]


def model_columns(dataset: Dataset, group: str = "") -> list[Column]:
    """Return one column per model, or a single column named after the group."""
    if len(dataset.models) == 1:
        return [Column(group)]
    short = short_names(dataset.models)
    return [Column(model, group, short[model], place) for place, model in enumerate(dataset.models)]


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
        columns += [Column(found.heading, short=found.short)] if alone else model_columns(dataset, found.heading)
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
    columns = model_columns(dataset, name) + ([Column("pool")] if fair is not None else [])
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
