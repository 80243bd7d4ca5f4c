"""Figures as Markdown: for a README, an issue, a model card."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from panglot.report.labels import (
    NOTHING,
    SETTING_LABELS,
    SETTINGS,
    chance,
    clean,
    interval,
    language,
    measure,
    short_names,
    written,
)
from panglot.report.results import Contest, Dataset, Figures, read
from panglot.report.tables import contest_name, facts, gaps, geometry_lines, language_columns, lead, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def to_markdown(figures_or_comparison: Figures) -> str:
    """Return an evaluation's dictionary of figures, or a comparison, as Markdown.

    A figure of a comparison is bold only where its lead is real. Text from outside is escaped.

    Raises:
        PanglotError: It is neither.
    """
    results = read(figures_or_comparison)
    blocks: list[str] = []
    for dataset in results.datasets:
        blocks += _blocks(dataset, compared=results.compared)
    return "\n\n".join(blocks) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """Return a table whose first ``left`` columns stand left and the rest right; cells are Markdown already.

    >>> print(table(["a", "b"], [["x", "1"]]))
    | a | b |
    |:--|--:|
    | x | 1 |
    """
    marks = [":--" if place < left else "--:" for place in range(len(header))]
    lines = [f"| {' | '.join(header)} |", f"|{'|'.join(marks)}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def escaped(text: object) -> str:
    r"""Return text from outside so that Markdown shows it as it is.

    >>> escaped("a|b <c> [d](e)")
    'a\\|b &lt;c&gt; \\[d\\](e)'
    """
    plain = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", plain)


def _blocks(dataset: Dataset, *, compared: bool) -> Iterable[str]:
    yield f"## {escaped(dataset.name)}"
    yield escaped(facts(dataset))
    yield table(
        ["", *(contest_name(c) + (" ↓" if c.measure.lower else "") for c in dataset.headline)],
        [[escaped(m), *(_cell(c, m) for c in dataset.headline)] for m in dataset.models],
    )
    if sentence := lead(dataset):
        yield escaped(sentence)
    if compared:
        yield "\n".join(f"- {escaped(line)}" for line in verdicts(dataset))
    if missing := gaps(dataset):
        yield "\n".join(f"- {escaped(what)} {escaped(rest)}." for what, rest in missing)
    if any(contest.differences for contest in dataset.headline):
        yield "### Differences of pairs"
        yield table(["", "pair", "difference", "interval", "p, corrected"], _differences(dataset), left=2)
    if len(dataset.retrieval()) > 1:
        yield "### Measures of retrieval"
        yield _retrieval(dataset)
    yield from _languages(dataset)
    if dataset.bias():
        yield "### Language bias, all languages in one pool"
        yield _bias(dataset)
    for model in dataset.models:
        if lines := geometry_lines(dataset, model):
            yield "### Geometry" + (f" of {escaped(model)}" if compared else "")
            yield "\n".join(f"- {escaped(line)}" for line in lines)


def _cell(contest: Contest, model: str) -> str:
    found = contest.estimates.get(model)
    if found is None:
        return NOTHING
    kind = contest.measure.kind
    value, ends = written(found.value, kind), interval(found.low, found.high, kind)
    value = f"**{value}**" if contest.best == model else value
    return f"{value} {ends}" if ends else value


def _differences(dataset: Dataset) -> Iterable[list[str]]:
    short = short_names(dataset.models)
    for contest in dataset.headline:
        for one in contest.differences:
            kind, found = contest.measure.kind, one.estimate
            pair = f"{short.get(one.a, clean(one.a))} − {short.get(one.b, clean(one.b))}"
            yield [
                contest_name(contest),
                escaped(pair),
                written(found.value, kind, sign=True),
                interval(found.low, found.high, kind, sign=True),
                escaped(chance(one.p if one.p_corrected is None else one.p_corrected).removeprefix("= ")),
            ]


def _retrieval(dataset: Dataset) -> str:
    several = len(dataset.models) > 1
    rows = [
        [
            escaped(found.label),
            *([escaped(model)] if several else []),
            *(_score(dataset, model, setting, found.key) for setting in SETTINGS),
        ]
        for found in dataset.retrieval()
        for model in dataset.models
    ]
    header = ["", *([""] if several else []), *(SETTING_LABELS[setting] for setting in SETTINGS)]
    return table(header, rows, left=2 if several else 1)


def _score(dataset: Dataset, model: str, setting: str, key: str) -> str:
    value = written(dataset.value(model, setting, key), measure(key).kind)
    return f"**{value}**" if dataset.best(setting, key) == model else value


def _languages(dataset: Dataset) -> Iterable[str]:
    columns, models = language_columns(dataset), dataset.models
    names = [f"`{escaped(code)}` {escaped(language(code).english)}" for code in dataset.languages]
    if columns and len(models) == 1:
        yield "### Languages"
        rows = [
            [name, *(written(column.value(models[0], code), column.kind) for column in columns)]
            for name, code in zip(names, dataset.languages, strict=True)
        ]
        yield table(["", *(column.label for column in columns)], rows)
        return
    for column in columns:
        if not column.shared:
            yield f"### {column.label}, by language"
            rows = [
                [name, *(written(column.value(model, code), column.kind) for model in models)]
                for name, code in zip(names, dataset.languages, strict=True)
            ]
            yield table(["", *map(escaped, models)], rows)


def _bias(dataset: Dataset) -> str:
    names = [escaped(model) if len(dataset.models) > 1 else "" for model in dataset.models]
    rows = [
        [
            found.heading,
            *(_score(dataset, model, "multilingual", found.key) for model in dataset.models),
            found.meaning,
        ]
        for found in dataset.bias()
    ]
    # The explanation is text: the last column alone stands left.
    lines = table(["", *names, "what it says"], rows).split("\n")
    lines[1] = lines[1].removesuffix("--:|") + ":--|"
    return "\n".join(lines)
