"""The report of a study as Markdown, HTML and JSON: the answer in words, tables and curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from statistics import mean, median
from typing import Any

from panglot._files import write_json, write_text
from panglot.report.curves import Series, plot
from panglot.report.html import page
from panglot.report.labels import MISSING, format_p
from panglot.report.markup import Child, Markup, legend, table_to_html, tag
from panglot.report.tables import Cell, Mark, Table, Track, around, escape_markdown, simple_table, table_to_markdown
from panglot.study.design import START, Study
from panglot.study.endpoints import Finding, caution, classifiers, primary, secondary
from panglot.study.estimates import (
    DRAWS,
    FIGURES,
    FIXED,
    PARTS,
    Comparison,
    Estimate,
    Results,
    as_dict,
    comparisons,
    is_distance,
    references,
    size_key,
)
from panglot.study.worker import Status, rates_of, size_name, status_of
from panglot.training.settings import Settings


def write(study: Study, folder: Path) -> str:
    """Write ``report.md``, ``report.html`` and ``report.json`` to a folder, and return the Markdown."""
    results, status = Results(study), status_of(study)
    text = to_markdown(results, status)
    write_text(folder / "report.md", text)
    write_text(folder / "report.html", _to_html(results, status))
    write_json(folder / "report.json", {"status": str(status), **to_dict(results)})
    return text


def to_dict(results: Results) -> dict[str, Any]:
    """Return the learning rates, values, comparisons and endpoints of a study, ready for JSON."""
    endpoints = [{**asdict(each), "verdict": each.verdict} for each in (*primary(results), *secondary(results))]
    return {"rates": rates_of(results.study), **as_dict(results), "endpoints": endpoints,
            "language_classifier": [asdict(each) for each in classifiers(results)]}  # fmt: skip


def to_markdown(results: Results, status: Status) -> str:
    """Return the report as Markdown."""
    blocks = [f"# Study {escape_markdown(results.study.file.stem)}", _head(results, status)]
    for heading, text, table in answers(results):
        blocks += [f"## {heading}", escape_markdown(text), *([table_to_markdown(table)] if table else [])]
    for test, parts in _measured(results).items():
        blocks += [f"## {escape_markdown(test)}", _about(results, test)]
        for part, figures in parts.items():
            values, kept = _values(results, test, part, figures), _retention(results, test, part, figures)
            blocks += [f"### {PARTS[part].capitalize()}", table_to_markdown(values)]
            blocks += [_legend(part), table_to_markdown(kept)]
    blocks += ["## Cost", table_to_markdown(_cost(results)), _foot(results, status)]
    return "\n\n".join(blocks) + "\n"


def _to_html(results: Results, status: Status) -> str:
    """Return the report as one self-contained page, with curves in place of the tables of values."""
    sections: list[Child] = [
        *([tag("h2", heading), tag("p", text), table_to_html(table) if table else None]
          for heading, text, table in answers(results)),
        [tag("p", "The curves are by number of training languages. Bars are 95 % intervals."),
         legend(list(enumerate(results.study.names)))],
    ]  # fmt: skip
    for test, parts in _measured(results).items():
        blocks: list[Child] = [tag("h2", test), tag("p", _about(results, test))]
        for part, figures in parts.items():
            plots = [_plot(results, test, part, figure) for figure in figures]
            blocks += [tag("h3", PARTS[part].capitalize(), style="margin-top: 2rem"), tag("div", plots, class_="plots")]
            blocks += [tag("p", _legend(part)), table_to_html(_retention(results, test, part, figures))]
        sections.append(blocks)
    sections.append([tag("p", _head(results, status)), tag("p", _foot(results, status))])
    return page(f"Study {results.study.file.stem}", [tag("section", each, class_="plain") for each in sections])


def _measured(results: Results) -> dict[str, dict[str, list[str]]]:
    """Return test → slice → figures, in the order of the report."""
    found: dict[str, dict[str, list[str]]] = {}
    for test, part, figure in results.measured():
        found.setdefault(test, {}).setdefault(part, []).append(figure)
    return found


def _plot(results: Results, test: str, part: str, figure: str) -> Markup | None:
    """Return the curves of all strategies, with equal distances of sizes and the strategies of a size side by side."""
    names, sizes = results.study.names, list(enumerate(results.study.sizes, 1))
    series: list[Series] = []
    for number, name in enumerate(names):
        aside = (number - (len(names) - 1) / 2) * 0.06
        found = [(step + aside, each) for step, size in sizes
                 if (each := results.estimate(name, size, f"{test}|{part}|{figure}"))]  # fmt: skip
        if found:
            ends = [(x, *each.interval) for x, each in found if each.interval]
            series.append(Series(name, number, [(x, each.value) for x, each in found], intervals=ends))
    if not series:
        return None
    title = f"{FIGURES[figure]}, {PARTS[part]}"
    steps = [(float(step), size_key(size)) for step, size in sizes]
    return plot(title, series, label=f"{title}, by number of training languages", names=steps)


def answers(results: Results) -> list[tuple[str, str, Table | None]]:
    """Return headings, texts and tables: the primary endpoints, the secondary ones, and all comparisons."""
    study, every = results.study, comparisons(results)
    found: list[tuple[str, str, Table | None]] = []
    if study.endpoints:
        first, others = primary(results), secondary(results)
        unit = f"{study.focus} − {study.rival}, points"
        found.append(("Answer", _in_words(study, first), _forest(first, unit) if first else None))
        if others:
            text = ("These are no part of the answer. Their p-values are not corrected. What has fewer seeds than"
                    " planned is unfinished, and is not tested.")  # fmt: skip
            found.append(("Secondary endpoints", text, _forest(others, "difference, points")))
    heading = "All comparisons" if study.endpoints else "Answer"
    if not every:
        return [*found, (heading, "No size has a finished cell of both strategies.", None)]
    return [*found, (heading, _summary(study, every), _comparisons(results, every)), *_classified(results)]


def _in_words(study: Study, found: Sequence[Finding]) -> str:
    """Return the answer in a sentence per endpoint, and how it was tested."""
    if not found:
        return "No endpoint has all of its cells yet."
    margin = f"{100 * study.margin:g} point{'' if study.margin == 0.01 else 's'}"
    says = [f"{_sentence(each, margin)}." for each in found]
    least = ", ".join(f"{100 * each.detectable:.2f} ({each.endpoint.name})" for each in found if each.detectable)
    says.append(
        f"Each difference is a mean over {_range(each.difference.seeds for each in found)} seeds, paired by seed and"
        " question. Its variance is that over seeds plus that over draws of question groups, with the degrees of"
        f" freedom of Welch and Satterthwaite. Equivalence within {margin} is shown by two one-sided tests. Both kinds"
        " of p-values are corrected after Holm for the primary endpoints. Brackets are uncorrected 95 % intervals."
        + caution(each.difference.seeds for each in found if each.p is not None)
    )
    if least:
        says.append("With a probability of 80 %, differences of this many points would be found in the first step of"
                    f" Holm's correction: {least}.")  # fmt: skip
    return " ".join(says)


def _sentence(found: Finding, margin: str) -> str:
    ends = ", ".join(f"{100 * end:+.2f}" for end in found.difference.interval or ())
    size = f"({100 * found.difference.value:+.2f} points{f' [{ends}]' if ends else ''})"
    less = f", by less than {margin}" if found.is_equivalent else ""
    says = {"better": f"is better than {found.other}{less}", "worse": f"is worse than {found.other}{less}",
            "equivalent": f"and {found.other} are equivalent within {margin}",
            "undecided": f"and {found.other} are neither shown to differ nor shown to be equivalent",
            "unfinished": f"and {found.other} are not tested yet, with {found.seeds} seeds"}  # fmt: skip
    return f"{found.endpoint.name}: {found.one} {says[found.verdict]} {size}"


def _forest(found: Sequence[Finding], heading: str) -> Table:
    """Return the table of findings, which in HTML is a forest plot too."""
    margins = tuple(sign * 100 * found[0].margin for sign in (-1, 1))
    rows: list[list[str | Cell]] = [
        [each.endpoint.name, f"{each.one} − {each.other}", each.endpoint.contrast, each.seeds,
         _cell(each.difference, "+.2f", 100), format_p(each.p), format_p(each.p_equivalence),
         f"{100 * each.detectable:.2f}" if each.detectable else MISSING, each.verdict]
        for each in found
    ]  # fmt: skip
    heads = ["endpoint", "compared", "contrast", "seeds", heading, "p", "p of equivalence", "detectable", "verdict"]
    plot = _forest_plot([each.difference for each in found], margins)
    return simple_table(heads, rows, title="Endpoints", left=[1, 2, 8], **plot)


def _forest_plot(found: Sequence[Estimate], rules: tuple[float, ...] = ()) -> dict[str, Any]:
    """Return the tracks of differences, in points, and the axis that they share, for a table."""
    points = [(100 * each.value, each.interval and (100 * each.interval[0], 100 * each.interval[1])) for each in found]
    scale = around([0.0, *rules, *(end for value, interval in points for end in interval or (value,))])
    tracks = [Track(scale, (Mark(0, *each),), notch=0.0, rules=rules) for each in points]
    return {"tracks": tracks, "axis": (scale, "score")}


def _comparisons(results: Results, every: Sequence[Comparison]) -> Table:
    """Return the table of all comparisons, which in HTML is a forest plot too.

    A difference is significant if p, after Holm's correction for all comparisons, is below .05.
    """
    study = results.study
    rows: list[list[str | Cell]] = []
    for each in every:
        test, part, figure = each.key.split("|")
        rows.append([test, FIGURES[figure], PARTS[part], size_name(each.size),
                     _cell(results.retention(study.focus, each.size, each.key), ".1f", 100),
                     _cell(each.gap, "+.1f", 100), format_p(each.corrected),
                     {1: study.focus, -1: study.rival, 0: MISSING}[each.sign]])  # fmt: skip
    heads = ["test", "figure", "measured on", "trained on", f"{study.focus} keeps, %",
             f"more than {study.rival}, % of the start", "p", "significantly more"]  # fmt: skip
    title = f"Share of the start's value that {study.focus} keeps, compared with {study.rival}"
    return simple_table(heads, rows, title=title, left=[1, 2, 3, 7], **_forest_plot([each.gap for each in every]))


def _classified(results: Results) -> list[tuple[str, str, Table]]:
    """Return the section on the language classifier, if a test set has languages to find."""
    every = {(each.test, each.size, each.strategy, each.less): each.found for each in classifiers(results)}
    tests = list(dict.fromkeys(key[0] for key in every))
    rows: list[list[str | Cell]] = []
    for size, name, less in dict.fromkeys(key[1:] for key in every):
        cells = [_cell(every.get((test, size, name, less)), "+.1f" if less else ".1f", 100) for test in tests]
        rows.append([size_name(size), f"{name} − {less}" if less else name, *cells])
    text = (
        "How often a linear classifier finds the language of a passage of which it saw no version, in per cent. The"
        " less often, the less the vectors say about languages. In a larger test set it has more to learn from, so"
        " figures compare within a test set alone. Brackets are 95 % intervals over seeds."
    )
    table = simple_table(["training languages", "strategy", *tests], rows, left=[1])
    return [("Languages in the vectors", text, table)] if every else []


def _summary(study: Study, every: Sequence[Comparison]) -> str:
    """Return the counts of significant differences, and how they were tested."""
    tested = [comparison for comparison in every if comparison.corrected is not None]
    planned = len(study.shared_seeds(study.focus, study.rival))
    if not tested and any(comparison.gap.seeds < planned for comparison in every):
        return f"Nothing is tested before {study.focus} and {study.rival} have all of their {planned} seeds."
    if not tested and all(comparison.gap.seeds > 1 for comparison in every):
        return "Nothing can be tested, because each figure is of a single question group."
    if not tested:
        return (f"{study.focus} and {study.rival} have only one seed in common, so another training run may reverse"
                " every difference. Brackets are 95 % intervals over question groups only.")  # fmt: skip
    ahead, behind = (sum(comparison.sign == sign for comparison in tested) for sign in (1, -1))
    seeds = _range(comparison.gap.seeds for comparison in tested)
    return (
        f"Compared with {study.rival}, {study.focus} keeps more in {ahead} and less in {behind} of {len(tested)}"
        f" comparisons, and {len(tested) - ahead - behind} differences are not significant. p is from a t-test of the"
        f" difference, paired by seed and question. Its variance is that over {seeds} seeds plus that over"
        f" question groups. It is corrected after Holm for all {tested[0].of} comparisons. Brackets are uncorrected 95"
        " % intervals." + caution(comparison.gap.seeds for comparison in tested)
    )


def _legend(part: str) -> str:
    own = " and of the strategy's own at its best number of languages" if part in FIXED else " in the same languages"
    return f"Retention of mAP: percentage of the start's value{own}, with 95 % intervals."


def _retention(results: Results, test: str, part: str, figures: Sequence[str]) -> Table:
    """Return the table of retention, in per cent.

    Each figure is divided by the start's. If the slice has the same languages at every size, it is also divided by the
    strategy's own figure at its best size.
    """
    wanted = [(figure, of) for figure in figures if not is_distance(figure) for of in references(part)]
    rows: list[list[str | Cell]] = []
    for size, name in product(results.study.sizes, results.study.names[1:]):
        found = [results.retention(name, size, f"{test}|{part}|{figure}", of=of) for figure, of in wanted]
        if any(found):
            rows.append([size_name(size), name, *(_cell(each, ".1f", 100) for each in found)])
    named = (f"{FIGURES[figure].removesuffix(' mAP')}, of {of}" for figure, of in wanted)
    heads = ["training languages", "strategy", *named]
    return simple_table(heads, rows, title=f"Retention on {test}, {PARTS[part]}", left=[1])


def _values(results: Results, test: str, part: str, figures: Sequence[str]) -> Table:
    rows: list[list[str | Cell]] = []
    forms = [",.0f" if is_distance(figure) else ".3f" for figure in figures]
    for size, name in product(results.study.sizes, results.study.names):
        found = [results.estimate(name, size, f"{test}|{part}|{figure}") for figure in figures]
        if known := [each.seeds for each in found if each]:
            cells = map(_cell, found, forms)
            rows.append([size_name(size), name, *cells, MISSING if name == START else str(max(known))])
    header = ["training languages", "strategy", *(FIGURES[figure] for figure in figures), "seeds"]
    return simple_table(header, rows, left=[1])


def _cell(found: Estimate | None, form: str, factor: int = 1) -> Cell:
    """Return a value and its interval in a format of numbers, or a dash without one."""
    if found is None:
        return Cell(MISSING)
    ends = ", ".join(f"{factor * end:{form}}" for end in found.interval or ())
    return Cell(f"{factor * found.value:{form}}", f"[{ends}]" if ends else "")


def _head(results: Results, status: Status) -> str:
    study = results.study
    rates = ", ".join(f"{name} {rate:g}" for name, rate in rates_of(study).items() if rate is not None)
    finished = {len(results.seeds(name, size)) for size, name in product(study.sizes, study.names[1:])} - {0}
    seeds = "there is one seed" if finished <= {1} else f"there are {_range(finished)} seeds"
    chosen = f" Learning rates were chosen on held-out training rows: {rates}." if rates else ""
    seen = [about["training"]["pairs"] for about in results.about.values() if about.get("training")]
    pairs = f"{min(seen):,} to {max(seen):,}" if seen else "the same number of"
    return (
        f"{status}. Every cell trains on {pairs} pairs, whatever the number of languages (a run ends with the"
        f" step that reaches its budget). Training rows that share text with a test set are excluded.{chosen} Values"
        f" are means over seeds. Brackets are 95 % intervals from {DRAWS:,} draws of question groups and of seeds, both"
        f" with replacement. They are not corrected for the number of comparisons, and they are rough: {seeds}."
    )


def _about(results: Results, test: str) -> str:
    """Return what was measured of a test set: its part, questions, passages, languages."""
    share = next(each.share for each in results.study.tests if each.on == test)
    figures = next(iter(results.about.values()))["figures"]["datasets"][test]
    part = f"{100 * share:g} % of its groups: " if share < 1 else ""
    return (
        f"{part}{figures['questions']:,} questions, {figures['passages']:,} passages in one pool,"
        f" {len(figures['languages'])} languages."
    )


def _cost(results: Results) -> Table:
    """Return a table of batches, steps, median seconds, conflicts and languages met per size and strategy."""
    rows: list[list[str | Cell]] = []
    for size, name in product(results.study.sizes, results.study.names[1:]):
        trained = [about["training"] for cell, about in results.about.items()
                   if (cell.size, cell.strategy) == (size, name)]  # fmt: skip
        if not trained:
            continue
        steps, seconds = mean(each["steps"] for each in trained), median(each["seconds"] for each in trained)
        mixed = [each for each in trained if "cosine" in each]
        cosine = f"{mean(each['cosine'] for each in mixed):.2f}" if mixed else MISSING
        conflict = f"{100 * mean(each['conflicts'] for each in mixed):.0f} %" if mixed else MISSING
        settings = {"batch_size": Settings.batch_size, **results.study.train, **results.study.strategy(name).settings}
        rows.append([size_name(size), name, str(settings["batch_size"]), f"{steps:.0f}", f"{seconds:.0f}", cosine,
                     conflict, _met(trained)])  # fmt: skip
    heads = ["training languages", "strategy", "pairs per batch", "steps", "seconds (median)", "cosine of gradients",
             "gradients in conflict", "languages met"]  # fmt: skip
    return simple_table(heads, rows, left=[1, 7])


def _met(trained: Sequence[Mapping[str, Any]]) -> str:
    """Return how many languages each kind of batch had in a run, from the fewest to the most of all runs."""
    runs = [each.get("languages_met", {}) for each in trained]
    kinds = sorted({kind for run in runs for kind in run})
    return ", ".join(f"{kind} {_range(run[kind] for run in runs if kind in run)}" for kind in kinds) or MISSING


def _foot(results: Results, status: Status) -> str:
    days = _range(about["figures"]["date"] for about in results.about.values())
    places = [about["figures"]["machine"] for about in results.about.values()]
    machines = sorted({f"{place['cores']} cores of {place['processor']}" for place in places})
    trained = [(about.get("training") or {}).get("precision") for about in results.about.values()]
    used = " and ".join(sorted({each for each in trained if each}))
    left = [f"failed: {', '.join(cell.name for cell in status.failed)}"] if status.failed else []
    if open_cells := [cell.name for cell in (*status.missing, *status.elsewhere)]:
        left.append(f"not done: {', '.join(open_cells)}")
    when = f"Measured {days} on {'; '.join(machines)}{used and f', trained in {used}'}. " if days else ""
    return when + (f"What is missing: {'; '.join(left)}." if left else "All cells are done.")


def _range(values: Iterable[Any]) -> str:
    """Return the least and the largest of values, or the only one, or nothing."""
    found = sorted(values)
    return " to ".join(map(str, dict.fromkeys((*found[:1], *found[-1:]))))
