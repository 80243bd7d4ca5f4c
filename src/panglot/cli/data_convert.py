"""``panglot data convert``: a data set into files that other tools read."""

from __future__ import annotations

from pathlib import Path

import click

from panglot._errors import PanglotError
from panglot._progress import progress
from panglot.batching.table import cache_rows
from panglot.data import convert as converting
from panglot.data import transform
from panglot.data.collection import Collection
from panglot.data.formats.detect import row_files
from panglot.data.language import canonical
from panglot.data.rows import write_rejected
from panglot.datasets import registry
from panglot.datasets.check import read_usable


@click.command("convert")
@click.argument("name")
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--to", "form", required=True, type=click.Choice(converting.FORMATS), help="Format to write.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder that holds the data sets; else PANGLOT_DATA.")
@click.option("--languages", metavar="CODES", help="Languages to keep, such as en,de.")
@click.option("--rows", type=click.IntRange(1), help="Number of questions to keep at most, drawn in whole groups.")
@click.option("--seed", default=0, show_default=True, help="Seed for drawing the questions.")
@click.option("--min-characters", default=0, help="Leave out passages with fewer characters.")
@click.option("--max-characters", type=int, help="Leave out passages with more characters.")
@click.option("--ray", "on_ray", is_flag=True, help="Read the rows in Ray's workers (arrow only).")
@click.option("--split", default="test", show_default=True, help="Name of the BEIR split.")
@click.option(
    "--untie", is_flag=True, help="Give groups of their own to questions that rows cannot hold (jsonl and parquet)."
)
@click.option("--on-error", type=click.Choice(["raise", "skip"]), default="raise", show_default=True,
              help="With skip, rows that cannot be used are written to a file instead of stopping.")  # fmt: skip
@click.option("--rejected", "place", type=click.Path(path_type=Path),
              help="File for the rows that were left out.  [default: OUTPUT.rejected.jsonl]")  # fmt: skip
def convert(
    name: str,
    output: Path,
    form: str,
    data_dir: Path | None,
    languages: str | None,
    rows: int | None,
    seed: int,
    min_characters: int,
    max_characters: int | None,
    on_ray: bool,
    split: str,
    untie: bool,
    on_error: str,
    place: Path | None,
) -> None:
    """Write the data set NAME (NAME, NAME:PART or a path) to OUTPUT as Arrow, BEIR, JSON lines, Parquet or TREC.

    JSON lines and Parquet of any size become Arrow in bounded memory.
    """
    codes = [canonical(code) for code in languages.split(",")] if languages else []
    filtered = bool(codes or rows or min_characters or max_characters is not None)
    converting.check_place(form, output)
    known, skip = registry.is_known(name), on_error == "skip"
    files = [] if known else row_files(Path(name))
    # Other readers select languages themselves: some read nothing else.
    walked = bool(files) or (not known and (Path(name) / "collection.json").is_file())
    if on_ray and (form != "arrow" or not files or filtered or skip):
        raise PanglotError(
            "Ray reads whole files of JSON lines or Parquet, to write them as arrow",
            field="ray",
            hint="leave it out; filter what was written in a second step",
        )
    if form == "arrow" and files and not filtered and not skip:
        with progress("rows", None, unit="rows") as advance:
            _report(converting.convert_rows(files, output, advance, on_ray=on_ray), form)
        return
    if skip:
        collection, rejected = read_usable(name, data_dir=data_dir)
        if rejected:
            place = place or output.with_name(f"{output.name}.rejected.jsonl")
            click.echo(f"{write_rejected(rejected, place):,} rejected rows written to {place}", err=True)
        if collection is None:
            raise PanglotError("no row can be used", file=name, hint=rejected[0].hint)
    else:
        collection = registry.read(name, data_dir=data_dir, languages=None if walked else codes)
    marks = None
    if rows or min_characters or max_characters is not None or (codes and walked):
        marks = transform.select_rows(
            collection,
            languages=codes,
            min_characters=min_characters,
            max_characters=max_characters,
            rows=rows,
            seed=seed,
        )
    _report(converting.write(collection, form, output, split=split, untie=untie, marks=marks), form)


def _report(done: converting.Converted, form: str) -> None:
    """Print what was written. Cache the training rows of an Arrow collection too."""
    click.echo(f"{done.path}: {done.questions:,} questions, {done.passages:,} passages, {done.judgements:,} judgements")
    for why, number in done.lost.items():
        click.echo(f"  {why}: {number:,}")
    if form == "arrow":
        cache_rows(Collection.open(done.path))
