"""``panglot data from-docs``: questions and passages out of documents that have none."""

from __future__ import annotations

from pathlib import Path

import click

from panglot._errors import PanglotError
from panglot.corpus import from_docs as documents
from panglot.corpus.convert import write_rows


@click.command("from-docs")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--output", required=True, type=click.Path(path_type=Path), help="A .jsonl or .parquet file to write.")
@click.option("--language", help="Language of documents that do not tell theirs.")
@click.option("--ways", default="title,first-sentence", show_default=True, help="question, title, first-sentence.")
@click.option(
    "--shortest", default=40, show_default=True, type=click.IntRange(1), help="Letters of a passage at least."
)
@click.option("--column", "columns", multiple=True, metavar="ROLE=NAME",
              help="For CSV and TSV: which column is title, text, language, group; repeat for more.")  # fmt: skip
def from_docs(
    paths: tuple[Path, ...], output: Path, language: str | None, ways: str, shortest: int, columns: tuple[str, ...]
) -> None:
    """Make rows of HTML, Markdown, PO, XLIFF, CSV and TSV files, or of all such files in folders.

    A title, a question heading or a first sentence asks; the text below answers. Versions of a page in several
    languages are tied by path (en/page.html, de/page.html) and anchor.
    """
    roles: dict[str, str] = {}
    for text in columns:
        role, mark, name = text.partition("=")
        if not mark:
            raise PanglotError(f"{text!r} names no column", field="column", cure="write e.g. text=body")
        roles[role] = name
    made = documents.read(paths, language=language, ways=ways.split(","), shortest=shortest, columns=roles)
    write_rows(made.rows, output)
    spoken = sorted({row.language for row in made.rows})
    groups = sum(made.ways.values())
    click.echo(f"{output}: {len(made.rows):,} rows in {groups:,} groups, {made.tied:,} of them in several languages")
    click.echo(f"  languages: {' '.join(spoken)}")
    for way, number in made.ways.items():
        click.echo(f"  {way} asks: {number:,} groups")
    for why, number in made.left_out.items():
        click.echo(f"  left out, {why}: {number:,}")
