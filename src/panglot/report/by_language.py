"""The figures per language: matrices, shares of the first results, their tables, and how languages flow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

from panglot.report.evaluations import Dataset, dig, number
from panglot.report.labels import Kind, format_number, language_name, percent, short_names
from panglot.report.markup import Child, Markup, tag
from panglot.report.tables import Column, Mark, Row, Scale, Table, Track, around, figure, ticks

Matrix = Mapping[str, Mapping[str, float]]
Value = Callable[[str, str], float | None]
#: The last colour, for lines that belong to no model.
_PLAIN = 7
_MOST = 12  # Languages with a place of their own in a flow. The rest share one.
_OTHER = "…"
_LINE = 0.8  # Height of a label of a flow, as a share of the room of one language.


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
    path = ("crosslingual", "matrix", key)
    if not isinstance(dig(dataset.figures.get(model), *path), Mapping):
        return {}
    cells = _square(dataset, partial(dataset.value, model, *path))
    for x, row in cells.items():
        if (own := dataset.value(model, "monolingual", "by_language", x, key)) is not None:
            row[x] = own
    return cells


def _square(dataset: Dataset, value: Value) -> dict[str, dict[str, float]]:
    """Return language → language → value, with a row of every language and only the known cells."""
    codes = dataset.languages
    return {x: {y: found for y in codes if (found := value(x, y)) is not None} for x in codes}


def mean_by_question(cells: Matrix) -> dict[str, float]:
    """Return question language → the mean over the other passage languages.

    >>> mean_by_question({"de": {"de": 0.9, "en": 0.6, "fr": 0.4}})
    {'de': 0.5}
    """
    rows = {x: [value for y, value in row.items() if y != x] for x, row in cells.items()}
    return {x: fmean(values) for x, values in rows.items() if values}


def mean_by_passage(cells: Matrix) -> dict[str, float]:
    """Return passage language → the mean over the other question languages."""
    columns = dict.fromkeys(y for row in cells.values() for y in row)
    return mean_by_question({y: {x: row[y] for x, row in cells.items() if y in row} for y in columns})


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


def shares(dataset: Dataset, key: str) -> dict[str, Matrix]:
    """Return model → question language → passage language → share of the first results."""
    found = {m: _square(dataset, partial(dataset.value, m, "multilingual", key)) for m in dataset.models}
    return {model: {x: row for x, row in cells.items() if row} for model, cells in found.items() if any(cells.values())}


def share_key(dataset: Dataset) -> str | None:
    """Return the key of the language shares, ``language_share@k``, or None if there are none."""
    names = (str(name) for figures in dataset.figures.values() for name in dig(figures, "multilingual") or ())
    return next((name for name in names if name.startswith("language_share@")), None)


def distances(dataset: Dataset) -> dict[str, Matrix]:
    """Return model → language → another language → distance between their mean embeddings."""
    found = {m: _square(dataset, partial(dataset.value, m, "geometry", "mean_distance")) for m in dataset.models}
    others = {model: {x: {y: v for y, v in row.items() if y != x} for x, row in cells.items()}
              for model, cells in found.items()}  # fmt: skip
    return {model: cells for model, cells in others.items() if any(cells.values())}


def flow(title: Child, shares: Matrix, codes: Sequence[str]) -> Markup:
    """Return a figure of two columns of languages with bands between them, in the same order on both sides.

    A band from x to y is as thick as the mean share of y among the first results of queries in x. Bands from a language
    to itself stand out.

    Args:
        title: What it shows.
        shares: Language of the query → language of the result → share.
        codes: All languages, in order. Those after the first twelve are drawn as one.
    """
    asked = [code for code in codes if code in shares]
    names = list(codes) if len(codes) <= _MOST else [*codes[: _MOST - 1], _OTHER]
    bands = dict.fromkeys(((x, y) for x in names for y in names), 0.0)
    own = 0.0
    for x in asked:
        for y, share in shares[x].items():
            bands[x if x in names else _OTHER, y if y in names else _OTHER] += share / len(asked)
            own += share / len(asked) * (x == y)
    left = {x: sum(bands[x, y] for y in names) for x in names}
    right = {y: sum(bands[x, y] for x in names) for y in names}
    starts, ends = _starts(left), _starts(right)
    parts: list[Markup] = []
    for x in names:
        for y in names:
            thick = bands[x, y]
            look = "own" if x == y != _OTHER else None
            parts += [_band(starts[x], ends[y], thick, look)] if thick > 0.0005 else []
            starts[x] += thick
            ends[y] += thick
    # What stands out is drawn last.
    parts.sort(key=lambda part: 'class="own"' in part)
    label = f"{percent(own)} of the first results are in the language of their query"
    picture = tag("svg", parts, viewBox="0 0 100 100", preserveAspectRatio="none", role="img", aria_label=label)
    sides = [_labels(left, "from"), picture, _labels(right, "to", shares=True)]
    area = tag("div", sides, class_="bands", style=f"height:{max(8, 1.5 * len(names)):g}rem")
    caption = tag("figcaption", title, tag("span", f"{percent(own)} in the same language", class_="quiet"))
    return tag("figure", caption, area, class_="flow")


def _starts(sizes: Mapping[str, float]) -> dict[str, float]:
    """Return where each part begins if they are stacked."""
    found, at = dict[str, float](), 0.0
    for name, size in sizes.items():
        found[name] = at
        at += size
    return found


def _band(start: float, end: float, thick: float, look: str | None) -> Markup:
    a, b, c, d = (f"{100 * value:.2f}" for value in (start, end, end + thick, start + thick))
    return tag("path", d=f"M0 {a}C50 {a} 50 {b} 100 {b}V{c}C50 {c} 50 {d} 0 {d}Z", class_=look)


def _labels(sizes: Mapping[str, float], side: str, *, shares: bool = False) -> Markup:
    """Return the names of the parts of a side, each beside the middle of its part if there is room."""
    starts = _starts(sizes)
    room = _LINE / len(sizes)
    places = [starts[name] + size / 2 for name, size in sizes.items()]
    # Down, so that none covers the one above, then up again from the lower end.
    for row in range(1, len(places)):
        places[row] = max(places[row], places[row - 1] + room)
    places[-1] = min(places[-1], 1 - room / 2)
    for row in range(len(places) - 2, -1, -1):
        places[row] = min(places[row], places[row + 1] - room)
    spans = [
        tag("span", _name(name), f" {percent(size)}" if shares else None, style=f"top:{100 * place:.2f}%")
        for (name, size), place in zip(sizes.items(), places, strict=True)
        if size > 0
    ]
    return tag("div", spans, class_=side)


def _name(code: str) -> Markup:
    return tag("abbr", code, title="other languages" if code == _OTHER else language_name(code).english)
