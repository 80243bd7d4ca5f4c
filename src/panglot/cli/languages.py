"""``panglot languages``: what panglot has for each language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from panglot.cli.options import command_line, deliver_json, tell


@click.command("languages")
@click.argument("codes", nargs=-1, metavar="[CODE]...")
@click.option("--model", default="bundled", show_default=True, help="Whose tokenizer is measured.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the page of languages.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder that holds the data sets; else PANGLOT_DATA.")
@click.option("--json", "to_json", metavar="PATH", help="Write the figures as JSON; - is standard output.")
def languages_command(
    codes: tuple[str, ...], model: str, markdown: Path | None, data_dir: Path | None, to_json: str | None
) -> None:
    """Tell what panglot has for each CODE, or for all languages of all known data sets.

    Name, script, direction and family; the data sets that hold it; tokens of the model's tokenizer against English,
    tokens a word and unknown letters, on parallel text at hand; lexicons; translation routes at hand.
    """
    import datetime as dt

    from panglot._environment import machine
    from panglot._errors import PanglotError
    from panglot._files import write_text
    from panglot.study.profiles import profiles
    from panglot.translation.engines import open_engines

    try:
        engines = open_engines(["auto"])
    except PanglotError:  # none is installed
        engines = []
    facts = machine()
    found: dict[str, Any] = {
        "command": command_line(),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": f"{facts['cores']} cores, {facts['processor']}",
        **profiles(codes, model=model, data_dir=data_dir, engines=engines, tell=tell(to_json)),
    }
    if to_json:
        deliver_json(found, to_json)
    if markdown is not None:
        from panglot.report.markdown import languages_to_markdown

        write_text(markdown, languages_to_markdown(found))
    if to_json != "-":
        _print(found)


def _print(found: dict[str, Any]) -> None:
    from panglot.cli.options import print_table

    rows: list[tuple[str, ...]] = []
    for each in found["languages"]:
        tokens = each["tokens"]
        priced = (f"{tokens['premium']:.2f}", f"{tokens['unknown']:.1%}") if tokens else ("", "")
        entries = sum(each["lexicons"].values())
        ways = " ".join(name for name, route in each["routes"].items() if route)
        sets = f"{len(each['trains'])} + {len(each['tests'])}"
        names = (each["code"], each["name"], each["script"], each["direction"], (each["family"] or [""])[0])
        rows.append((*names, sets, *priced, f"{entries:,}" if entries else "", ways))
    head = ("code", "language", "script", "dir", "family", "train + test sets", "tokens", "unknown", "words", "routes")
    print_table(head, rows, right=(5, 6, 7, 8))
    click.echo("tokens: by those of the same text in English; words: entries of all lexicons; routes: with English")
