"""``panglot compare``: compare several models on the same questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from panglot.cli.options import command_line, deliver, measuring_options, progress_to

if TYPE_CHECKING:
    from pathlib import Path


@click.command("compare")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "--test", "tests", multiple=True, required=True, metavar="DATASET", help="Data set to measure on; repeat for more."
)
@measuring_options
@click.option(
    "--permutations",
    default=10_000,
    show_default=True,
    type=click.IntRange(1),
    help="Number of random permutations of the test.",
)
def compare_command(
    models: tuple[str, ...], tests: tuple[str, ...], to_json: str | None, report: Path | None, **options: Any
) -> None:
    """Measure MODELs on the same questions. A figure is bold if it is significantly the best.

    Differences are tested by a paired randomisation test over question groups, with Holm's correction for the number
    of pairs of models.
    """
    from panglot.evaluation.compare import compare

    found = compare(models, test=tests, command=command_line(), progress=progress_to(to_json), **options)
    deliver(found.figures, to_json, report, models)
