"""``panglot debias``: a model and its correction as one folder."""

from __future__ import annotations

import json
from typing import Any

import click

from panglot.cli import options
from panglot.cli.options import COUNT, OUTPUT


@click.command("debias", cls=options.SectionedCommand, sections={
    "on": "Data", "method": "Correction", "output": "Output", "rank": "Correction", "languages": "Data",
    "pivot": "Correction", "seed": "Data", "to_json": "Output",
})  # fmt: skip
@click.argument("model")
@click.option(
    "--on", multiple=True, metavar="SET",
    help="Data set to fit on, as NAME[:PART][@CANDIDATES] or a path. Repeat for more. By default those of "
    "starter:train, ntrex-128:train@passage and libreoffice-help:train that are on this machine.",
)  # fmt: skip
@click.option(
    "--method", type=click.Choice(["center", "shift", "lir", "lsar", "leace"]), default="center",
    help="Method of debiasing.",
)  # fmt: skip
@click.option("--strength", type=float, default=1.0, help="Share of the correction to apply, from 0 to 1.")
@click.option(
    "--whiten", type=float, metavar="SHRINKAGE",
    help="Whiten the result within groups of translations, with a shrinkage from 0 to 1, such as .8.",
)  # fmt: skip
@click.option("--output", type=OUTPUT, required=True, help="Folder to write.")
@click.option("--rank", type=int, help="Number of directions to remove, for lir (1) and lsar (languages less one).")
@options.list_option("--languages", metavar="CODES", help="Languages to fit on, such as en,de,zh. All by default.")
@click.option("--texts", default=200, help="Maximum number of texts per side and language.")
@click.option("--pivot", metavar="CODE", help="Language that `shift` does not change. English by default.")
@click.option("--seed", type=COUNT, default=0, help="Seed of the sample of texts.")
@options.language_option
@options.data_dir_option
@options.json_option("settings and figures")
def debias_command(model: str, on: tuple[str, ...], to_json: str | None, language: str | None, **settings: Any) -> None:
    """Make MODEL's vectors similar across languages without training, and write both as a folder.

    center subtracts the mean of a text's language. shift subtracts a mean that is measured on translations, from
    passages only. lir removes the leading directions of each language. lsar removes those in which languages differ.
    leace erases the language with the smallest change of the vectors. lsar, leace and `--strength 0 --whiten .8` need
    no language, so plain sentence-transformers applies them.
    """
    from panglot.debiasing.correction import HEAD
    from panglot.debiasing.debias import debias

    folder = debias(model, options.in_language(on, language) or None, progress=options.progress_to(to_json), **settings)
    head: dict[str, Any] = {"folder": str(folder), **json.loads((folder / HEAD).read_text("utf-8"))}
    if not options.deliver_json(head, to_json):
        return
    click.echo(f"fitted on {', '.join(each['name'] for each in head['on'])}")
    others = [(f" of {name}", distance) for name, distance in head["on_other_text"].items()]
    for where, distance in [("", head["distance_between_languages"]), *others]:
        for side, before in distance["before"].items():
            after = distance["after"][side]
            click.echo(f"mean distance between languages, {side}s{where}: {before:.3f} before, {after:.3f} after")
    click.echo(f"wrote {folder}. Next: panglot compare {model} {folder} --test DATASET")
