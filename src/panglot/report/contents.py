"""What a report says about a data set: its tables and its sentences, the same for every writer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from panglot.evaluation.figures import SETTINGS
from panglot.evaluation.robustness import LABELS
from panglot.report.by_language import by_language, model_columns, share_key
from panglot.report.evaluations import Comparison, Dataset, Estimate, Figures, Results, dig, interval, number
from panglot.report.labels import (
    SETTING_LABELS,
    Kind,
    format_interval,
    format_number,
    format_p,
    language_name,
    measure,
    percent,
    sanitize,
    short_names,
)
from panglot.report.tables import Cell, Column, Mark, Row, Scale, Table, Track, around, figure, ticks


def contents(dataset: Dataset, *, compared: bool) -> Iterator[Table | list[str]]:
    """Yield the tables of a data set and, as lists, the sentences between them.

    The HTML page arranges the same parts in its own way and adds drawings.
    """
    if sentence := preference(dataset):
        yield [sentence]
    yield _headline(dataset)
    if sentence := summary(dataset):
        yield [sentence]
    if compared:
        yield verdicts(dataset)
    if gaps := missing(dataset):
        yield gaps
    tables = (
        differences(dataset),
        retrieval(dataset),
        by_language(dataset),
        bias(dataset),
        geometry(dataset),
        robustness(dataset),
    )
    yield from (table for table in tables if table is not None)


def scoreboards(results: Results) -> Iterator[tuple[str, Table, list[str]]]:
    """Yield the title and the table of each suite that was measured, and a sentence about the score of each model."""
    for suite, board in (dig(results.metadata, "suites") or {}).items():
        rows = [
            Row(form, [figure(number(by_setting, setting, model)) for setting in SETTINGS for model in results.models])
            for form, by_setting in board["forms"].items()
        ]
        means = [figure(number(board, "scores", model, setting)) for setting in SETTINGS for model in results.models]
        names = short_names(results.models)
        columns = [
            Column(names[model], SETTING_LABELS[setting], series=place)
            for setting in SETTINGS
            for place, model in enumerate(results.models)
        ]
        table = Table("", columns, [*rows, Row("mean", means)], corner="form")
        yield f"{sanitize(suite)}: {sanitize(board['measure'])}", table, _scores(results.models, board)


def _scores(models: tuple[str, ...], board: Figures) -> list[str]:
    lines: list[str] = []
    for model in models:
        score = format_number(number(board, "scores", model, "score"))
        line = (
            f"{sanitize(model)}: score {score} {format_interval(interval(board, 'scores', model, 'interval'))}".rstrip()
        )
        if (change := dig(board, "differences", model)) is not None:
            difference = format_number(number(change, "score"), sign=True)
            ends = format_interval(interval(change, "interval"), sign=True)
            line += f", {difference} {ends}".rstrip() + f" to {sanitize(change['to'])}"
            if lowest := change["lowest"]:
                ends = format_interval(interval(lowest, "interval"), sign=True)
                least = f"{format_number(number(lowest, 'difference'), sign=True)} {ends}".rstrip()
                line += f". Within a language, lowest in {sanitize(lowest['form'])}: {least}"
        lines.append(f"{line}.")
    return lines


def description(dataset: Dataset) -> str:
    """Return what the data set holds: languages, questions, passages, kind of candidates."""
    figures = dataset.any
    parts = [f"{len(dataset.languages)} language{'s' if len(dataset.languages) != 1 else ''}"]
    counts = {key: number(figures, key) for key in ("questions", "passages")}
    parts += [f"{format_number(value, 'count')} {key}" for key, value in counts.items() if value is not None]
    if candidates := figures.get("candidates"):
        # Only a sentence can come with its paragraph.
        context = figures.get("context") if candidates == "sentence" else None
        with_context = "" if context is None else ", with context" if context else ", without context"
        parts.append(f"{sanitize(candidates)} candidates{with_context}")
    return " · ".join(parts)


def before_after(dataset: Dataset) -> tuple[str, dict[str, float]] | None:
    """Return the language that the first model prefers most for questions in it, and its shares of the first results.

    The shares are by model: the first, and of the others the one with the smallest. A preference is the share divided
    by that of the pool.
    """
    if (key := share_key(dataset)) is None:
        return None
    first = dataset.models[0]
    times: dict[str, float] = {}
    for code in dataset.languages:
        share = dataset.value(first, "multilingual", key, code, code)
        if share is not None and (pool := number(dataset.any, "multilingual", "pool_share", code)):
            times[code] = share / pool
    if not times:
        return None
    code = max(times, key=lambda code: (times[code], code))
    found = {model: dataset.value(model, "multilingual", key, code, code) for model in dataset.models}
    shares = {model: share for model, share in found.items() if share is not None}
    others = {model: share for model, share in shares.items() if model != first}
    shown = [first, *([min(others, key=lambda model: others[model])] if others else [])]
    return code, {model: shares[model] for model in shown}


def preference(dataset: Dataset) -> str:
    """Return in a sentence how much of the first results is in the language that is preferred most."""
    key = share_key(dataset)
    if key is None or (found := before_after(dataset)) is None:
        return ""
    code, shares = found
    name, k = language_name(code).english, key.rpartition("@")[2]
    (first, before), *others = [(model, percent(share)) for model, share in shares.items()]
    pool = format_number(number(dataset.any, "multilingual", "pool_share", code), "percent", digits=2)
    text = f"Questions in {name}: {before} of the first {k} passages are in {name}"
    if others:
        text += f" with {sanitize(first)}" + "".join(f", {share} with {sanitize(model)}" for model, share in others)
    return f"{text}. It has {pool} of the pool."


def summary(dataset: Dataset) -> str:
    """Return in a sentence what it costs to put all languages in one pool, or nothing for several models."""
    if len(dataset.models) != 1:
        return ""
    model, key = dataset.models[0], dataset.leading_measure()
    mono, multi = dataset.value(model, "monolingual", key), dataset.value(model, "multilingual", key)
    if not mono or multi is None:
        return ""
    pools = [code for code in dataset.languages if dataset.value(model, "pool", code)] or dataset.languages
    text = f"With all {len(pools)} languages in one pool, {percent(multi / mono)} of the monolingual {key} remains"
    distance = dataset.value(model, "multilingual", "rank_distance")
    size = dataset.value(model, "multilingual", "pool_size") or dataset.value(model, "passages")
    if distance is None:
        return f"{text}."
    of = f" of {format_number(size, 'count')}" if size else ""
    return (
        f"{text}, and the first and the last relevant passage of a question "
        f"are {format_number(distance, 'rank')}{of} ranks apart."
    )


def verdicts(dataset: Dataset) -> list[str]:
    """Return where a model is significantly best, and where none is."""
    measured = [comparison for comparison in dataset.headline if comparison.estimates]
    won: dict[str, list[str]] = {}
    for comparison in measured:
        if comparison.best:
            won.setdefault(comparison.best, []).append(comparison.name)
    lines = [f"Best: {sanitize(model)} in {', '.join(names)}." for model, names in won.items()]
    if even := [comparison.name for comparison in measured if not comparison.best]:
        lines.append(f"No model is significantly best: {', '.join(even)}.")
    return lines


def missing(dataset: Dataset, known: Collection[str] = ()) -> list[str]:
    """Return a sentence for everything that was not measured, or only in part, except for ``known``."""
    found: list[str] = []
    for what, why, models in dataset.not_measured():
        if what in known:
            continue
        of = f" for {', '.join(map(sanitize, models))}" if len(models) < len(dataset.models) else ""
        label = SETTING_LABELS.get(what) or measure(sanitize(what)).label
        found.append(f"{label} not measured{of}: {sanitize(why)}.")
    for setting, count in dataset.excluded():
        what = "questions, counted once per pool," if setting == "crosslingual" else "questions"
        found.append(f"{SETTING_LABELS[setting]} excludes {count:,} {what} that have no relevant passage there.")
    return found


def _headline(dataset: Dataset) -> Table:
    """Return the three settings and rank distance, one row per model."""
    columns = [Column(c.heading, short=c.heading.replace(" ", "\n", 1)) for c in dataset.headline]
    rows = [
        Row(model, [figure(c.estimates.get(model), c.measure.kind, best=c.best == model) for c in dataset.headline])
        for model in dataset.models
    ]
    return Table("", columns, rows)


def panel(dataset: Dataset, comparison: Comparison) -> Table:
    """Return one comparison, one row per model."""
    kind, rows = comparison.measure.kind, list[Row]()
    # From 0, and scores to 1, so that panels can be compared and nothing looks larger than it is.
    scale = Scale(0, 1 if kind == "score" else around([0.0, *_ends(comparison.estimates.values())]).high)
    for place, model in enumerate(dataset.models):
        found = comparison.estimates.get(model)
        title = f"{model}: {format_number(found.value, kind)}" if found else None
        marks = (Mark(place, found.value, found.interval, title),) if found else ()
        track = Track(scale, marks, rules=tuple(ticks(scale, 4)))
        rows.append(Row(model, [figure(found, kind, best=comparison.best == model)], series=place, track=track))
    return Table(comparison.heading, [Column("")], rows, note=comparison.meaning, axis=(scale, kind))


def _ends(estimates: Iterable[Estimate]) -> list[float]:
    """Return all values and ends of intervals, which a scale must hold."""
    return [end for found in estimates for end in (found.value, *(found.interval or ()))]


def differences(dataset: Dataset) -> Table | None:
    """Return the differences between pairs of models in the headline's comparisons."""
    short = short_names(dataset.models)
    rows: list[Row] = []
    reaches: dict[Kind, float] = {}
    for comparison in dataset.headline:
        ends = map(abs, _ends(one.estimate for one in comparison.differences))
        reaches[comparison.measure.kind] = max(reaches.get(comparison.measure.kind, 0.0), *ends, 0.0)
    for comparison in dataset.headline:
        # Differences of one kind share a scale.
        reach = reaches[comparison.measure.kind] or 1.0
        for place, one in enumerate(comparison.differences):
            value = figure(one.estimate, comparison.measure.kind, sign=True)
            p = one.p if one.p_corrected is None else one.p_corrected
            series = dataset.models.index(one.a) if one.a in dataset.models else 0
            pair = f"{short.get(one.a, sanitize(one.a))} − {short.get(one.b, sanitize(one.b))}"
            cells = [Cell(pair), Cell(value.text), Cell(value.interval), Cell(format_p(p))]
            mark = Mark(series, one.estimate.value, one.estimate.interval)
            track = Track(Scale(-reach, reach), (mark,), notch=0.0)
            name = comparison.name if place == 0 else ""
            rows.append(Row(name, cells, track=track, faint=p is None or p >= 0.05))
    columns = [Column("pair", left=True), Column("difference"), Column("interval"), Column("p")]
    several = any(len(comparison.differences) > 1 for comparison in dataset.headline)
    # Holm's correction is within one measure, so there is nothing to correct for one pair.
    how = "corrected for the pairs of models, not for the measures" if several else "not corrected for the measures"
    title = f"Differences between models; p is {how}"
    return Table(title, columns, rows, corner="measure") if rows else None


def retrieval(dataset: Dataset) -> Table | None:
    """Return all retrieval measures in all settings, or None if there is only one measure."""
    measures = dataset.retrieval()
    settings = [setting for setting in SETTINGS if dataset.keys(setting)]
    if len(measures) < 2 or not settings:
        return None
    places = [(setting, model) for setting in settings for model in dataset.models]
    rows = [
        Row(each.label, [figure(dataset.value(model, setting, each.key), best=dataset.best(setting, each.key) == model)
                         for setting, model in places])
        for each in measures
    ]  # fmt: skip
    columns = [column for setting in settings for column in model_columns(dataset, SETTING_LABELS[setting])]
    return Table("Retrieval measures", columns, rows, corner="measure")


def bias(dataset: Dataset) -> Table | None:
    """Return the measures of language bias, each with its meaning."""
    rows: list[Row] = []
    for found in dataset.bias():
        best = dataset.best("multilingual", found.key)
        estimates = {model: dataset.estimate(model, "multilingual", found.key) for model in dataset.models}
        cells = [figure(each, found.kind, best=best == model) for model, each in estimates.items()]
        rows.append(Row(found.heading, cells, found.meaning))
    return Table("Language bias, with all languages in one pool", model_columns(dataset), rows) if rows else None


def geometry(dataset: Dataset) -> Table | None:
    """Return how far the embeddings separate languages."""
    if not any(dig(figures, "geometry") for figures in dataset.figures.values()):
        return None
    described: tuple[tuple[str, str, Kind, str], ...] = (
        ("Language classifier", "language_classifier", "percent", "How often it finds the language of an embedding."),
        ("Chance", "chance", "percent", "How often it would by guessing."),
        ("Cosine of translations", "translation_cosine", "score", "Similarity of texts with the same meaning."),
        ("Cosine of random pairs", "random_cosine", "score", "Similarity of unrelated texts."),
        (
            "Relevant above random",
            "separation",
            "percent",
            "How often a relevant passage is nearer to its question than a random one in the same language.",
        ),
        (
            "Translated above random",
            "separation_across_languages",
            "percent",
            "How often a relevant passage in another language is nearer than a random one in the question's own.",
        ),
    )
    rows: list[Row] = []
    for label, key, kind, note in described:
        values = [dataset.value(model, "geometry", key) for model in dataset.models]
        if any(value is not None for value in values):
            rows.append(Row(label, [figure(value, kind) for value in values], note))
    return Table("Geometry of the embeddings", model_columns(dataset), rows) if rows else None


def robustness(dataset: Dataset) -> Table | None:
    """Return by how much figures change if questions are typed carelessly, cut short, or mix languages."""
    key = dataset.leading_measure()
    kinds: dict[str, Kind] = {**dict.fromkeys(SETTINGS, "score"), "rank_distance": "rank"}
    rows: list[Row] = []
    for model in dataset.models:
        for name, label in LABELS.items():
            path = ("robustness", name)
            if not (asked := dataset.value(model, *path, "questions")):
                continue
            changes = [
                None if (value := dataset.value(model, *path, each, "difference")) is None
                else Estimate(value, interval(dataset.figures[model], *path, each, "interval"))
                for each in kinds
            ]  # fmt: skip
            cells = [figure(change, kind, sign=True) for change, kind in zip(changes, kinds.values(), strict=True)]
            named = label if len(dataset.models) == 1 else f"{model}: {label}"
            rows.append(Row(named, [figure(asked, "count"), *cells]))
    headings = ("questions", *(SETTING_LABELS[each] for each in SETTINGS), "Rank distance ↓")
    title = f"Robustness: change of {key} and rank distance if questions are changed"
    return Table(title, [Column(each) for each in headings], rows, corner="change") if rows else None
