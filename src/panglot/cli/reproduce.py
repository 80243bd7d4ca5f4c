"""``reproduce``: compare the figures of the documentation with stored results, and compute them again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from panglot._files import unknown
from panglot.cli.options import PATH, data_dir_option, deliver_json, json_option, print_table, progress_to

if TYPE_CHECKING:
    from panglot.study.claims import CheckedStatement, Checkout
    from panglot.study.reproduce import CheckedFigure

_VERDICTS = ("ok", "drift", "fail", "skipped")


@click.command("reproduce")
@data_dir_option
@click.option("--only", multiple=True, metavar="NAME",
              help="Run to do, with those it needs, or stored result to compare with. Repeat for more.")  # fmt: skip
@click.option("--minutes", default=30.0, help="Time limit in minutes. Runs that would exceed it are skipped.")
@click.option("--output", type=PATH, default=Path("runs/reproduce"), help="Folder for results and trained models.")
@click.option("--figures", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="File of figures of runs to compare with. By default those of the documentation.")  # fmt: skip
@json_option("the comparison")
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

    progress, runs = progress_to(None), documented_runs(figures)
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
        print_table(("place", "stated", "what is wrong"), rows)
    wanted = [name for name in only if name in names]
    checked: list[CheckedFigure] = []
    if wanted or not only:
        checked = list(reproduce(runs, output, data_dir=data_dir, minutes=minutes, only=wanted, progress=progress))
    if deliver_json([*map(_statement, compared), *map(_figure, checked)], to_json) and checked:
        rows = [
            (each.run, each.figure.path, f"{each.figure.value:g}", "–" if each.found is None else f"{each.found:.6g}",
             f"{each.verdict}: {each.why}".removesuffix(": "))
            for each in checked
        ]  # fmt: skip
        print_table(("run", "figure", "stated", "found", "verdict"), rows, right=(2, 3))
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
