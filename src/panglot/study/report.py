"""The report of a study as Markdown, HTML and JSON: the answer in words, tables and curves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from statistics import mean

from panglot._errors import PanglotError
from panglot._files import write_json, write_text
from panglot.report.charts import Series, legend, plot
from panglot.report.html import page
from panglot.report.html_tables import table_to_html
from panglot.report.markdown import escape_markdown as escaped
from panglot.report.markdown import table_to_markdown
from panglot.report.markup import Child, Markup, tag
from panglot.report.tables import Cell, Table, simple_table
from panglot.study.design import EACH, START, Study
from panglot.study.results import DRAWS, FIGURES, Estimate, Results, as_dict
from panglot.study.verdict import PARTS, answer, comparisons_to_json, languages, percent
from panglot.study.worker import Status, best_rate, status_of

#: Slices whose languages are the same at every size.
_FIXED = ("all", "never")
_UNKNOWN = "No size has a finished cell of both strategies."


def write(study: Study, folder: Path) -> str:
    """Write ``report.md``, ``report.html`` and ``report.json`` to a folder, and return the Markdown."""
    results, status = Results(study), status_of(study)
    text = to_markdown(results, status)
    write_text(folder / "report.md", text)
    write_text(folder / "report.html", to_html(results, status))
    found = {"status": str(status), "rates": _rates(study), **as_dict(results), "answer": comparisons_to_json(results)}
    write_json(folder / "report.json", found)
    return text


def to_markdown(results: Results, status: Status) -> str:
    """Return the report as Markdown."""
    study = results.study
    lines = [f"# Study {escaped(study.file.stem)}", "", _head(results, status), "", "## Answer", ""]
    if found := answer(results):
        lines += [escaped(found[0]), "", table_to_markdown(found[1])]
    else:
        lines.append(_UNKNOWN)
    for test, group in groupby(results.measured(), key=lambda key: key[0]):
        lines += ["", f"## {escaped(test)}", "", _about(results, test)]
        for part, figures in groupby(group, key=lambda key: key[1]):
            names = [figure for _, _, figure in figures]
            lines += ["", f"### {PARTS[part].capitalize()}", "", _table(results, test, part, names)]
            lines += ["", _legend(part), "", table_to_markdown(retention(results, test, part, names))]
    lines += ["", "## Cost", "", _cost(results), "", _foot(results, status)]
    return "\n".join(lines) + "\n"


def to_html(results: Results, status: Status) -> str:
    """Return the report as one self-contained page."""
    study = results.study
    names = [START, *(s.name for s in study.strategies)]
    parts: list[Child] = [
        tag("section", tag("h2", "Answer"), _answer(results), class_="plain"),
        tag("section", tag("p", "The curves are by number of training languages. Bars are 95 % intervals."),
            legend(list(enumerate(names))), class_="plain"),
    ]  # fmt: skip
    for test, group in groupby(results.measured(), key=lambda key: key[0]):
        blocks: list[Child] = []
        for part, figures in groupby(group, key=lambda key: key[1]):
            keys = [figure for _, _, figure in figures]
            plots = [drawn for figure in keys if (drawn := _plot(results, test, part, figure)) is not None]
            blocks += [tag("h3", PARTS[part].capitalize(), style="margin-top: 2rem"), tag("div", plots, class_="plots")]
            blocks += [tag("p", _legend(part)), table_to_html(retention(results, test, part, keys))]
        parts.append(tag("section", tag("h2", test), tag("p", _about(results, test)), blocks, class_="plain"))
    parts.append(tag("section", tag("p", _head(results, status)), tag("p", _foot(results, status)), class_="plain"))
    return page(f"Study {study.file.stem}", parts)


def _answer(results: Results) -> Child:
    found = answer(results)
    return [tag("p", found[0]), table_to_html(found[1])] if found else tag("p", _UNKNOWN)


def _plot(results: Results, test: str, part: str, figure: str) -> Markup | None:
    study = results.study
    names = [START, *(s.name for s in study.strategies)]
    series = [s for number, name in enumerate(names) if (s := _series(results, name, number, test, part, figure))]
    if not series:
        return None
    title = f"{FIGURES[figure]}, {PARTS[part]}"
    steps = [(float(step), str(size or "all")) for step, size in enumerate(study.sizes, 1)]
    return plot(title, series, label=f"{title}, by number of training languages", names=steps)


def _series(results: Results, name: str, number: int, test: str, part: str, figure: str) -> Series | None:
    """Return a strategy's curve. Sizes have equal distances, and the strategies of a size are side by side."""
    aside = (number - len(results.study.strategies) / 2) * 0.06
    found = [
        (step + aside, estimate)
        for step, size in enumerate(results.study.sizes, 1)
        if (estimate := results.estimate(name, size, f"{test}|{part}|{figure}"))
    ]
    ends = [(x, *estimate.ends) for x, estimate in found if estimate.ends]
    return Series(name, number, [(x, estimate.value) for x, estimate in found], ends=ends) if found else None


def _legend(part: str) -> str:
    own = " and of the strategy's own at its best number of languages" if part in _FIXED else " in the same languages"
    return f"Retention of mAP: percentage of the start's value{own}, with 95 % intervals."


def retention(results: Results, test: str, part: str, figures: Sequence[str]) -> Table:
    """Return the table of retention, in per cent.

    Each figure is divided by the start's. If the slice has the same languages at every size, it is also divided by the
    strategy's own figure at its best size.
    """
    study, kept = results.study, [figure for figure in figures if not figure.endswith("rank_distance")]
    references = (START, "best") if part in _FIXED else (START,)
    wanted = [(figure, of) for figure in kept for of in references]
    rows: list[list[str | Cell]] = []
    for size in study.sizes:
        for strategy in study.strategies:
            found = [results.retention(strategy.name, size, f"{test}|{part}|{figure}", of=of) for figure, of in wanted]
            if any(found):
                shown = [percent(each) if each else "–" for each in found]
                rows.append([languages(size), strategy.name, *shown])
    heads = [
        f"{FIGURES[figure].removesuffix(' mAP')}, of {'start' if of == START else 'best'}" for figure, of in wanted
    ]
    title = f"Retention on {test}, {PARTS[part]}"
    return simple_table(["training languages", "strategy", *heads], rows, title=title, left=[1])


def _table(results: Results, test: str, part: str, figures: Sequence[str]) -> str:
    study = results.study
    rows: list[list[str | Cell]] = []
    for size in study.sizes:
        for name in (START, *(s.name for s in study.strategies)):
            keys = [f"{test}|{part}|{figure}" for figure in figures]
            found = [results.estimate(name, size, key) for key in keys]
            if not any(found):
                continue
            count = max(each.seeds for each in found if each)
            rows.append([
                languages(size), name, *(_cell(each, figure) for each, figure in zip(found, figures, strict=True)),
                "–" if name == START else str(count),
            ])  # fmt: skip
    header = ["training languages", "strategy", *(FIGURES[figure] for figure in figures), "seeds"]
    return table_to_markdown(simple_table(header, rows, left=[1]))


def _cell(found: Estimate | None, figure: str) -> Cell:
    if found is None:
        return Cell("–")
    form = ".3f" if not figure.endswith("rank_distance") else ",.0f"
    ends = f"[{found.ends[0]:{form}}, {found.ends[1]:{form}}]" if found.ends else ""
    return Cell(f"{found.value:{form}}", ends)


def _head(results: Results, status: Status) -> str:
    study = results.study
    rates = ", ".join(f"{name} {rate:g}" for name, rate in _rates(study).items() if rate is not None)
    count = len(study.seeds)
    seeds = f"there are {count} seeds" if count > 1 else "there is one seed"
    chosen = f" Learning rates were chosen on held-out training rows: {rates}." if rates else ""
    return (
        f"{status}. Every cell trains on {_pairs(results)} pairs, whatever the number of languages (a run ends with the"
        f" step that reaches its budget). Training rows that share text with a test set are excluded.{chosen} Values"
        f" are means over seeds. Brackets are 95 % intervals from {DRAWS:,} draws of question groups and of seeds, both"
        f" with replacement. They are not corrected for the number of comparisons, and they are rough: {seeds}."
    )


def _pairs(results: Results) -> str:
    seen = [about["training"]["pairs"] for about in results.about.values() if about.get("training")]
    return f"{min(seen):,} to {max(seen):,}" if seen else "the same number of"


def _about(results: Results, test: str) -> str:
    """Return what was measured of a test set: its part, questions, passages, languages."""
    share = next(each.share for each in results.study.tests if each.on == test)
    figures = next(iter(results.about.values()))["figures"]["datasets"][test]
    part = f"{100 * share:g} % of its groups: " if share < 1 else ""
    return (
        f"{part}{figures['questions']:,} questions, {figures['passages']:,} passages in one pool,"
        f" {len(figures['languages'])} languages."
    )


def _cost(results: Results) -> str:
    """Return a table of steps, seconds and conflicts per strategy."""
    rows: list[list[str | Cell]] = []
    for strategy in results.study.strategies:
        trained = [a["training"] for c, a in results.about.items() if c.strategy == strategy.name]
        if not trained:
            continue
        steps, seconds = (mean(each[name] for each in trained) for name in ("steps", "seconds"))
        mixed = [each for each in trained if "cosine" in each]
        cosine = f"{mean(each['cosine'] for each in mixed):.2f}" if mixed else "–"
        conflict = f"{100 * mean(each['conflicts'] for each in mixed):.0f} %" if mixed else "–"
        rows.append([strategy.name, f"{steps:.0f}", f"{seconds:.0f}", cosine, conflict])
    return table_to_markdown(
        simple_table(["strategy", "steps", "seconds", "cosine of gradients", "gradients in conflict"], rows)
    )


def _rates(study: Study) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    each = study.rates is not None and study.rates.size == EACH
    for strategy in study.strategies:
        for size in study.sizes if each else study.sizes[-1:]:
            name = f"{strategy.name} ({languages(size)})" if each else strategy.name
            try:
                found[name] = best_rate(study, strategy.name, size)
            except PanglotError:  # its trials are not done yet
                found[name] = None
    return found


def _foot(results: Results, status: Status) -> str:
    dates = sorted({about["figures"]["date"] for about in results.about.values()})
    places = [about["figures"]["machine"] for about in results.about.values()]
    machines = sorted({f"{place['cores']} cores of {place['processor']}" for place in places})
    left = [f"failed: {', '.join(cell.name for cell in status.failed)}"] if status.failed else []
    if open_cells := [cell.name for cell in (*status.missing, *status.elsewhere)]:
        left.append(f"not done: {', '.join(open_cells)}")
    days = " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else ""
    when = f"Measured {days} on {'; '.join(machines)}. " if dates else ""
    return when + (f"What is missing: {'; '.join(left)}." if left else "All cells are done.")
