"""``panglot debias``: reduce a model's language bias without training."""

from __future__ import annotations

from pathlib import Path

import click

from panglot.cli.options import data_dir_option, deliver_json, json_option, progress_to, split


@click.command("debias")
@click.argument("model")
@click.option(
    "--on",
    multiple=True,
    required=True,
    metavar="SET",
    help="Data set to fit on, as NAME[:PART][@CANDIDATES] or a path. Repeat the option for more.",
)
@click.option(
    "--method",
    type=click.Choice(["center", "shift", "lir", "lsar"]),
    default="center",
    show_default=True,
    help="Method of debiasing.",
)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--rank", type=int, help="Number of directions to remove, for lir (1) and lsar (languages less one).")
@click.option("--languages", metavar="CODES", help="Languages to fit on, such as en,de,zh. All by default.")
@click.option("--texts", type=int, default=200, show_default=True, help="Most texts per side and language.")
@click.option("--pivot", metavar="CODE", help="Language whose vectors shift does not change. English by default.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the sample of texts.")
@data_dir_option
@json_option("settings and figures")
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
    """Make MODEL's vectors similar across languages without training, and write both as a folder.

    center subtracts the mean of a text's language. shift subtracts a mean that is measured on translations, from
    passages only. lir removes the leading directions of each language. lsar removes those in which languages differ.
    """
    import json
    from typing import Any, cast

    from panglot.debiasing.debias import debias
    from panglot.debiasing.transform import HEAD

    folder = debias(
        model, list(on), cast("Any", method), output, rank=rank, languages=split(languages), texts=texts,
        pivot=pivot, seed=seed, data_dir=data_dir, progress=progress_to(to_json),
    )  # fmt: skip
    head: dict[str, Any] = {"folder": str(folder), **json.loads((folder / HEAD).read_text("utf-8"))}
    if to_json:
        deliver_json(head, to_json)
    if to_json == "-":
        return
    distance = head["distance_between_languages"]
    for side, before in distance["before"].items():
        after = distance["after"][side]
        click.echo(f"mean distance between languages, {side}s: {before:.3f} before, {after:.3f} after")
    click.echo(f"wrote {folder}. Next: panglot compare {model} {folder} --test DATASET")
