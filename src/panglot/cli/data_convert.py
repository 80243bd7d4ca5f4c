"""``panglot data convert``: a data set into files that other tools read."""

from __future__ import annotations

from pathlib import Path

import click

from panglot._errors import PanglotError
from panglot._progress import progress
from panglot.batching.table import ready
from panglot.data import convert as converting
from panglot.data import skipping, transform
from panglot.data.collection import Collection
from panglot.data.formats.detect import row_files
from panglot.data.language import canonical
from panglot.data.validate import keep_aside
from panglot.datasets import registry


@click.command("convert")
@click.argument("name")
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--to", "form", required=True, type=click.Choice(converting.FORMS), help="The form to write.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder that holds the data sets; else PANGLOT_DATA.")
@click.option("--languages", help="Keep these, with commas.")
@click.option("--rows", type=click.IntRange(1), help="Keep so many questions at most, drawn in whole groups.")
@click.option("--seed", default=0, show_default=True, help="Draws them.")
@click.option("--min-characters", default=0, help="Leave shorter passages out.")
@click.option("--max-characters", type=int, help="Leave longer passages out.")
@click.option("--ray", "on_ray", is_flag=True, help="Read rows in Ray's workers; for arrow.")
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
    rows: int | None,
    seed: int,
    min_characters: int,
    max_characters: int | None,
    on_ray: bool,
    split: str,
    untie: bool,
    skip_broken: bool,
    aside: Path | None,
) -> None:
    """Write the data set NAME (NAME, NAME:PART or a path) to OUTPUT as Arrow, BEIR, JSON lines, Parquet or TREC.

    JSON lines and Parquet of any size become Arrow in bounded memory.
    """
    codes = [canonical(code) for code in languages.split(",")] if languages else []
    filtered = bool(codes or rows or min_characters or max_characters is not None)
    converting.check_place(form, output)
    known = registry.is_known(name)
    files = [] if known else row_files(Path(name))
    # Other readers select languages themselves: some read nothing else.
    walked = bool(files) or (not known and (Path(name) / "collection.json").is_file())
    if on_ray and (form != "arrow" or not files or filtered or skip_broken):
        raise PanglotError(
            "Ray reads whole files of JSON lines or Parquet, to write them as arrow",
            field="ray",
            hint="leave it out; filter what was written in a second step",
        )
    if form == "arrow" and files and not filtered and not skip_broken:
        with progress("rows", None, unit="rows") as advance:
            _tell(converting.prepare_rows(files, output, advance, on_ray=on_ray), form)
        return
    if skip_broken:
        collection, broken = skipping.read(name, data_dir=data_dir)
        if broken:
            place = aside or output.with_name(f"{output.name}.broken.jsonl")
            click.echo(f"{keep_aside(broken, place):,} broken lines left out, kept in {place}", err=True)
        if collection is None:
            raise PanglotError("nothing is left without the broken lines", file=name, hint=next(iter(broken)).hint)
    else:
        collection = registry.read(name, data_dir=data_dir, languages=None if walked else codes)
    marks = None
    if rows or min_characters or max_characters is not None or (codes and walked):
        marks = transform.chosen(
            collection, languages=codes, shortest=min_characters, longest=max_characters, rows=rows, seed=seed
        )
    _tell(converting.write(collection, form, output, split=split, untie=untie, marks=marks), form)


def _tell(done: converting.Converted, form: str) -> None:
    """Say what was written; a collection on disk is made ready for its first batch too."""
    click.echo(f"{done.path}: {done.questions:,} questions, {done.passages:,} passages, {done.judgements:,} judgements")
    for why, number in done.lost.items():
        click.echo(f"  {why}: {number:,}")
    if form == "arrow":
        ready(Collection.open(done.path))
