"""``panglot data check``: what is wrong in a data set, where, and how to mend it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from panglot._files import write_json
from panglot.corpus import check as checking
from panglot.corpus.sieve import Broken, keep_aside

_SHOWN = 20


@click.command("check")
@click.argument("name")
@click.option("--against", multiple=True, metavar="DATASET", help="A test set to compare with; repeat for more.")
@click.argument("more", nargs=-1)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder that holds the data sets; else PANGLOT_DATA.")
@click.option("--skip-broken", is_flag=True, help="Count broken lines and keep them aside; they are no failure then.")
@click.option("--aside", type=click.Path(path_type=Path), help="Where broken lines go: NAME.broken.jsonl if not said.")
@click.option("--json", "to", metavar="PATH", help="Write what was found as JSON; - is standard output.")
def check(
    name: str,
    against: tuple[str, ...],
    more: tuple[str, ...],
    data_dir: Path | None,
    skip_broken: bool,
    aside: Path | None,
    to: str | None,
) -> int:
    """Tell what is wrong in the data set NAME, where, and how to mend it.

    ``--against A B`` compares with test sets. Exit status 2 if something is broken.
    """
    if more and not against:
        raise click.UsageError(f"which one to check: {name} or {' '.join(more)}?")
    report = checking.check(name, against=(*against, *more), data_dir=data_dir)
    kept = None
    if skip_broken and report.broken:
        kept = aside or Path(f"{name}.broken.jsonl")
        keep_aside(report.broken, kept)
    if to:
        told = json.dumps(_figures(report), ensure_ascii=False, indent=2)
        if to == "-":
            click.echo(told)
        else:
            write_json(to, json.loads(told))
    if to != "-":
        _print(report, kept)
    return 2 if report.broken and not (skip_broken and report.collection is not None) else 0


def _figures(report: checking.Report) -> dict[str, object]:
    found = report.collection
    return {
        "name": report.name,
        "questions": found.questions.num_rows if found else 0,
        "passages": found.passages.num_rows if found else 0,
        "broken": [dataclasses.asdict(one) for one in report.broken],
        "remarks": [dataclasses.asdict(one) for one in report.remarks],
        "overlaps": [dataclasses.asdict(one) for one in report.overlaps],
        "unread": dict(report.unread),
    }


def _print(report: checking.Report, kept: Path | None) -> None:
    click.echo(repr(report.collection) if report.collection else f"{report.name}: nothing can be read")
    for one in report.broken[:_SHOWN]:
        click.echo(f"broken: {_where(one)}{one.problem}" + (f". To mend it: {one.cure}" if one.cure else ""))
    if len(report.broken) > _SHOWN:
        click.echo(f"broken: {len(report.broken) - _SHOWN:,} more")
    if kept:
        click.echo(f"{len(report.broken):,} broken lines kept in {kept}")
    for one in report.remarks:
        shown = "; ".join(text if len(text) <= 60 else text[:59] + "…" for text in one.examples)
        click.echo(f"look at: {one.number:,} {one.what} ({shown}). To mend it: {one.cure}")
    for one in report.overlaps:
        click.echo(
            f"overlap with {one.test}: {one.equal:,} equal texts, {one.near:,} near ones, in {one.groups:,} groups; "
            f"the highest share below the threshold is {one.highest:.2f}"
        )
        for mine, theirs in one.examples:
            click.echo(f"  {_short(mine)} = {_short(theirs)}")
        if one.nearest is not None:
            click.echo(f"  nearest below it: {_short(one.nearest[0])} ~ {_short(one.nearest[1])}")
    for name, why in report.unread.items():
        click.echo(f"not compared with {name}: {why}")
    if not (report.broken or report.remarks or any(one.equal or one.near for one in report.overlaps)):
        click.echo("nothing is wrong")


def _where(one: Broken) -> str:
    line = f"line {one.line:,}" if one.line else ""
    where = ", ".join(part for part in (line, f'field "{one.field}"' if one.field else "") if part)
    return f"{where}: " if where else ""


def _short(text: str, length: int = 100) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"
