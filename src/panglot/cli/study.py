"""``panglot study``: run the trainings of a study and write its report."""

from __future__ import annotations

from pathlib import Path

import click

from panglot.cli.options import data_dir_option


@click.command("study")
@click.argument("words", nargs=-1, required=True, metavar="[report] FILE")
@data_dir_option
@click.option("--only", multiple=True, metavar="STRATEGY", help="Name of a strategy to run; repeat for more.")
@click.option("--again", is_flag=True, help="Run failed cells again.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder for the report; else the study's output.")
@click.option("--cell", hidden=True)
def study(
    words: tuple[str, ...], data_dir: Path | None, only: tuple[str, ...], *, again: bool, output: Path | None,
    cell: str | None,
) -> int:  # fmt: skip
    """Run the cells of the study FILE, or write its report.

    You may start it several times, also on other machines that share the output folder. No cell runs twice. You may
    stop it at any moment. The same command continues from there.
    """
    from panglot.study import design, report
    from panglot.study.worker import run_named, work

    def progress(line: str) -> None:
        click.echo(line, err=True)

    *head, file = words
    if head not in ([], ["report"]):
        raise click.UsageError("name one study, as in `panglot study FILE` or `panglot study report FILE`")
    found = design.read(file)
    if head:
        click.echo(report.write(found, output or found.output))
        return 0
    if cell:
        from panglot.training.loop import Interrupted

        try:
            return run_named(found, cell, data_dir, progress)
        except Interrupted as stop:
            progress(str(stop))
            return 130
    status = work(found, data_dir, again=again, only=only, progress=progress)
    report.write(found, output or found.output)
    progress(f"{status}. Next: panglot study report {file}")
    return 1 if status.failed else 0
