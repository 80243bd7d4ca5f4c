"""``panglot mine``: add hard negatives to a training set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from panglot.cli import options
from panglot.cli.options import COUNT, PATH


@click.command("mine")
@click.argument("model")
@click.argument("collection", metavar="SET")
@click.option("--negatives", default=4, help="Largest number of negatives per question.")
@click.option(
    "--language", type=click.Choice(["any", "same", "drawn", "passage"]), default="any",
    help="Language of the negatives: any, the question's, one drawn per question, or that of its relevant passages.",
)  # fmt: skip
@click.option(
    "--relative-margin", default=0.05, help="Share by which a negative's score is below that of the relevant passage."
)
@click.option("--absolute-margin", default=0.0, help="Smallest difference between these two scores.")
@click.option(
    "--similarity", default=0.9,
    help="Cosine with the relevant passage from which on a passage counts as its copy; 1 for none.",
)  # fmt: skip
@click.option("--seed", type=COUNT, default=0, help="Seed of the drawn languages.")
@click.option("--output", type=PATH, help="Folder to write.  [default: SET+mined, beside SET]")
@options.data_dir_option
@options.trust_option
@options.json_option()
def mine(model: str, collection: str, output: Path | None, to_json: str | None, **settings: Any) -> None:
    """Find wrong passages in SET that MODEL ranks high, and write SET with these judged as irrelevant.

    MODEL may be a run folder whose training goes on. Train on the written folder with --hard-negatives.
    """
    from panglot._errors import PanglotError
    from panglot.mining.mine import MINED, Report
    from panglot.mining.mine import mine as run

    folder = output or default_output(collection)
    # Checked before the work. Nothing but a collection is ever replaced.
    if folder.exists() and not (folder / "collection.json").is_file():
        raise PanglotError("exists and is not a collection", file=folder, hint="choose another --output")
    mined = run(model, collection, progress=options.progress_to(to_json), **settings)
    mined.save(folder)
    if options.deliver_json({"folder": str(folder), **json.loads(mined.about[MINED])}, to_json):
        _print(mined.name, Report.of(mined))
        click.echo(f"Wrote {folder}. Next: panglot train {model} --on {folder} --hard-negatives 2")


def default_output(collection: str) -> Path:
    """Return the folder beside a path, or in the current folder for a name.

    >>> default_output("mlqa:test@paragraph").name, default_output("data/mine.jsonl.gz").as_posix()
    ('mlqa-test-paragraph+mined', 'data/mine+mined')
    """
    path = Path(collection)
    if path.suffix or path.exists() or path.parent != Path():
        stem = path.name if path.is_dir() else path.name.split(".", 1)[0]
        return path.with_name(f"{stem}+mined")
    return Path(collection.replace(":", "-").replace("@", "-") + "+mined")


def _print(name: str, report: Any) -> None:
    counts = report.questions.items()
    rows = [(f"{count} negative{'s' if count != 1 else ''}", f"{number:,}") for count, number in counts]
    rows += [("no relevant passage", f"{report.unanswered:,}")] if report.unanswered else []
    click.echo(name)
    options.print_table(("Questions with", "Number"), rows, right=(1,))
    excluded = [(reason, f"{number:,}") for reason, number in report.excluded.items()]
    options.print_table(("Excluded pairs of question and passage", "Number"), excluded, right=(1,))
    click.echo(f"{report.same_language:.1%} of the negatives are in the question's own language.")
