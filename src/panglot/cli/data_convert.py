"""``panglot data convert``: a data set into files that other tools read."""

from __future__ import annotations

from pathlib import Path

import click

from panglot._errors import PanglotError
from panglot.corpus import check as checking
from panglot.corpus import convert as converting
from panglot.corpus import registry
from panglot.corpus.sieve import keep_aside


@click.command("convert")
@click.argument("name")
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--to", "form", required=True, type=click.Choice(converting.FORMS), help="The form to write.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder that holds the data sets; else PANGLOT_DATA.")
@click.option("--languages", help="Keep these, with commas.")
@click.option("--split", default="test", show_default=True, help="Name of BEIR's judgements.")
@click.option("--untie", is_flag=True, help="Give groups of their own to questions that rows cannot hold.")
@click.option("--skip-broken", is_flag=True, help="Leave broken lines out, count them and keep them aside.")
@click.option(
    "--aside", type=click.Path(path_type=Path), help="Where broken lines go: OUTPUT.broken.jsonl if not said."
)
def convert(
    name: str,
    output: Path,
    form: str,
    data_dir: Path | None,
    languages: str | None,
    split: str,
    untie: bool,
    skip_broken: bool,
    aside: Path | None,
) -> None:
    """Write the data set NAME (NAME, NAME:PART or a path) to OUTPUT as BEIR, JSON lines, Parquet or TREC."""
    codes = languages.split(",") if languages else None
    if skip_broken:
        collection, broken = checking.read(name, data_dir=data_dir)
        if broken:
            place = aside or output.with_name(f"{output.name}.broken.jsonl")
            click.echo(f"{keep_aside(broken, place):,} broken lines left out, kept in {place}", err=True)
        if collection is None:
            raise PanglotError("nothing is left without the broken lines", file=name, cure=broken[0].cure)
        if codes:
            from panglot.corpus.language import canonical

            collection = collection.select([canonical(code) for code in codes])
    else:
        collection = registry.read(name, data_dir=data_dir, languages=codes)
    done = converting.write(collection, form, output, split=split, untie=untie)
    click.echo(f"{done.path}: {done.questions:,} questions, {done.passages:,} passages, {done.judgements:,} judgements")
    for why, number in done.lost.items():
        click.echo(f"  {why}: {number:,}")
