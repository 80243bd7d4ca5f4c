"""``panglot evaluate index/``: an index's bias without labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from panglot.cli._measuring import command_line, deliver_json, tell

if TYPE_CHECKING:
    from collections.abc import Sequence


def judge_index(
    folder: Path, questions: Path | None, *, languages: Sequence[str] | None, seed: int, to_json: str | None
) -> None:
    """Judge an index, print it, and write JSON where asked.

    Raises:
        PanglotError: The folder is no index.
    """
    from panglot._errors import PanglotError
    from panglot.corpus.language import canonical
    from panglot.search._head import is_index
    from panglot.search.asking import near
    from panglot.search.index import Index
    from panglot.search.judge import judge
    from panglot.search.questions import read_questions, sampled

    if not is_index(folder):
        raise PanglotError(
            "no data set is named, and this is no index", file=folder, field="datasets",
            cure="name a data set (`panglot data list`), or an index that `panglot index` wrote",
        )  # fmt: skip
    say = tell(to_json)
    index = Index.open(folder)
    asked = read_questions(questions) if questions is not None else sampled(index.documents(), seed=seed)
    if languages:
        there = {each.language for each in asked}
        wanted = {form for code in languages for form in near(canonical(code), there)}
        asked = [each for each in asked if each.language in wanted]
        if not asked:
            cure = f"name some of {', '.join(sorted(there))}"
            raise PanglotError("no question in these languages", field="languages", cure=cure)
    found = {"command": command_line(), "index": str(folder), "seed": seed, **judge(index, asked, tell=say)}
    index.close()
    if to_json:
        deliver_json(found, to_json)
    if to_json != "-":
        _print(found)


def _print(found: dict[str, Any]) -> None:
    from panglot.cli._tables import print_table
    from panglot.report.numbers import written

    heads = ("self_preference@10", "rank_correlation", "translation_found@10")
    rows = [
        (mode, written(each[heads[0]], "times"), written(each[heads[1]]), written(each[heads[2]], "percent"))
        for mode, each in found["modes"].items()
    ]
    click.echo(f"{found['questions']:,} questions in {len(found['languages'])} languages")
    print_table(("mode", "own language", "same ranking", "translations found"), rows, right=(1, 2, 3))
    click.echo("own language: its share of the first 10 by its share of the documents; 1 is no preference")
    click.echo("same ranking: Kendall's τ of the same question asked in two languages")
    click.echo("translations found: within 10, each beside what is no version of it")
    by_language: dict[str, float] = found["modes"]["plain"]["self_preference@10_by_language"]
    if by_language:
        worst = sorted(by_language.items(), key=lambda item: (-item[1], item[0]))[:5]
        click.echo(
            "most preferred by plain: " + ", ".join(f"{code} {written(value, 'times')}" for code, value in worst)
        )
    for line in found["advice"]:
        click.echo(line)
