"""Figures in the terminal: the headline, each language, the bias, and what could not be measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from panglot.report.labels import SETTING_LABELS, SETTINGS, chance, clean, interval, language, short_names, written
from panglot.report.results import Contest, Dataset, Figures, Results, read
from panglot.report.tables import (
    LanguageColumn,
    contest_name,
    facts,
    gaps,
    geometry_lines,
    language_columns,
    lead,
    verdicts,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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


_EXAMPLES = 3


def print_probe(figures: Mapping[str, Any], console: Console) -> None:
    """Print the dictionary of figures of a probe.

    Args:
        figures: What :func:`panglot.probe.probe` found.
        console: Where to; 80 columns are enough.
    """
    from rich.text import Text

    dataset, k = figures["dataset"], figures["settings"]["k"]
    told = f"{clean(figures['model']['name'])}, weak at {k}: English answers within the first {k}, the other does not"
    console.print()
    console.print(Text.assemble((clean(dataset["name"]), "bold"), "  ", (told, "dim")))
    for kind, slices in figures["by"].items():
        if kind != "all" and (len(slices) > 1 or kind == "language"):
            console.print()
            console.print(_slices(kind, slices, figures["languages"]))
    if not figures["weak"]:
        console.print("\nNo weak pair: what English finds, the other languages find too.")
    else:
        console.print()
        console.print(_examples(figures["weak"]))
    if search := figures["search"]:
        console.print()
        _print_search(search, console)
    for missing in figures["not_measured"]:
        console.print(Text.assemble("\n", (clean(missing["what"]), "bold"), f": {clean(missing['why'])}."))


def _slices(kind: str, slices: Mapping[str, Any], languages: Mapping[str, Any]) -> Table:
    own = kind == "language"
    table = _table(f"Weak by {kind}" + (" of the English version" if kind in {"length", "question word"} else ""))
    table.add_column("", no_wrap=True)
    for heading in ("weak", "of", "share", "interval", "against the rest", *(["reverse"] if own else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, one in slices.items():
        named = language(name)
        both = f"{named.code} {named.english}" if own and named.english != named.code else clean(name)
        row = [
            _plain(both), written(one["weak"], "count"), written(one["questions"], "count"), written(one["rate"]),
            _plain(_ends(one["interval"])), _plain(_ends(one["difference_interval"], sign=True)),
        ]  # fmt: skip
        table.add_row(*row, *([written(languages[name]["only_in_the_other"], "count")] if own else []))
    return table


def _ends(found: Sequence[float] | None, *, digits: int = 3, sign: bool = False) -> str:
    return interval(found[0], found[1], digits=digits, sign=sign) if found else ""


def _examples(weak: list[Mapping[str, Any]]) -> Table:
    table = _table(f"Weak pairs, {min(_EXAMPLES, len(weak))} of {len(weak):,}; all are in the JSON")
    table.add_column("", no_wrap=True)
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("question, and what stands first instead", overflow="fold")
    # Spread over the list, which goes language by language.
    for number in range(min(_EXAMPLES, len(weak))):
        one = weak[number * len(weak) // min(_EXAMPLES, len(weak))]
        texts = (one["question_in_english"], one["question"], f"→ {one['instead']['text']}")
        table.add_row(
            _plain(f"en\n{clean(one['language'])}"),
            f"{one['rank_in_english']:,}\n{one['rank']:,}",
            _plain("\n".join(_short(text) for text in texts)),
        )
    return table


def _print_search(search: Mapping[str, Any], console: Console) -> None:
    from rich.text import Text

    table = _table("Changes alone, the strongest first: what the margin loses, and what English loses")
    table.add_column("", no_wrap=True)
    for heading in ("of", "drop", "English", "score", "interval", "made weak"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, one in search["changes"].items():
        table.add_row(
            name, written(one["questions"], "count"), written(one["drop"], digits=4, sign=True),
            written(one["drop_in_english"], digits=4, sign=True), written(one["score"], digits=4, sign=True),
            _plain(_ends(one["score_interval"], digits=4, sign=True)),
            f"{one['made_weak']} of {one['not_weak_before']}",
        )  # fmt: skip
    console.print(table)
    made = sum(one["made_weak"] for one in search["by_language"].values())
    sound = sum(one["not_weak_before"] for one in search["by_language"].values())
    line = f"Search from {search['questions']:,} of {search['questions_wanted']:,} questions, {search['texts']:,} texts"
    console.print(Text(f"{line}: {made} of the {sound} that were not weak became so.", style="italic"))


def _short(text: str, length: int = 120) -> str:
    line = clean(" ".join(text.split()))
    return line if len(line) <= length else line[: length - 1] + "…"
