"""``panglot probe``: find questions that succeed in English and fail in another language."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from panglot.cli import options
from panglot.cli.options import COUNT, PATH, POSITIVE
from panglot.report import print_table
from panglot.report.labels import format_interval, format_number, language_name, sanitize
from panglot.report.tables import Cell, Column, Row, Table, simple_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

_EXAMPLES = 3


@click.command("probe", cls=options.SectionedCommand, sections={
    "languages": "Questions", "start": "Search for changes", "pools": "Data", "to_json": "Output", "data_dir": "Data",
})  # fmt: skip
@click.argument("model")
@click.argument("dataset")
@click.option("--language", "languages", multiple=True, metavar="CODE", help="Language to probe. Repeat for more.")
@click.option(
    "--k", default=10, type=POSITIVE, help="Number of first passages among which a question must find a relevant one."
)
@click.option("--start", type=click.Choice(["both", "near", "weak", "random"]), default="both",
              help="Questions to start from: nearest to failing, already weak, both in turn, or random.")  # fmt: skip
@click.option("--limit", default=20, type=COUNT, help="Number of start questions per language.")
@click.option("--beam", default=3, type=POSITIVE, help="Number of changed versions to keep per question.")
@click.option("--depth", default=2, type=COUNT, help="Number of changes in a row. 0 turns the search off.")
@click.option("--budget", default=2000, type=COUNT, help="Maximum number of texts to encode.")
@click.option("--distractors", default=2, type=COUNT, help="Number of added sentences to try per question.")
@click.option(
    "--pools", type=click.Choice(["whole", "common"]), help="Passages to search: all, or those of common groups."
)
@options.candidates_option
@options.context_option
@click.option("--seed", default=0, type=COUNT, help="Seed of the drawn sentences and questions.")
@options.json_option()
@click.option("--output", type=PATH, help="File for the weak pairs, as JSON lines.")
@options.data_dir_option
@options.trust_option
def probe_command(
    model: str, dataset: str, languages: tuple[str, ...], to_json: str | None, output: Path | None, **settings: Any
) -> None:
    """Find questions that succeed in English and fail in another language, over parallel pools of DATASET.

    Then search for changes of questions that keep the meaning and hurt the other language more than English. Train on
    the pairs that are found, or hold them out.
    """
    from panglot.probe.probe import probe

    progress = options.progress_to(to_json)
    settings["languages"] = list(languages) or None
    found = probe(model, dataset, command=options.command_line(), progress=progress, **settings)
    if output is not None:
        found.write_pairs(output)
        progress(f"wrote {len(found.pairs):,} lines to {output}" if found.pairs else f"no weak pair: {output} is empty")
        if found.pairs and found.figures["dataset"]["test_only"]:
            progress(f"{found.figures['dataset']['name']} is a test set: hold these pairs out, never train on them")
    if options.deliver_json(found.figures, to_json):
        from rich.console import Console

        _print(found.figures, Console())


def _print(figures: Mapping[str, Any], console: Console) -> None:
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
    rows: list[Row] = []
    for name, one in slices.items():
        texts = [
            format_number(one["weak"], "count"), format_number(one["questions"], "count"), format_number(one["rate"]),
            format_interval(one["interval"]), format_interval(one["difference_interval"], sign=True),
            *([format_number(languages[name]["only_in_the_other"], "count")] if own else []),
        ]  # fmt: skip
        rows.append(Row(name, [Cell(text) for text in texts], language=own and language_name(name).english != name))
    title = f"Weak by {kind}" + (" of the English version" if kind in {"length", "question word"} else "")
    return Table(title, [Column(heading) for heading in headings], rows, corner=kind)


def _examples(weak: Sequence[Mapping[str, Any]]) -> Table:
    count = min(_EXAMPLES, len(weak))
    rows: list[Row] = []
    for number in range(count):
        # Spread over the list, which is ordered by language.
        one = weak[number * len(weak) // count]
        texts = (one["question_in_english"], one["question"], f"→ {one['instead']['text']}")
        codes, ranks = ("en", str(one["language"])), (one["rank_in_english"], one["rank"])
        question = Cell("\n".join(options.shorten(text, 120) for text in texts))
        rows.append(Row("/".join(codes), [Cell("\n".join(f"{rank:,}" for rank in ranks)), question]))
    columns = [Column("rank"), Column("question, and the passage that comes first instead", left=True)]
    return Table(f"Weak pairs, {count} of {len(weak):,}; the JSON has all", columns, rows, corner="")


def _changes(search: Mapping[str, Any]) -> Table:
    rows: list[list[str | Cell]] = []
    for name, one in search["changes"].items():
        margins = [format_number(one[key], digits=4, sign=True) for key in ("drop", "drop_in_english", "score")]
        interval = format_interval(one["score_interval"], digits=4, sign=True)
        weak = f"{one['made_weak']} of {one['not_weak_before']}"
        rows.append([name, format_number(one["questions"], "count"), *margins, interval, weak])
    headings = ("change", "of", "drop", "English", "score", "interval", "made weak")
    title = "Single changes, the strongest first: drop of the margin, also in English"
    return simple_table(headings, rows, title=title)


def _search_result(search: Mapping[str, Any]) -> str:
    made = sum(one["made_weak"] for one in search["by_language"].values())
    sound = sum(one["not_weak_before"] for one in search["by_language"].values())
    return (
        f"Search from {search['questions']:,} of {search['questions_wanted']:,} questions, {search['texts']:,} texts: "
        f"{made} of the {sound} that were not weak became weak."
    )
