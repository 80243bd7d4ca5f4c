"""What ``panglot probe`` found, in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from panglot.report.names import clean, language
from panglot.report.numbers import interval, written
from panglot.report.table import _plain, _table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console
    from rich.table import Table

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
