"""Figures in the terminal: the headline, each language, the bias, and what could not be measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from panglot.report.languages import LanguageColumn, language_columns
from panglot.report.measures import SETTING_LABELS, SETTINGS
from panglot.report.names import clean, language, short_names
from panglot.report.numbers import chance, interval, written
from panglot.report.results import Contest, Dataset, Figures, Results, read
from panglot.report.summary import contest_name, facts, gaps, geometry_lines, lead, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, RenderableType
    from rich.table import Table


def print_evaluation(figures: Figures, console: Console) -> None:
    """Print one model's dictionary of figures.

    Args:
        figures: The dictionary of figures.
        console: Where to; 80 columns are enough.

    Raises:
        PanglotError: These are no figures.
    """
    _print(read(figures), console)


def print_comparison(comparison: Figures, console: Console) -> None:
    """Print several models side by side; a figure is bold only where its lead is real.

    Args:
        comparison: What ``compare`` returned.
        console: Where to; 80 columns are enough for four models.

    Raises:
        PanglotError: This is no comparison.
    """
    _print(read(comparison), console)


def _print(results: Results, console: Console) -> None:
    for dataset in results.datasets:
        console.print()
        for part in _parts(dataset, compared=results.compared):
            console.print(part)


def _parts(dataset: Dataset, *, compared: bool) -> Iterable[RenderableType]:
    from rich.columns import Columns
    from rich.padding import Padding
    from rich.text import Text

    yield Text.assemble((clean(dataset.name), "bold"), "  ", (facts(dataset), "dim"))
    yield ""
    yield _headline(dataset)
    if sentence := lead(dataset):
        yield Text(sentence, style="italic")
    if compared:
        yield Text("\n".join(verdicts(dataset)), style="italic")
        if any(contest.differences for contest in dataset.headline):
            yield ""
            yield _differences(dataset)
    if missing := gaps(dataset):
        yield ""
        for what, rest in missing:
            yield Text.assemble((what, "bold"), f" {rest}.")
    if len(dataset.retrieval()) > 1:
        yield ""
        yield _retrieval(dataset)
    tables = _languages(dataset)
    if tables:
        yield ""
        yield Columns(tables, padding=(0, 3)) if len(tables) > 1 else tables[0]
    if dataset.bias():
        yield ""
        yield _bias(dataset)
    for model in dataset.models:
        if lines := geometry_lines(dataset, model):
            yield ""
            yield Text("Geometry" + (f" of {clean(model)}" if compared else ""), style="bold")
            yield Padding(Text("\n".join(lines)), (0, 0, 0, 2))


def _headline(dataset: Dataset) -> Table:
    table = _table("")
    table.add_column("", overflow="fold")
    for contest in dataset.headline:
        setting, _, rest = contest_name(contest).rpartition(" ")
        arrow = " ↓" if contest.measure.lower else ""
        table.add_column(f"{setting}\n{rest}{arrow}", justify="right", no_wrap=True)
    for model in dataset.models:
        table.add_row(_plain(clean(model)), *(_cell(contest, model) for contest in dataset.headline))
    return table


def _cell(contest: Contest, model: str) -> RenderableType:
    from rich.text import Text

    found = contest.estimates.get(model)
    if found is None:
        return Text("–", style="dim")
    kind = contest.measure.kind
    value = Text(written(found.value, kind), style="bold green" if contest.best == model else "")
    ends = interval(found.low, found.high, kind)
    return Text("\n").join([value, Text(ends, style="dim")]) if ends else value


def _differences(dataset: Dataset) -> Table:
    table = _table("Differences of pairs; p is corrected for the number of comparisons")
    short = short_names(dataset.models)
    table.add_column("measure", no_wrap=True)
    table.add_column("pair", overflow="fold")
    for heading in ("difference", "interval", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for contest in dataset.headline:
        for place, one in enumerate(contest.differences):
            kind, found = contest.measure.kind, one.estimate
            p = one.p if one.p_corrected is None else one.p_corrected
            table.add_row(
                contest_name(contest) if place == 0 else "",
                _plain(f"{short.get(one.a, clean(one.a))} − {short.get(one.b, clean(one.b))}"),
                written(found.value, kind, sign=True),
                _plain(interval(found.low, found.high, kind, sign=True)),
                chance(p).removeprefix("= "),
                style="" if p is not None and p < 0.05 else "dim",
                end_section=place == len(contest.differences) - 1,
            )
    return table


def _retrieval(dataset: Dataset) -> Table:
    table = _table("Measures of retrieval")
    several = len(dataset.models) > 1
    table.add_column("")
    if several:
        table.add_column("", overflow="fold")
    for setting in SETTINGS:
        table.add_column(SETTING_LABELS[setting].lower(), justify="right")
    for measure in dataset.retrieval():
        for place, model in enumerate(dataset.models):
            values = [_score(dataset, model, setting, measure.key) for setting in SETTINGS]
            names = [measure.label if place == 0 else "", *([_plain(clean(model))] if several else [])]
            table.add_row(*names, *values)
    return table


def _score(dataset: Dataset, model: str, setting: str, key: str) -> RenderableType:
    from rich.text import Text

    best = dataset.best(setting, key) == model
    return Text(written(dataset.value(model, setting, key)), style="bold green" if best else "")


def _languages(dataset: Dataset) -> list[Table]:
    columns = language_columns(dataset)
    if len(dataset.models) == 1:
        table = _language_table("Languages", [column.short for column in columns])
        for code in dataset.languages:
            values = [written(column.value(dataset.models[0], code), column.kind, digits=3) for column in columns]
            table.add_row(*_language(code), *values)
        return [table] if columns else []
    return [
        _language_table_of(dataset, column)
        for column in columns
        if column.short in {"mono", "asked", "multi", "distance"}
    ]


def _language_table_of(dataset: Dataset, column: LanguageColumn) -> Table:
    short = short_names(dataset.models)
    table = _language_table(column.label, [short[model] for model in dataset.models])
    for code in dataset.languages:
        values = [written(column.value(model, code), column.kind) for model in dataset.models]
        table.add_row(*_language(code), *values)
    return table


def _language_table(title: str, headings: list[str]) -> Table:
    table = _table(title)
    table.add_column("")
    table.add_column("")
    for heading in headings:
        table.add_column(_plain(heading), justify="right", overflow="fold")
    return table


def _language(code: str) -> tuple[RenderableType, RenderableType]:
    # Terminals disagree about right-to-left letters, so the names are English here.
    named = language(code)
    return _plain(named.code), _plain(named.english if named.english != named.code else "")


def _bias(dataset: Dataset) -> Table:
    from rich.text import Text

    table = _table("Language bias, all languages in one pool")
    short = short_names(dataset.models)
    one = len(dataset.models) == 1
    table.show_header = not one
    table.add_column("")
    for model in dataset.models:
        table.add_column("" if one else _plain(short[model]), justify="right", overflow="fold")
    for measure in dataset.bias():
        values: list[RenderableType] = []
        for model in dataset.models:
            found = dataset.estimate(model, "multilingual", measure.key)
            best = dataset.best("multilingual", measure.key) == model
            text = Text(written(found.value if found else None, measure.kind), style="bold green" if best else "")
            if found and one and (ends := interval(found.low, found.high, measure.kind)):
                text.append(f"\n{ends}", style="dim")
            values.append(text)
        table.add_row(Text.assemble(measure.heading, "\n", (measure.meaning, "dim")), *values)
    return table


def _table(title: str) -> Table:
    from rich import box
    from rich.table import Table

    return Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1),
        header_style="dim",
    )


def _plain(text: str) -> RenderableType:
    """Text from outside, in which brackets are no markup."""
    from rich.text import Text

    return Text(text)
