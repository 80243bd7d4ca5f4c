"""``panglot reproduce``: the figures of the documentation, computed again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from panglot.cli.options import deliver_json

_MARKS = {"ok": "green", "drift": "yellow", "fail": "red", "left out": "dim"}


@click.command("reproduce")
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), envvar="PANGLOT_DATA",
              help="The folder of data sets.")  # fmt: skip
@click.option("--only", multiple=True, metavar="RUN", help="This run, and what it needs; repeat for more.")
@click.option("--minutes", type=float, default=30.0, show_default=True, help="Leave out runs beyond so many minutes.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("runs/reproduce"), show_default=True,
              help="Where results and trained models go.")  # fmt: skip
@click.option(
    "--figures", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Another file of figures."
)
@click.option("--json", "to_json", metavar="FILE", help="Write the rows as JSON; - for standard output.")
def reproduce(
    data_dir: Path | None, only: tuple[str, ...], minutes: float, output: Path, figures: Path | None,
    to_json: str | None,
) -> int:  # fmt: skip
    """Compute the figures of the documentation again: ok, drift or fail.

    Stop it at any moment; the same command goes on from there.
    """
    from rich.console import Console
    from rich.table import Table

    from panglot.study.reproduce import reproduce as compute
    from panglot.study.reproduce import runs

    def tell(line: str) -> None:
        click.echo(line, err=True)

    rows = list(compute(runs(figures), output, data_dir=data_dir, minutes=minutes, only=only, tell=tell))
    if to_json:
        deliver_json([{"run": row.run, "figure": row.figure.path, "stated": row.figure.value, "found": row.found,
                       "tolerance": row.figure.tolerance, "verdict": row.verdict, "why": row.why} for row in rows],
                     to_json)  # fmt: skip
    if to_json != "-":
        table = Table("run", "figure", "stated", "found", "verdict")
        for row in rows:
            found = "–" if row.found is None else f"{row.found:.6g}"
            verdict = f"[{_MARKS[row.verdict]}]{row.verdict}[/]" + (f": {row.why}" if row.why else "")
            table.add_row(row.run, row.figure.path, f"{row.figure.value:g}", found, verdict)
        Console().print(table)
    counts = Counter(row.verdict for row in rows)
    tell(", ".join(f"{counts[verdict]} {verdict}" for verdict in _MARKS if counts[verdict]))
    return 1 if counts["fail"] or counts["drift"] else 0
