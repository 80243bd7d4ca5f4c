"""``panglot mine``: hard negatives for a training set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from panglot.cli.options import deliver_json, tell


@click.command("mine")
@click.argument("model")
@click.argument("collection", metavar="SET")
@click.option("--negatives", default=4, show_default=True, type=int, help="For each question, at most.")
@click.option(
    "--language",
    type=click.Choice(["any", "same", "drawn", "passage"]),
    default="any",
    show_default=True,
    help="Their languages: any, the question's, one drawn for each question, or those of its relevant passages.",
)
@click.option(
    "--relative-margin", default=0.05, show_default=True, help="Their scores are this share below the relevant one's."
)
@click.option("--absolute-margin", default=0.0, show_default=True, help="And lower by this.")
@click.option("--similarity", default=0.9, show_default=True, help="From this cosine on it is a copy; 1: none is.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Draws the languages.")
@click.option("--output", type=click.Path(path_type=Path), help="The folder to write; else SET+mined, beside SET.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder that holds the data sets; else PANGLOT_DATA.")
@click.option("--trust-remote-code", is_flag=True, help="Let Python code that comes with a model run.")
@click.option("--json", "to_json", metavar="PATH", help="Write what was found as JSON; - is standard output.")
def mine(model: str, collection: str, output: Path | None, to_json: str | None, **settings: Any) -> None:
    """Find passages in SET that MODEL ranks high and that answer nothing, and write SET with them judged 0.

    MODEL may be one in training: a run folder. Train on the written folder with --hard-negatives.
    """
    from panglot._errors import PanglotError
    from panglot.mining.mine import MINED, Report
    from panglot.mining.mine import mine as run

    folder = output or beside(collection)
    if folder.exists() and not (folder / "collection.json").is_file():
        raise PanglotError("is there already, and is no collection", file=folder, hint="choose another output")
    found = run(model, collection, progress=tell(to_json), **settings)
    found.save(folder)
    if to_json:
        deliver_json({"folder": str(folder), **json.loads(found.about[MINED])}, to_json)
    if to_json != "-":
        _print(found.name, Report.of(found))
        click.echo(f"{folder} is written. Next: panglot train {model} --on {folder} --hard-negatives 2")


def beside(collection: str) -> Path:
    """Return the folder beside a set: next to a path, in the current folder for a name.

    >>> beside("mlqa:test@paragraph").name, beside("data/mine.jsonl.gz").as_posix(), beside("data/parallel/").as_posix()
    ('mlqa-test-paragraph+mined', 'data/mine+mined', 'data/parallel+mined')
    """
    path = Path(collection)
    if path.suffix or path.exists() or path.parent != Path():
        stem = path.name if path.is_dir() else path.name.split(".", 1)[0]
        return path.with_name(f"{stem}+mined")
    return Path(collection.replace(":", "-").replace("@", "-") + "+mined")


def _print(name: str, report: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=name, title_justify="left")
    table.add_column("questions with")
    table.add_column("number", justify="right")
    for count, number in report.questions.items():
        table.add_row(f"{count} negatives" if count != 1 else "1 negative", f"{number:,}")
    if report.unanswered:
        table.add_row("no relevant passage", f"{report.unanswered:,}")
    reasons = Table(title="left out", title_justify="left")
    reasons.add_column("pairs of question and passage")
    reasons.add_column("number", justify="right")
    for reason, number in report.excluded.items():
        reasons.add_row(reason, f"{number:,}")
    console = Console()
    console.print(table)
    console.print(reasons)
    console.print(f"{report.same_language:.1%} of the negatives are in the question's own language")
