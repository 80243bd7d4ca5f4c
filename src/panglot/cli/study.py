"""``panglot study``: many trainings by one file, and their report."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("study")
@click.argument("words", nargs=-1, required=True, metavar="[report] FILE")
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), envvar="PANGLOT_DATA",
              help="The folder of data sets.")  # fmt: skip
@click.option("--only", multiple=True, metavar="STRATEGY", help="Run this strategy; repeat for more.")
@click.option("--again", is_flag=True, help="Take cells that failed again.")
@click.option("--output", type=click.Path(path_type=Path), help="Where the report goes; by default the study's output.")
@click.option("--cell", hidden=True)
def study(
    words: tuple[str, ...], data_dir: Path | None, only: tuple[str, ...], *, again: bool, output: Path | None,
    cell: str | None,
) -> int:  # fmt: skip
    """Run the cells of the study FILE, or write its report.

    Start it as often as you like, on as many machines as share its output: no cell runs twice. Stop it at any moment;
    the same command goes on from there.
    """
    from panglot.study import design, report
    from panglot.study.worker import run_cell, work

    def tell(line: str) -> None:
        click.echo(line, err=True)

    *head, file = words
    if head not in ([], ["report"]):
        raise click.UsageError("name one study, as in `panglot study FILE` or `panglot study report FILE`")
    reporting = bool(head)
    found = design.read(file)
    if reporting:
        click.echo(report.write(found, output or found.output))
        return 0
    if cell:
        from panglot.training.loop import Interrupted

        try:
            return run_cell(found, cell, data_dir, tell)
        except Interrupted as stop:
            tell(str(stop))
            return 130
    stands = work(found, data_dir, again=again, only=only, tell=tell)
    report.write(found, output or found.output)
    tell(f"{stands}. Next: panglot study report {file}")
    return 1 if stands.failed else 0
