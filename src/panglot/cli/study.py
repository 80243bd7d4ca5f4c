"""``panglot study`` and ``panglot reproduce``: run the trainings of a study, or those of the documentation again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from panglot.cli.options import PATH, data_dir_option, deliver_json, json_option, print_table, progress_to

_VERDICTS = ("ok", "drift", "fail", "skipped")


@click.group("study")
def study() -> None:
    """Compare training strategies over languages and seeds: plan a study, run it, and write its report."""


@study.command("run")
@click.argument("file")
@data_dir_option
@click.option("--only", multiple=True, metavar="STRATEGY", help="Name of a strategy to run; repeat for more.")
@click.option("--again", is_flag=True, help="Run failed cells again.")
@click.option("--output", type=PATH, help="Folder for the report; else the study's output.")
# The workers of a study start each cell in a process of its own by this option.
@click.option("--cell", hidden=True)
def run(
    file: str, data_dir: Path | None, only: tuple[str, ...], *, again: bool, output: Path | None, cell: str | None
) -> int:
    """Run the cells of the study FILE, and write its report.

    You may start it several times, also on other machines that share the output folder. No cell runs twice. You may
    stop it at any moment. The same command continues from there.
    """
    from panglot.study import design, report
    from panglot.study.worker import run_named, work

    progress = progress_to(None)
    found = design.read(file)
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


@study.command("report")
@click.argument("file")
@click.option("--output", type=PATH, help="Folder for the report; else the study's output.")
def write_report(file: str, output: Path | None) -> None:
    """Write the report of the study FILE from its finished cells, and print it."""
    from panglot.study import design, report

    found = design.read(file)
    click.echo(report.write(found, output or found.output))


@study.command("plan")
@click.argument("file")
@click.option("--pilot", metavar="FILE", help="Study whose finished cells say how much seeds and questions differ. "
              "By default the study itself.")  # fmt: skip
@json_option("the plan")
def plan_command(file: str, pilot: str | None, to_json: str | None) -> None:
    """Say what the study FILE costs and which differences it can find, before it is run.

    The table has the smallest differences of focus and rival that are found with a probability of 80 %, in points of
    the start's value.
    """
    from panglot.report.labels import MISSING
    from panglot.study import design
    from panglot.study.endpoints import plan
    from panglot.study.results import FIGURES, PARTS, Results

    found = plan(design.read(file), Results(design.read(pilot or file)))
    if not deliver_json(found, to_json):
        return
    rows = [
        (each["test"], FIGURES[each["figure"]], PARTS[each["part"]], each["contrast"], str(each["seeds"]),
         *(MISSING if each[name] is None else f"{100 * each[name]:.2f}" for name in ("alone", "corrected")))
        for each in found["detectable"]
    ]  # fmt: skip
    head = ("test", "figure", "measured on", "languages", "seeds", "one test", "all tests")
    print_table(head, rows, right=(4, 5, 6))
    click.echo(f"\n{found['cells']} cells and {found['trials']} trials, some {found['hours']:.1f} hours of one worker.")
    click.echo(
        "mean: over all numbers of languages; slope: most less fewest. one test: at 5 %; all tests: the first step of "
        f"Holm's correction.\nThe spread is that of {found['pilot']}. That over seeds may be "
        f"{found['spread_factor']:.1f} times larger, which is exceeded in one case of ten."
    )
    if unknown := found["not_in_pilot"]:
        click.echo(f"Nothing is known of {', '.join(unknown)}, which the pilot does not have.")


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
