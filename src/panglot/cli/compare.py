"""``panglot compare``: compare several models on the same questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from panglot.cli.options import command_line, deliver, measuring_options, progress_to, split

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
    models: tuple[str, ...],
    tests: tuple[str, ...],
    data_dir: Path | None,
    candidates: str | None,
    *,
    context: bool,
    languages: str | None,
    measures: str | None,
    draws: int,
    permutations: int,
    seed: int,
    trust_remote_code: bool,
    to_json: str | None,
    report: Path | None,
) -> None:
    """Measure MODELs on the same questions. A figure is bold if it is significantly the best.

    Differences are tested by a paired randomisation test over question groups, with Holm's correction for the number
    of pairs of models.
    """
    from panglot.evaluation.compare import compare
    from panglot.evaluation.measures import DEFAULT

    found = compare(
        list(models), test=list(tests), data_dir=data_dir, candidates=candidates, context=context,
        languages=split(languages), measures=split(measures) or DEFAULT, draws=draws,
        permutations=permutations, seed=seed, trust_remote_code=trust_remote_code,
        command=command_line(), progress=progress_to(to_json),
    )  # fmt: skip
    deliver(found.figures, to_json, report, models)
