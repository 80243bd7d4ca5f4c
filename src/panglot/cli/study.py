"""``panglot study``: compare training strategies. ``panglot reproduce``: check the figures of the documentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from panglot._values import unknown
from panglot.cli import options
from panglot.cli.options import OUTPUT, PATH

if TYPE_CHECKING:
    from panglot.study.claims import CheckedStatement, Checkout
    from panglot.study.reproduce import CheckedFigure

_VERDICTS = ("ok", "drift", "fail", "skipped")


@click.group("study")
def study() -> None:
    """Compare training strategies over languages and seeds: plan a study, run it, and write its report."""


@study.command("run")
@click.argument("file")
@options.data_dir_option
@click.option("--only", multiple=True, metavar="STRATEGY", help="Strategy to run. Repeat for more.")
@click.option("--again", is_flag=True, help="Run failed cells again.")
@click.option("--output", type=OUTPUT, help="Folder for the report. By default the study's output folder.")
# The workers of a study start each cell in a process of its own by this option.
@click.option("--cell", hidden=True)
def run_command(
    file: str, data_dir: Path | None, only: tuple[str, ...], *, again: bool, output: Path | None, cell: str | None
) -> int:
    """Run the cells of the study FILE, and write its report.

    You may start it several times, also on other machines that share the output folder. No cell runs twice. You may
    stop it at any moment. The same command continues from there.
    """
    from panglot.study import design, report
    from panglot.study.worker import run_named, work

    progress = options.progress_to(None)
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
@click.option("--output", type=OUTPUT, help="Folder for the report. By default the study's output folder.")
def write_report(file: str, output: Path | None) -> None:
    """Write the report of the study FILE from its finished cells, and print it."""
    from panglot.study import design, report

    found = design.read(file)
    click.echo(report.write(found, output or found.output))


@study.command("plan")
@click.argument("file")
@click.option("--pilot", metavar="FILE", help="Study whose finished cells show the spread over seeds and questions. "
              "By default the study itself.")  # fmt: skip
@options.json_option("the plan")
def plan_command(file: str, pilot: str | None, to_json: str | None) -> None:
    """Say what the study FILE costs and which differences it can find, before it is run.

    The table has the smallest differences of focus and rival that are found with a probability of 80 %, in percent of
    the start's value.
    """
    from panglot.report.labels import MISSING
    from panglot.study import design
    from panglot.study.endpoints import plan
    from panglot.study.estimates import FIGURES, PARTS, Results

    found = plan(design.read(file), Results(design.read(pilot or file)))
    if not options.deliver_json(found, to_json):
        return
    spent = found["hours"]
    time = "" if spent is None else f", some {spent:.1f} hours" if spent >= 1 else f", some {60 * spent:.0f} minutes"
    cost = f"{found['cells']} cells and {found['trials']} trials{time} of training and measuring in one worker."
    if not found["detectable"]:
        click.echo(
            f"{cost}\n{found['pilot']} has no two finished seeds of focus and rival, so that it is not known which "
            "differences the study can find. Finish them, or name a study that has them with --pilot."
        )
        return
    rows = [
        (each["test"], FIGURES[each["figure"]], PARTS[each["part"]], each["contrast"], str(each["seeds"]),
         *(MISSING if each[name] is None else f"{100 * each[name]:.2f}" for name in ("alone", "corrected")))
        for each in found["detectable"]
    ]  # fmt: skip
    head = ("test", "figure", "measured on", "languages", "seeds", "one test", "all tests")
    options.print_table(head, rows, right=(4, 5, 6))
    click.echo(f"\n{cost}")
    click.echo(
        "In percent of the start's value. mean: over all numbers of languages; slope: most less fewest. one test: at "
        f"5 %; all tests: the first step of Holm's correction.\nThe spread is that of {found['pilot']}. "
        f"That over seeds may be {found['spread_factor']:.1f} times larger, which is exceeded in one case of ten."
    )
    if unknown := found["not_in_pilot"]:
        click.echo(f"Nothing is known of {', '.join(unknown)}, which the pilot does not have.")


@click.command("reproduce")
@options.data_dir_option
@click.option("--only", multiple=True, metavar="NAME",
              help="Run to do, with those it needs, or stored result to compare with. Repeat for more.")  # fmt: skip
@click.option("--minutes", default=30.0, help="Time limit in minutes. Runs that would exceed it are skipped.")
@click.option("--output", type=PATH, default=Path("runs/reproduce"), help="Folder for results and trained models.")
@click.option("--figures", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="File of figures of runs to compare with. By default those of the documentation.")  # fmt: skip
@options.json_option("the comparison")
def reproduce_command(
    data_dir: Path | None, only: tuple[str, ...], minutes: float, output: Path, figures: Path | None,
    to_json: str | None,
) -> int:  # fmt: skip
    """Compare the figures of the documentation with stored results, then compute those of short runs again.

    The comparison needs a checkout and takes seconds. With --minutes 0, nothing is computed. You may stop the command
    at any moment. The same command continues from there.
    """
    from panglot.study.claims import DECLARED, FOLDER, Checkout
    from panglot.study.reproduce import documented_runs, reproduce

    progress, runs = options.progress_to(None), documented_runs(figures)
    checkout = Checkout.read(Path()) if figures is None and FOLDER.is_dir() else None
    if checkout is None and figures is None:
        progress("The figures of the pages are compared in a checkout of panglot only: run this command in its root.")
    names, stored = [run.name for run in runs], list(checkout.sources.sources) if checkout else []
    if odd := [name for name in only if name not in {*names, *stored}]:
        raise unknown(f"there is no run {odd[0]!r}", [*names, *stored], "only")
    stated = [each for each in checkout.check() if not only or set(only) & set(each.sources)] if checkout else []
    compared = [each for each in stated if each.why or each.kind not in DECLARED]
    if to_json is None and (wrong := [each for each in compared if each.why]):
        rows = [(f"{each.page}:{each.line}", each.stated.printed if each.stated else "–", each.why) for each in wrong]
        options.print_table(("place", "stated", "what is wrong"), rows)
    wanted = [name for name in only if name in names]
    checked: list[CheckedFigure] = []
    if wanted or not only:
        checked = list(reproduce(runs, output, data_dir=data_dir, minutes=minutes, only=wanted, progress=progress))
    if options.deliver_json([*map(_statement, compared), *map(_figure, checked)], to_json) and checked:
        rows = [
            (each.run, each.figure.path, f"{each.figure.value:g}", "–" if each.found is None else f"{each.found:.6g}",
             f"{each.verdict}: {each.why}".removesuffix(": "))
            for each in checked
        ]  # fmt: skip
        options.print_table(("run", "figure", "stated", "found", "verdict"), rows, right=(2, 3))
    if checkout:
        _report(checkout, stated, [name for name in only if name in stored], progress)
    counts = Counter(each.verdict for each in (*compared, *checked))
    progress(", ".join(f"{counts[verdict]} {verdict}" for verdict in _VERDICTS if counts[verdict]))
    return 1 if counts["fail"] or counts["drift"] else 0


def _report(
    checkout: Checkout, stated: Sequence[CheckedStatement], asked: Sequence[str], progress: Callable[[str], None]
) -> None:  # fmt: skip
    """Say how stored results that were asked for are made from nothing, and what the figures of the pages rest on."""
    from panglot.study.claims import KINDS

    for name in asked:
        source = checkout.sources.sources[name]
        progress(f"{name} is stored in {source.file}. This command makes it from nothing, in about {source.minutes:g}"
                 f" minutes on two cores: {checkout.sources.command(name)}")  # fmt: skip
    kinds = Counter(each.kind for each in stated if each.stated)
    said = [f"{kinds[kind]:,} {meaning}" for kind, meaning in KINDS.items() if kinds[kind]]
    progress(f"{kinds.total():,} figures: {', '.join(said)}.")


def _statement(each: CheckedStatement) -> dict[str, Any]:
    return {"run": " ".join(each.sources), "figure": f"{each.page}:{each.line} {each.expression or each.kind}",
            "stated": each.stated.value if each.stated else None, "found": each.found,
            "tolerance": each.stated.step / 2 if each.stated else None,
            "verdict": each.verdict, "why": each.why}  # fmt: skip


def _figure(each: CheckedFigure) -> dict[str, Any]:
    return {"run": each.run, "figure": each.figure.path, "stated": each.figure.value, "found": each.found,
            "tolerance": each.figure.tolerance, "verdict": each.verdict, "why": each.why}  # fmt: skip
