"""``panglot debias``: a remedy for language bias, without training."""

from __future__ import annotations

from pathlib import Path

import click

from panglot.cli.options import split, tell


@click.command("debias")
@click.argument("model")
@click.option(
    "--on",
    multiple=True,
    required=True,
    metavar="SET",
    help="Text to fit on, NAME[:PART][@CANDIDATES] or a path; repeat for more.",
)
@click.option(
    "--method",
    type=click.Choice(["center", "shift", "lir", "lsar"]),
    default="center",
    show_default=True,
    help="What to take out of the vectors.",
)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="The folder to write.")
@click.option("--rank", type=int, help="Directions to remove, for lir (1) and lsar (one fewer than languages).")
@click.option("--languages", metavar="CODES", help="Fit on these only, such as en,de,zh.")
@click.option("--texts", type=int, default=200, show_default=True, help="Of each side and language, at most.")
@click.option("--pivot", metavar="CODE", help="For shift, the language that stays in place; English by default.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Draws the texts.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder that holds the data sets; else PANGLOT_DATA.")
@click.option("--json", "to_json", metavar="PATH", help="Write what was fitted as JSON; - is standard output.")
def debias_command(
    model: str,
    on: tuple[str, ...],
    method: str,
    output: Path,
    rank: int | None,
    languages: str | None,
    texts: int,
    pivot: str | None,
    seed: int,
    data_dir: Path | None,
    to_json: str | None,
) -> None:
    """Make MODEL's vectors alike over languages without training it, and write both as a folder.

    center subtracts the mean of a text's language; shift does so for passages only, measured on translations;
    lir removes the leading directions of each language; lsar removes those in which languages differ.
    """
    import json
    from typing import Any, cast

    from panglot._files import write_json
    from panglot.debiasing.debias import debias
    from panglot.debiasing.transform import HEAD

    folder = debias(
        model, list(on), cast("Any", method), output, rank=rank, languages=split(languages), texts=texts,
        pivot=pivot, seed=seed, data_dir=data_dir, tell=tell(to_json),
    )  # fmt: skip
    found: dict[str, Any] = {"folder": str(folder), **json.loads((folder / HEAD).read_text("utf-8"))}
    if to_json == "-":
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    if to_json:
        write_json(to_json, found)
    distance = found["distance_between_languages"]
    for side, before in distance["before"].items():
        click.echo(
            f"mean distance between languages, {side}s: {before:.3f} before, {distance['after'][side]:.3f} after"
        )
    click.echo(f"{folder} is written. Next: panglot compare {model} {folder} --test DATASET")
