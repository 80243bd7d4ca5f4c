"""The figures of a probe, as tables and sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from panglot.report.labels import format_interval, format_number, language_name, sanitize
from panglot.report.tables import Cell, Column, Row, Table
from panglot.report.terminal import print_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

_EXAMPLES = 3


def print_probe(figures: Mapping[str, Any], console: Console) -> None:
    """Print the dictionary of figures of a probe.

    Args:
        figures: What :func:`panglot.probe.probe` returned.
        console: Where to print. 80 columns are enough.
    """
    from rich.text import Text

    dataset, k = figures["dataset"], figures["settings"]["k"]
    weak = f"{sanitize(figures['model']['name'])}, weak at {k}: found in the first {k} in English, but not otherwise"
    console.print()
    console.print(Text.assemble((sanitize(dataset["name"]), "bold"), "  ", (weak, "dim")))
    for kind, slices in figures["by"].items():
        if kind != "all" and (len(slices) > 1 or kind == "language"):
            console.print()
            print_table(_slices(kind, slices, figures["languages"]), console)
    console.print()
    if not figures["weak"]:
        console.print("No weak pair: the other languages find everything that English finds.")
    else:
        print_table(_examples(figures["weak"]), console)
    if search := figures["search"]:
        console.print()
        print_table(_changes(search), console)
        console.print(Text(_search_result(search), style="italic"))
    for missing in figures["not_measured"]:
        console.print(Text.assemble("\n", (sanitize(missing["what"]), "bold"), f": {sanitize(missing['why'])}."))


def _slices(kind: str, slices: Mapping[str, Any], languages: Mapping[str, Any]) -> Table:
    own = kind == "language"
    headings = ["weak", "of", "share", "interval", "against the rest", *(["reverse"] if own else [])]
    rows = [
        Row(
            name,
            [
                Cell(format_number(one["weak"], "count")),
                Cell(format_number(one["questions"], "count")),
                Cell(format_number(one["rate"])),
                Cell(_ends(one["interval"])),
                Cell(_ends(one["difference_interval"], sign=True)),
                *([Cell(format_number(languages[name]["only_in_the_other"], "count"))] if own else []),
            ],
            language=own and language_name(name).english != name,
        )
        for name, one in slices.items()
    ]
    title = f"Weak by {kind}" + (" of the English version" if kind in {"length", "question word"} else "")
    return Table(title, [Column(heading) for heading in headings], rows, corner=kind)


def _ends(found: Sequence[float] | None, *, digits: int = 3, sign: bool = False) -> str:
    return format_interval(found[0], found[1], digits=digits, sign=sign) if found else ""


def _examples(weak: Sequence[Mapping[str, Any]]) -> Table:
    count = min(_EXAMPLES, len(weak))
    rows: list[Row] = []
    for number in range(count):
        # Spread over the list, which is ordered by language.
        one = weak[number * len(weak) // count]
        texts = (one["question_in_english"], one["question"], f"→ {one['instead']['text']}")
        codes, ranks = ("en", str(one["language"])), (one["rank_in_english"], one["rank"])
        question = Cell("\n".join(_short(text) for text in texts))
        rows.append(Row("/".join(codes), [Cell("\n".join(f"{rank:,}" for rank in ranks)), question]))
    columns = [Column("rank"), Column("question, and the passage that comes first instead", left=True)]
    return Table(f"Weak pairs, {count} of {len(weak):,}; the JSON has all", columns, rows, corner="")


def _changes(search: Mapping[str, Any]) -> Table:
    rows = [
        Row(
            name,
            [
                Cell(format_number(one["questions"], "count")),
                Cell(format_number(one["drop"], digits=4, sign=True)),
                Cell(format_number(one["drop_in_english"], digits=4, sign=True)),
                Cell(format_number(one["score"], digits=4, sign=True)),
                Cell(_ends(one["score_interval"], digits=4, sign=True)),
                Cell(f"{one['made_weak']} of {one['not_weak_before']}"),
            ],
        )
        for name, one in search["changes"].items()
    ]
    headings = ("of", "drop", "English", "score", "interval", "made weak")
    title = "Single changes, the strongest first: drop of the margin, also in English"
    return Table(title, [Column(heading) for heading in headings], rows, corner="change")


def _search_result(search: Mapping[str, Any]) -> str:
    made = sum(one["made_weak"] for one in search["by_language"].values())
    sound = sum(one["not_weak_before"] for one in search["by_language"].values())
    return (
        f"Search from {search['questions']:,} of {search['questions_wanted']:,} questions, {search['texts']:,} texts: "
        f"{made} of the {sound} that were not weak became weak."
    )


def _short(text: str, length: int = 120) -> str:
    line = sanitize(" ".join(text.split()))
    return line if len(line) <= length else line[: length - 1] + "…"
