"""Write what a diagnosis of an index found: sentences, a table, and a page with real rankings before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from panglot.report.heatmap import flow
from panglot.report.html import page
from panglot.report.labels import MISSING, format_interval, format_number, language_name, percent
from panglot.report.markup import Child, Markup, beside, example, join, legend, section, table_to_html, tag
from panglot.report.tables import Cell, Column, Mark, Row, Scale, Table, Track, figure

if TYPE_CHECKING:
    from panglot.search.integrations.snippets import Snippet

__all__ = ["HEADINGS", "diagnosis_page", "findings", "headline", "trials_table"]

_Figures = Mapping[str, Any]

_PREFERENCE, _FOUND, _SHARES = "self_preference@10", "translation_found@10", "language_share@10"
_FEW = 30  # Groups of queries under which figures say little.

HEADINGS = {
    "wrong": "What is wrong",
    "helps": "What helps",
    "costs": "What it costs within a language",
    "limits": "What this does not show",
}
"""The parts of :func:`findings`, in their order, with their headings."""


def headline(found: _Figures) -> str:
    """Return the sentence that matters most."""
    plain, best = found["trials"]["plain"], found["best"]
    if (code := found["worst"]) is None:
        return _not_measured(found)
    if len(found["pool"]) == 1:
        return f"All documents are in {language_name(code).english}, so no language can be preferred"
    name, before = language_name(code).english, percent(plain[_SHARES][code][code])
    if best is not None:
        after = percent(found["trials"][best][_SHARES][code][code])
        return f"Queries in {name}: {before} of the first 10 results were in {name}; with {best}, {after}"
    if found["fair"] and _is_even(plain):
        return "The results do not favour the language of the query"
    return f"Queries in {name}: {before} of the first 10 results are in {name}, and nothing that was tried helps"


def findings(found: _Figures) -> dict[str, list[str]]:
    """Return what a diagnosis found in sentences, by the keys of :data:`HEADINGS`. Parts may be empty."""
    return {"wrong": _wrong(found), "helps": _helps(found), "costs": _costs(found), "limits": _limits(found)}


def _not_measured(found: _Figures) -> str:
    """Return why preference was not measured: queries in other languages, or too few documents."""
    if set(found["languages"]).isdisjoint(found["pool"]):
        return "No query is in a language of the documents, so none can be preferred"
    return "There are too few documents: queries find none but their own and its translations"


def _is_even(plain: _Figures) -> bool:
    return plain[_PREFERENCE] is None or 0.8 <= plain[_PREFERENCE] <= 1.25


def _wrong(found: _Figures) -> list[str]:
    plain = found["trials"]["plain"]
    if (code := found["worst"]) is None:
        return [f"{_not_measured(found)}."]
    if len(found["pool"]) == 1:
        return [f"Nothing: all documents are in {language_name(code).english}. If they are not, name their languages."]
    name, share, pool = language_name(code).english, plain[_SHARES][code][code], plain["pool_share"][code]
    fact = f"{percent(share)} of the first 10 results are in {name}, and {percent(pool)} of the documents."
    times = f"Over all languages, the query's own language fills {plain[_PREFERENCE]:.1f} times its share."
    if _is_even(plain):
        return [
            f"{times} That is near to 1, so nothing needs to be corrected.",
            f"This figure is highest for {name}: {fact}",
        ]
    lines = [f"Queries in {name}: {fact}", times]
    if plain[_FOUND] is not None:
        lines.append(
            f"For each query, panglot looked for the translations of the document that the query was taken from. "
            f"{percent(plain[_FOUND])} of them are among the first 10."
        )
    return lines


def _helps(found: _Figures) -> list[str]:
    plain, best, code = found["trials"]["plain"], found["best"], found["worst"]
    training = "Training on your own documents goes further: see `panglot train --recipe own` and the how-to guides."
    if code is None or _is_even(plain):
        return []
    if best is None:
        return [f"None of the {len(found['trials']) - 1} other ways of ranking is fairer. {training}"]
    after, name = found["trials"][best], language_name(code).english
    kind = "The correction" if after["corrected"] else "The mode"
    lines = [
        f"{kind} `{best}`: for queries in {name}, {percent(after[_SHARES][code][code])} of the first 10 are in {name}.",
        f"Over all languages, the query's own language fills {after[_PREFERENCE]:.1f} times its share.",
    ]
    if after[_FOUND] is not None:
        fewer = "But only " if after[_FOUND] < plain[_FOUND] else ""
        share, before = percent(after[_FOUND]), percent(plain[_FOUND])
        lines.append(f"{fewer}{share} of the translations are among the first 10, instead of {before}.")
    if not found["fair"] or (after[_FOUND] is not None and after[_FOUND] < 0.8):
        lines.append(training)
    return lines


def _costs(found: _Figures) -> list[str]:
    plain, best = found["trials"]["plain"], found["best"]
    before = plain["within_language"]
    if before["R@1"] is None:
        return ["The cost was not measured, because the queries were not taken from documents."]
    searched = "among the documents of its own language"
    if best is None:
        return [
            f"As it is, a query finds its own document first, {searched}, in {percent(before['R@1'])} of the cases."
        ]
    after = found["trials"][best]["within_language"]
    difference = after["difference"]
    change, meaning = format_number(difference["MRR"], sign=True), ""
    if ends := difference["interval"]:
        by_chance = "which chance explains" if ends[0] <= 0 <= ends[1] else "more than chance explains"
        meaning = f" {format_interval(ends, sign=True)}, {by_chance}"
    own, own_before = found["trials"][best]["own_found@10"], plain["own_found@10"]
    shares = f"in {percent(after['R@1'])} of the cases instead of {percent(before['R@1'])}"
    pooled = f"{percent(own)} of the own documents are in the first 10 instead of {percent(own_before)}"
    return [
        f"A query finds its own document first, {searched}, {shares}.",
        f"The mean reciprocal rank changes by {change}{meaning}.",
        f"Among all documents except translations, {pooled}.",
    ]


def _limits(found: _Figures) -> list[str]:
    lines: list[str] = []
    taken = not found["given"] and len(found["pool"]) > 1
    if taken and not found["with_translations"]:
        lines.append(
            "The documents do not say which of them are translations of each other (`group`). A topic that only one "
            "language has looks like a preference for that language, and nobody knows whether translations are found."
        )
    elif taken and (alone := found["untranslated"]):
        names = ", ".join(language_name(code).english for code in alone)
        lines.append(
            f"No query in these languages is from a document with a translation (`group`): {names}. What only they "
            "write about looks like a preference for them."
        )
    if found["groups"] < _FEW:
        few = "One query is" if found["groups"] == 1 else f"{found['groups']} different queries are"
        lines.append(f"{few} few. Figures from {_FEW} or more vary less.")
    if not found["given"]:
        lines.append(
            "The queries are titles or first sentences. Users ask in other words. Give their queries with `--queries`."
        )
    if found["not_measured_within"] and not found["given"]:
        number = found["not_measured_within"]
        have, they = ("document has", "it is") if number == 1 else ("documents have", "they are")
        lines.append(f"{number:,} {have} no text besides the query, so {they} not in the cost.")
    lines += [f"Not tried: {each['what']}, because {each['why']}." for each in found["not_tried"]]
    return lines


def trials_table(found: _Figures, *, intervals: bool = True) -> Table:
    """Return the figures of all ways of ranking, the recommended one in bold."""
    headings = ("own language", "same ranking", "translations found", "first in its language", "change of MRR")
    headings = (*headings, "own in first 10")
    rows: list[Row] = []
    for name, each in found["trials"].items():
        within = each["within_language"]
        difference = within["difference"] or {"MRR": None, "interval": None}
        cells = [
            Cell(format_number(each[_PREFERENCE], "times"), best=name == found["best"]),
            figure(each["rank_correlation"]),
            figure(each[_FOUND], "percent"),
            figure(within["R@1"], "percent"),
            Cell(
                format_number(difference["MRR"], sign=True),
                format_interval(difference["interval"] if intervals else None, sign=True),
            ),
            figure(each["own_found@10"], "percent"),
        ]
        rows.append(Row(name, cells))
    return Table("Ways of ranking", [Column(each) for each in headings], rows, corner="")


def diagnosis_page(found: _Figures, snippets: Sequence[Snippet], command: str) -> str:
    """Return the page: the sentence that matters, a real ranking, all figures, and code to paste."""
    said = findings(found)
    examples = [_example(each, found, folded=place > 0) for place, each in enumerate(found["examples"])]
    first, *others = examples or [None]
    parts: list[Child] = [
        tag("article", tag("p", _about(found), class_="quiet"), first,
            [_list(key, said[key]) for key in HEADINGS if said[key]]),
        section("Where the first 10 come from", _FLOW, _flows(found), wide=True),
        section("More rankings before and after", _explained(found), others, wide=True),
        section("All that was tried", _READING, table_to_html(trials_table(found)), wide=True),
        section("By language of the query", "The upright line is the language's share of the documents.",
                table_to_html(_by_language(found), "dots", legend(list(enumerate(_shown(found))))), wide=True),
        section("Code to paste", "Each piece ranks as recommended above.", [_code(each) for each in snippets],
                wide=True),
    ]  # fmt: skip
    foot = tag("footer", tag("h2", "How the figures were made"), tag("p", tag("code", command)), class_="about")
    return page(headline(found), parts, foot=foot)


_FLOW = (
    "On the left are the languages of the queries, on the right those of their first 10 results. A band to the same "
    "language stands out. The documents that queries were taken from and their translations are not counted."
)

_READING = (
    "Own language: its share of the first 10 divided by its share of the documents; 1 means no preference. "
    "Same ranking: Kendall's τ between the rankings of one query in two languages. "
    "First in its language: share of queries whose own document, without title and query, comes first among the "
    "documents of its language. Own in first 10: share of queries whose own document is among the first 10 of all "
    "documents except its translations."
)


def _about(found: _Figures) -> str:
    counts: Mapping[str, int] = found["pool"]
    documents, queries = (
        f"{number} language{'s' * (number != 1)}" for number in (len(counts), len(found["languages"]))
    )
    return f"{sum(counts.values()):,} documents in {documents}, {found['queries']:,} queries in {queries}."


def _explained(found: _Figures) -> str:
    text = "Real queries of these documents, each typical of its language: half of its queries change more. "
    if any(each["kind"] == "worse" for each in found["examples"]):
        text += "The last one is the query whose own document loses most. "
    return text.strip()


def _list(key: str, lines: Sequence[str]) -> Markup:
    items = [tag("li", _with_code(line)) for line in lines]
    return tag("section", tag("h2", HEADINGS[key]), tag("ul", items, class_="verdicts"), class_="plain")


def _with_code(line: str) -> list[Child]:
    """Return a sentence in which what is in backticks is code."""
    return [tag("code", part) if place % 2 else part for place, part in enumerate(line.split("`"))]


def _example(shown: _Figures, found: _Figures, *, folded: bool) -> Markup:
    """Return a query before and after. One that is only typical may be folded, not what speaks against the mode."""
    code = shown["language"]
    heading = "Where it costs most" if shown["kind"] == "worse" else f"A query in {language_name(code).english}"
    rankings = {"plain": shown["before"]}
    if shown["after"] is not None:
        rankings[found["best"]] = shown["after"]
    folded = folded and shown["kind"] != "worse"
    marked = "the document of the query, or its translation"
    return example(heading, shown["query"], code, rankings, marked, folded=folded)


def _flows(found: _Figures) -> Markup:
    shares = {name: found["trials"][name][_SHARES] for name in _shown(found)}
    return beside(*(flow(tag("strong", name), each, list(found["pool"])) for name, each in shares.items()))


def _shown(found: _Figures) -> list[str]:
    """Return the ways of ranking whose figures are drawn: as it is, and as recommended."""
    return ["plain", *filter(None, [found["best"]])]


def _by_language(found: _Figures) -> Table:
    trials, names = found["trials"], _shown(found)
    shown = [code for code in found["pool"] if all(code in trials[name][_SHARES].get(code, {}) for name in names)]
    scale = Scale(0, 1)
    rows: list[Row] = []
    for code in shown:
        shares = [trials[name][_SHARES][code][code] for name in names]
        fair = trials["plain"]["pool_share"][code]
        marks = tuple(Mark(place, share) for place, share in enumerate(shares))
        within = [trials[name]["within_language"]["by_language"].get(code, {}).get("MRR") for name in names]
        cells = [*(figure(share, "percent", digits=2) for share in shares), figure(fair, "percent", digits=2)]
        cells += [Cell(MISSING) if value is None else figure(value) for value in within]
        rows.append(Row(code, cells, language=True, track=Track(scale, marks, notch=fair, rules=(0, 0.5, 1))))
    columns = [*(Column(name, "own language in the first 10") for name in names), Column("documents")]
    columns += [Column(name, "MRR within the language") for name in names]
    return Table("By language", columns, rows, corner="language", axis=(scale, "percent"))


def _code(snippet: Snippet) -> Markup:
    note = tag("p", snippet.note, class_="quiet") if snippet.note else None
    lines = tag("pre", tag("code", join(snippet.code.rstrip().split("\n"), "\n")))
    return tag("div", tag("h3", snippet.title), note, lines)
