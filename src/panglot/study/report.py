"""The report of a study: curves, tables and the answer in words, as Markdown and as a page of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from statistics import mean

from panglot._errors import PanglotError
from panglot._files import write_json, write_text
from panglot.report.charts import Series, legend, plot
from panglot.report.html import page
from panglot.report.markdown import escaped, table
from panglot.report.markup import Child, tag
from panglot.study.cell import best_rate
from panglot.study.design import START, Study
from panglot.study.results import DRAWS, FIGURES, Estimate, Results, as_dict
from panglot.study.work import Tally, tally

PARTS = {
    "all": "all languages",
    "seen": "languages trained on",
    "unseen": "languages not trained on",
    "never": "languages that no cell trained on",
}


def write(study: Study, folder: Path) -> str:
    """Write ``report.md``, ``report.html`` and ``report.json`` to a folder; return the Markdown."""
    results, stands = Results(study), tally(study)
    text = to_markdown(results, stands)
    write_text(folder / "report.md", text)
    write_text(folder / "report.html", to_html(results, stands))
    write_json(folder / "report.json", {"stands": str(stands), "rates": _rates(study), **as_dict(results)})
    return text


def answer(results: Results) -> list[str]:
    """Return how much of the start the study's focus keeps beside its rival, a sentence a figure.

    Only what an interval supports is called a difference.
    """
    study, said = results.study, []
    for test, part, figure in results.measured():
        if part not in {"all", "never"} or figure.endswith("rank_distance"):
            continue
        key = f"{test}|{part}|{figure}"
        sizes = [s for s in study.sizes if results.difference(study.focus, study.rival, s, key)]
        if not sizes:
            continue
        ends = [(size, results.retention(study.focus, size, key)) for size in (sizes[0], sizes[-1])]
        kept = " and ".join(f"{_percent(found)} at {_languages(size)}" for size, found in ends if found)
        gap = results.difference(study.focus, study.rival, sizes[-1], key)
        assert gap is not None
        said.append(
            f"{test}, {FIGURES[figure]}, {PARTS[part]}: {study.focus} keeps {kept} of the start's; beside {study.rival}"
            f" at {_languages(sizes[-1])} that is {100 * gap.value:+.1f} points{_points(gap)}: {_verdict(gap, study)}."
        )
    return said


def to_markdown(results: Results, stands: Tally) -> str:
    """Return the report as Markdown."""
    study = results.study
    lines = [f"# Study {escaped(study.file.stem)}", "", _head(results, stands), "", "## Answer", ""]
    lines += [f"- {escaped(sentence)}" for sentence in answer(results)] or ["No cell of both strategies is done."]
    for test, group in groupby(results.measured(), key=lambda key: key[0]):
        lines += ["", f"## {escaped(test)}", "", _about(results, test)]
        for part, figures in groupby(group, key=lambda key: key[1]):
            names = [figure for _, _, figure in figures]
            lines += ["", f"### {PARTS[part].capitalize()}", "", _table(results, test, part, names)]
    lines += ["", "## Cost", "", _cost(results), "", _foot(results, stands)]
    return "\n".join(lines) + "\n"


def to_html(results: Results, stands: Tally) -> str:
    """Return the report as one page without any outside link."""
    study = results.study
    names = [START, *(s.name for s in study.strategies)]
    parts: list[Child] = [
        tag("section", tag("h2", "Answer"), tag("ul", [tag("li", sentence) for sentence in answer(results)])),
        legend(list(enumerate(names))),
    ]
    for test, group in groupby(results.measured(), key=lambda key: key[0]):
        plots: list[Child] = []
        for _, part, figure in group:
            series = [
                s for number, name in enumerate(names) if (s := _series(results, name, number, test, part, figure))
            ]
            if series:
                title = f"{FIGURES[figure]}, {PARTS[part]}"
                label = f"{title}, by number of training languages"
                plots.append(plot(title, series, label=label, x_label="languages, by step of the study"))
        parts.append(tag("section", tag("h2", test), plots, tag("p", _steps(study))))
    parts.append(tag("section", tag("p", _head(results, stands)), tag("p", _foot(results, stands))))
    return page(f"Study {study.file.stem}", parts)


def _series(results: Results, name: str, number: int, test: str, part: str, figure: str) -> Series | None:
    """Return a strategy's curve: sizes double, so its steps are drawn equally wide."""
    points = [
        (float(step), found.value)
        for step, size in enumerate(results.study.sizes, 1)
        if (found := results.estimate(name, size, f"{test}|{part}|{figure}"))
    ]
    return Series(name, number, points) if points else None


def _steps(study: Study) -> str:
    return "Steps: " + ", ".join(f"{step} = {_languages(size)}" for step, size in enumerate(study.sizes, 1)) + "."


def _table(results: Results, test: str, part: str, figures: Sequence[str]) -> str:
    study = results.study
    rows: list[list[str]] = []
    for size in study.sizes:
        for name in (START, *(s.name for s in study.strategies)):
            keys = [f"{test}|{part}|{figure}" for figure in figures]
            found = [results.estimate(name, size, key) for key in keys]
            if not any(found):
                continue
            kept = [results.retention(name, size, k) for k in keys if not k.endswith("rank_distance")]
            shares = " / ".join(f"{100 * each.value:.1f}" for each in kept if each)
            count = max(each.seeds for each in found if each)
            rows.append([
                _languages(size), name, *(_cell(each, figure) for each, figure in zip(found, figures, strict=True)),
                "–" if name == START else shares, "–" if name == START else str(count),
            ])  # fmt: skip
    header = ["training languages", "strategy", *(FIGURES[figure] for figure in figures), "% of the start's", "seeds"]
    return table(header, rows, left=2)


def _cell(found: Estimate | None, figure: str) -> str:
    if found is None:
        return "–"
    form = ".3f" if not figure.endswith("rank_distance") else ",.0f"
    ends = f" [{found.ends[0]:{form}}, {found.ends[1]:{form}}]" if found.ends else ""
    return f"{found.value:{form}}{ends}"


def _percent(found: Estimate) -> str:
    ends = f" [{100 * found.ends[0]:.1f}, {100 * found.ends[1]:.1f}]" if found.ends else ""
    return f"{100 * found.value:.1f} %{ends}"


def _points(found: Estimate) -> str:
    return f" [{100 * found.ends[0]:+.1f}, {100 * found.ends[1]:+.1f}]" if found.ends else ""


def _verdict(gap: Estimate, study: Study) -> str:
    if gap.seeds < 2:
        return "one seed, so nothing is told apart"
    if gap.ends is None or gap.ends[0] <= 0 <= gap.ends[1]:
        return "not told apart here"
    return f"{study.focus if gap.value > 0 else study.rival} keeps more"


def _languages(size: int) -> str:
    return "all languages" if size == 0 else f"{size} language{'s' if size > 1 else ''}"


def _head(results: Results, stands: Tally) -> str:
    study = results.study
    rates = ", ".join(f"{name} {rate:g}" for name, rate in _rates(study).items() if rate is not None)
    chosen = f" Learning rates, chosen on held-out training rows: {rates}." if rates else ""
    return (
        f"{stands}. Every cell trains on {_pairs(results)} pairs, whatever the number of languages (a run ends with the"
        f" step that reaches its budget). Training rows that share text with a test set were left out.{chosen} Values"
        f" are means over seeds; in brackets, 95 % intervals from {DRAWS:,} draws of question groups and of seeds, both"
        " with replacement, uncorrected for the number of comparisons. With three seeds, read them as rough."
    )


def _pairs(results: Results) -> str:
    seen = [about["training"]["pairs"] for about in results.about.values() if about.get("training")]
    return f"{min(seen):,} to {max(seen):,}" if seen else "the same number of"


def _about(results: Results, test: str) -> str:
    """Say what a test set is, as measured: its part, questions, passages, languages."""
    share = next(each.share for each in results.study.tests if each.on == test)
    figures = next(iter(results.about.values()))["figures"]["datasets"][test]
    part = f"{100 * share:g} % of its groups: " if share < 1 else ""
    return (
        f"{part}{figures['questions']:,} questions, {figures['passages']:,} passages in one pool,"
        f" {len(figures['languages'])} languages."
    )


def _cost(results: Results) -> str:
    """Return steps, seconds and conflicts of each strategy as a table."""
    rows: list[list[str]] = []
    for strategy in results.study.strategies:
        trained = [a["training"] for c, a in results.about.items() if c.strategy == strategy.name]
        if not trained:
            continue
        steps, seconds = (mean(each[name] for each in trained) for name in ("steps", "seconds"))
        mixed = [each for each in trained if "cosine" in each]
        cosine = f"{mean(each['cosine'] for each in mixed):.2f}" if mixed else "–"
        conflict = f"{100 * mean(each['conflicts'] for each in mixed):.0f} %" if mixed else "–"
        rows.append([strategy.name, f"{steps:.0f}", f"{seconds:.0f}", cosine, conflict])
    return table(["strategy", "steps", "seconds", "cosine of gradients", "in conflict"], rows)


def _rates(study: Study) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for strategy in study.strategies:
        try:
            found[strategy.name] = best_rate(study, strategy.name)
        except PanglotError:  # no trial is done yet
            found[strategy.name] = None
    return found


def _foot(results: Results, stands: Tally) -> str:
    dates = sorted({about["figures"]["date"] for about in results.about.values()})
    machines = sorted({json.dumps(about["figures"]["machine"]) for about in results.about.values()})
    left = [f"failed: {', '.join(cell.name for cell in stands.failed)}"] if stands.failed else []
    if open_cells := [cell.name for cell in (*stands.missing, *stands.elsewhere)]:
        left.append(f"not done: {', '.join(open_cells)}")
    when = f"Measured {dates[0]} to {dates[-1]} on {'; '.join(machines)}. " if dates else ""
    return when + (f"What this leaves open: {'; '.join(left)}." if left else "All cells are done.")
