"""``panglot average``: average the weights of models."""

from __future__ import annotations

from pathlib import Path

import click

from panglot._errors import PanglotError
from panglot.cli.options import PATH, data_dir_option, list_option, progress_to


@click.command("average")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--output", type=PATH, required=True, help="Folder to write.")
@list_option(
    "--weights", metavar="NUMBERS", help="A weight per model, such as .3,.7, which sum to 1. Equal by default."
)
@click.option(
    "--suite", metavar="NAME",
    help="Suite to choose the share on: `forms`, or a TOML file. The first model is the start of the others.",
)  # fmt: skip
@list_option("--shares", metavar="NUMBERS", help="Shares to try on the suite. By default .3,.5,.7,.85,1.")
@data_dir_option
def average_command(
    models: tuple[str, ...], output: Path, weights: list[str] | None, suite: str | None, shares: list[str] | None,
    data_dir: Path | None,
) -> None:  # fmt: skip
    """Average the weights of MODELs that were trained from the same start, and write the model.

    With --suite, the first MODEL is the start. The share of the others is chosen with which the score on the suite is
    best and no form falls by more than .005 within a language. If no share is better than the start, nothing is
    written.
    """
    from panglot.training.averaging import SHARES, average

    folder = average(
        models, output, weights=_numbers(weights, "weights"), suite=suite, shares=_numbers(shares, "shares") or SHARES,
        data_dir=data_dir, progress=progress_to(None),
    )  # fmt: skip
    click.echo(f"wrote {folder}. Next: panglot compare {models[0]} {folder} --test DATASET")


def _numbers(texts: list[str] | None, field: str) -> list[float] | None:
    try:
        return [float(text) for text in texts] if texts is not None else None
    except ValueError:
        problem = f"expected numbers, got {','.join(texts or ())}"
        raise PanglotError(problem, field=field, hint="separate them by commas, as in .3,.7") from None
