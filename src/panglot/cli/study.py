"""``panglot study`` and ``panglot reproduce``: run the trainings of a study, or those of the documentation again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from panglot.cli.options import PATH, data_dir_option, deliver_json, json_option, print_table, progress_to

_VERDICTS = ("ok", "drift", "fail", "skipped")


@click.command("study")
@click.argument("words", nargs=-1, required=True, metavar="[report] FILE")
@data_dir_option
@click.option("--only", multiple=True, metavar="STRATEGY", help="Name of a strategy to run; repeat for more.")
@click.option("--again", is_flag=True, help="Run failed cells again.")
@click.option("--output", type=PATH, help="Folder for the report; else the study's output.")
# The workers of a study start each cell in a process of its own by this option.
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

    progress = progress_to(None)
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


@click.command("reproduce")
@data_dir_option
@click.option("--only", multiple=True, metavar="RUN", help="Name of a run to do, with those it needs; repeat for more.")
@click.option("--minutes", default=30.0, help="Total minutes; runs that would exceed them are skipped.")
@click.option("--output", type=PATH, default=Path("runs/reproduce"), help="Folder for results and trained models.")
@click.option("--figures", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Compare with the figures of this file instead.")  # fmt: skip
@json_option("the comparison")
def reproduce(
    data_dir: Path | None, only: tuple[str, ...], minutes: float, output: Path, figures: Path | None,
    to_json: str | None,
) -> int:  # fmt: skip
    """Compute the figures of the documentation again, and print for each whether it is ok, drifts or fails.

    You may stop it at any moment. The same command continues from there.
    """
    from panglot.study.reproduce import documented_runs
    from panglot.study.reproduce import reproduce as compute

    progress, runs = progress_to(None), documented_runs(figures)
    checked = list(compute(runs, output, data_dir=data_dir, minutes=minutes, only=only, progress=progress))
    compared = [
        {"run": each.run, "figure": each.figure.path, "stated": each.figure.value, "found": each.found,
         "tolerance": each.figure.tolerance, "verdict": each.verdict, "why": each.why}
        for each in checked
    ]  # fmt: skip
    if deliver_json(compared, to_json):
        rows = [
            (each.run, each.figure.path, f"{each.figure.value:g}", "–" if each.found is None else f"{each.found:.6g}",
             each.verdict + (f": {each.why}" if each.why else ""))
            for each in checked
        ]  # fmt: skip
        print_table(("run", "figure", "stated", "found", "verdict"), rows, right=(2, 3))
    counts = Counter(each.verdict for each in checked)
    progress(", ".join(f"{counts[verdict]} {verdict}" for verdict in _VERDICTS if counts[verdict]))
    return 1 if counts["fail"] or counts["drift"] else 0
