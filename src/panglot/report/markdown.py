"""Figures as Markdown: for a README, an issue, a model card."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

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


_HEAD = (
    ("code", "name", "own name", "script", "direction", "family"),
    ("code", "train", "test", "tokens", "a word", "unknown", "lexicons", "routes"),
)


def languages_to_markdown(figures: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        figures: What :func:`panglot.study.profiles.profiles` returns, with ``command``, ``date`` and ``machine``.
    """
    languages: list[Mapping[str, Any]] = figures["languages"]
    bases = {each["code"].split("-", 1)[0] for each in languages}
    written = (
        f"Written by `{figures['command']}` on {figures['date']} ({figures['machine']}); write it again instead of "
        "editing it."
    )
    told = (
        f"{len(languages)} codes of {len(bases)} languages: those of all data sets that panglot knows, and of the "
        f"lexicons at hand ({_listed(figures['lexicons'])}). {_legend(figures)}"
    )
    return "\n".join([
        "# Languages", "",
        written, "",
        told, "",
        "## Names, scripts and families",
        "",
        *_table(_HEAD[0], (_named(each) for each in languages)),
        "",
        "## Data, tokens, lexicons and translation",
        "",
        *_table(_HEAD[1], (_measured(each) for each in languages)),
        "",
    ])  # fmt: skip


def _legend(figures: Mapping[str, Any]) -> str:
    return (
        "Names and likely scripts are CLDR's; where a language's text at hand is in another script, that one is "
        "told. Families are groups of ISO 639-5, the widest first, as CLDR fills them: some are of convenience, not of "
        "descent (Altaic, Caucasian, South American Indian), creoles stand with the language of their words, and – "
        "means that ISO 639-5 has the language in no group, as with Korean, Aymara and Mapuche.\n\n"
        f"`tokens`: tokens of `{figures['model']}` by those of the same sentences in English (the premium of Petrov et "
        "al., arXiv 2305.15425; 1.00 is parity), on the first set of "
        f"{_listed(figures['measured_on'])} that has the language, all parts; a digit behind it tells which. `a word`: "
        "tokens a word, where blanks part words. `unknown`: share of the letters that the tokenizer does not know; "
        "where it is high, the premium is too small, for a run of unknown letters is one token. `lexicons`: usable "
        "English entries. `routes`: from English and into English with the engines at hand "
        f"({_listed(figures['engines'])}); others reach more (`--engine` of `panglot translate`)."
    )


def _named(each: Mapping[str, Any]) -> list[str]:
    script = f"{each['script_name']} ({each['script']})" if each["script"] else ""
    return [f"`{each['code']}`", each["name"], each["own_name"], script, each["direction"], " › ".join(each["family"])]


def _measured(each: Mapping[str, Any]) -> list[str]:
    tokens = each["tokens"]
    cells = ["", "", ""]
    if tokens:
        cells = [
            f"{tokens['premium']:.2f} {_SIGNS[tokens['on']]}",
            f"{tokens['per_word']:.2f}" if tokens["per_word"] else "",
            f"{tokens['unknown']:.1%}" if tokens["unknown"] >= 0.0005 else "0",
        ]
    entries = ", ".join(f"{name} {number:,}" for name, number in each["lexicons"].items())
    routes = "; ".join(route for route in each["routes"].values() if route)
    return [f"`{each['code']}`", " ".join(each["trains"]), " ".join(each["tests"]), *cells, entries, routes]


_SIGNS = {"ntrex-128": "¹", "sib-200": "²", "tatoeba-112": "³"}


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    names = list(head)
    lines = [names, ["---"] * len(names), *([cell.replace("|", "\\|") or "–" for cell in row] for row in rows)]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
