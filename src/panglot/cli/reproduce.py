"""``panglot reproduce``: compute the figures of the documentation again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from panglot.cli.options import data_dir_option, deliver_json, json_option, print_table

_VERDICTS = ("ok", "drift", "fail", "skipped")


@click.command("reproduce")
@data_dir_option
@click.option("--only", multiple=True, metavar="RUN", help="Name of a run to do, with those it needs; repeat for more.")
@click.option(
    "--minutes",
    type=float,
    default=30.0,
    show_default=True,
    help="Total minutes; runs that would exceed them are skipped.",
)
@click.option("--output", type=click.Path(path_type=Path), default=Path("runs/reproduce"), show_default=True,
              help="Folder for results and trained models.")  # fmt: skip
@click.option(
    "--figures",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Compare with the figures of this file instead.",
)
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

    def progress(line: str) -> None:
        click.echo(line, err=True)

    checked = list(
        compute(documented_runs(figures), output, data_dir=data_dir, minutes=minutes, only=only, progress=progress)
    )
    if to_json:
        deliver_json([{"run": each.run, "figure": each.figure.path, "stated": each.figure.value, "found": each.found,
                       "tolerance": each.figure.tolerance, "verdict": each.verdict, "why": each.why}
                      for each in checked], to_json)  # fmt: skip
    if to_json != "-":
        rows = [
            (
                each.run,
                each.figure.path,
                f"{each.figure.value:g}",
                "–" if each.found is None else f"{each.found:.6g}",
                each.verdict + (f": {each.why}" if each.why else ""),
            )
            for each in checked
        ]
        print_table(("run", "figure", "stated", "found", "verdict"), rows, right=(2, 3))
    counts = Counter(each.verdict for each in checked)
    progress(", ".join(f"{counts[verdict]} {verdict}" for verdict in _VERDICTS if counts[verdict]))
    return 1 if counts["fail"] or counts["drift"] else 0
