"""What a report says: its tables and sentences, the same for every writer, as Markdown and on the terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from panglot.evaluation.figures import SETTINGS
from panglot.report.dataset_tables import bias, by_language, differences, geometry, headline, retrieval, robustness
from panglot.report.evaluations import Dataset, Figures, Results, dig, interval, number, read_results, share_key
from panglot.report.labels import (
    SETTING_LABELS,
    format_interval,
    format_number,
    language_name,
    measure,
    percent,
    sanitize,
    short_names,
)
from panglot.report.tables import (
    Column,
    Row,
    Table,
    escape_markdown,
    figure,
    print_table,
    table_to_markdown,
)

if TYPE_CHECKING:
    from rich.console import Console

FEW_GROUPS = 20
"""With fewer question groups, a bootstrap over groups shows too little of how they vary."""


def contents(dataset: Dataset, *, compared: bool) -> Iterator[Table | list[str]]:
    """Yield the tables of a data set and, as lists, the sentences between them.

    The HTML page arranges the same parts in its own way and adds drawings.
    """
    if sentence := preference(dataset):
        yield [sentence]
    yield headline(dataset)
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
    groups = number(dataset.any, "groups") or 0
    if 1 < groups < FEW_GROUPS and any(map(_has_intervals, dataset.figures.values())):
        found.append(f"Intervals are too narrow with {groups:,.0f} question groups: of 95 % intervals over 10 groups,"
                     " some 90 % hold the true value, and over 5, some 85 %.")  # fmt: skip
    return found


def _has_intervals(figures: Figures) -> bool:
    return any(dig(figures, setting, "interval") for setting in SETTINGS)


def to_markdown(figures_or_comparison: Figures) -> str:
    """Return an evaluation's dictionary of figures, or a comparison, as Markdown.

    A figure of a comparison is bold only if it is significantly the best. Text from outside is escaped.

    Raises:
        PanglotError: The argument is neither.
    """
    results = read_results(figures_or_comparison)
    blocks: list[str] = []
    for title, board, lines in scoreboards(results):
        blocks += [f"## {escape_markdown(title)}"]
        for table in board.split():
            blocks += [f"### {escape_markdown(table.title)}", table_to_markdown(table)]
        blocks.append(_markdown_list(lines))
    for dataset in results.datasets:
        blocks += [f"## {escape_markdown(dataset.name)}", escape_markdown(description(dataset))]
        for part in contents(dataset, compared=results.compared):
            if isinstance(part, list):
                blocks.append(_markdown_list(part))
                continue
            for table in part.split():
                blocks += [f"### {escape_markdown(table.title)}"] if table.title else []
                blocks.append(table_to_markdown(table))
    return "\n\n".join(blocks) + "\n"


def _markdown_list(lines: Sequence[str]) -> str:
    """Return sentences as a list; one alone is a paragraph."""
    texts = list(map(escape_markdown, lines))
    return texts[0] if len(texts) == 1 else "\n".join(f"- {text}" for text in texts)


def print_report(figures_or_comparison: Figures, console: Console) -> None:
    """Print an evaluation, or a comparison, in which a figure is bold only if it is significantly the best.

    Args:
        figures_or_comparison: The dictionary of figures, or what ``compare`` returned.
        console: Where to print. 80 columns are enough for four models.

    Raises:
        PanglotError: The first argument is neither.
    """
    from rich.text import Text

    results = read_results(figures_or_comparison)
    for title, board, lines in scoreboards(results):
        console.print()
        console.print(Text(title, style="bold"))
        print_table(board, console)
        console.print(Text("\n".join(lines), style="italic"))
    forms = {form for suite in (dig(results.metadata, "suites") or {}).values() for form in suite["forms"]}
    for dataset in results.datasets:
        if dataset.name in forms:  # The scoreboard has their figures. Reports and JSON have all of them.
            continue
        console.print()
        console.print(Text.assemble((sanitize(dataset.name), "bold"), "  ", (description(dataset), "dim")))
        for part in contents(dataset, compared=results.compared):
            if isinstance(part, Table):
                console.print()
                print_table(part, console)
            else:
                console.print(Text("\n".join(part), style="italic"))
