"""Commands that train: ``train`` with all settings of a recipe, ``average``, ``demo``, ``study``."""

from __future__ import annotations

import dataclasses
import inspect
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click

from panglot._errors import PanglotError
from panglot.cli.options import (
    PATH,
    SectionedCommand,
    add_options,
    data_dir_option,
    deliver_json,
    in_language,
    json_option,
    language_option,
    list_option,
    print_table,
    progress_to,
)
from panglot.training.settings import Settings

_LISTS = {field.name for field in dataclasses.fields(Settings) if isinstance(field.default, tuple)} - {"on"}
_METAVARS = {
    "exclude": "SETS", "output": "FOLDER", "data_dir": "FOLDER", "languages": "CODES", "objectives": "NAMES",
    "code_switch_languages": "CODES", "lexicons": "NAMES", "suite": "NAME", "dev": "SET",
}  # fmt: skip


def _options() -> list[Callable[[Any], Any]]:
    """Make the options from the settings' types, defaults and documentation."""
    texts = _documentation()
    hints = get_type_hints(Settings)
    options: list[Callable[[Any], Any]] = []
    for field in dataclasses.fields(Settings):
        if field.name in {"model", "on"}:
            continue
        kind = hints[field.name]
        name = "--" + field.name.replace("_", "-")
        shown = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        default = "" if shown in {None, ""} else f"  [default: {shown}]"
        # None means that the option was not given, so that it does not override the recipe.
        attrs: dict[str, Any] = {"help": texts[field.name] + default, "default": None}
        if kind is bool:
            options.append(click.option(f"{name}/--no-{name[2:]}", **attrs))
        elif get_args(kind) and all(isinstance(choice, str) for choice in get_args(kind)):
            options.append(click.option(name, type=click.Choice(get_args(kind)), **attrs))
        else:
            # Of `int | None` and the like, the number's type is what the option takes.
            plain = next((t for t in (float, int) if kind is t or t in get_args(kind)), str)
            metavar = _METAVARS[field.name] if plain is str else "N" if plain is int else "NUMBER"
            options.append(click.option(name, type=plain, metavar=metavar, **attrs))
    return options


def _documentation() -> dict[str, str]:
    body = (inspect.getdoc(Settings) or "").split("Attributes:\n")[1].split("\n\nRaises:")[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", body, re.MULTILINE)
    return {
        name: re.sub(r"\s+", " ", re.sub(r":\w+:`([^`]*\.)?(\w+)`", r"\2", text)).replace("`", "")
        for name, text in entries
    }


@click.command("train", cls=SectionedCommand, sections={
    "on": "Data", "recipe": "Run", "exclude": "Data", "output": "Run", "data_dir": "Data", "batches": "Batches",
    "mixing": "Gradient mixing", "batch_size": "Batches", "code_switch": "Code-switching",
    "learning_rate": "Optimisation", "temperature": "Loss and model", "precision": "Speed and memory",
    "average": "Averaging and dev set", "seed": "Run",
})  # fmt: skip
@click.argument("model", required=False)
@click.option("--on", multiple=True, metavar="SET",
              help="Training set, NAME[:PART][@CANDIDATES] or a path. Repeat for more.")  # fmt: skip
@language_option
@click.option("--recipe", metavar="NAME",
              help="Recipe of settings: `hybrid`, `small`, `own`, or a TOML file. Options override it.")  # fmt: skip
@add_options(_options())
def train(model: str | None, on: tuple[str, ...], recipe: str | None, language: str | None, **options: Any) -> int:
    """Train MODEL (by default the bundled one) and write a sentence-transformers folder.

    You can stop training at any time, by Ctrl-C or by killing it. The same command continues it.
    """
    from panglot.training.loop import Interrupted
    from panglot.training.loop import train as run

    changes = {name: value for name, value in options.items() if value is not None}
    for name in _LISTS & changes.keys():
        changes[name] = [entry.strip() for entry in changes[name].split(",")]
    try:
        folder = run(model, in_language(on, language) or None, recipe=recipe, **changes)
    except Interrupted as stop:
        click.echo(str(stop), err=True)
        return 130
    from accelerate import PartialState

    # If torchrun started several processes, one speaks for all.
    if PartialState().is_main_process:
        click.echo(f"{folder} is trained. Next: panglot compare {model or 'bundled'} {folder} --test DATASET")
    return 0


@click.command("average")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--output", type=PATH, required=True, help="Folder to write.")
@list_option(
    "--weights", metavar="NUMBERS", help="Weight of each model, such as .3,.7. The sum must be 1. Equal by default."
)
@click.option(
    "--suite", metavar="NAME",
    help="Suite to choose the share on, `forms` or a TOML file. The first model is the start of the others.",
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
    from panglot.training.selection import SHARES, average

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


@click.command("demo")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"),
              help="Folder for the model and the report.")  # fmt: skip
@click.option("--pairs", default=2000, type=click.IntRange(32), help="Number of training pairs.")
@click.option("--seed", default=0, help="Seed of the training and of the intervals.")
def demo(output: Path, pairs: int, seed: int) -> None:
    """Measure the bundled model, train it with hybrid batches, and measure it again.

    The collection has short facts in twelve languages. Training and test share no fact.
    """
    from rich.console import Console

    from panglot._files import write_json
    from panglot.evaluation.compare import compare
    from panglot.report import print_report, write_html
    from panglot.training.loop import train

    start = time.perf_counter()
    console = Console()
    console.print("1. Training the bundled model with hybrid-row batches on starter:train …")
    folder = output / "hybrid"
    trained = train("bundled", "starter:train", folder, batches="hybrid-row", pairs=pairs, seed=seed, batch_size=24)
    console.print("2. Measuring both models on starter:test, in three settings …")
    found = compare(["bundled", str(trained)], test=["starter:test"], seed=seed)
    print_report(found.figures, console)
    write_json(output / "scores.json", found.figures)
    write_html(output / "report.html", found.figures)
    console.print(
        f"\n{time.perf_counter() - start:.0f} seconds. [bold]Monolingual[/]: question and passages in one language."
        " [bold]Cross-lingual[/]: in two languages. [bold]Multilingual[/]: passages of all languages in one pool, where"
        " the untrained model prefers the question's own language. [bold]Rank distance[/]: how far the translations of"
        " a fact are apart in that pool. With twelve languages, 11 is the minimum.\n"
        f"Model: {trained}   Report: {output / 'report.html'}\n"
        "Next: panglot evaluate bundled YOUR.jsonl   (lines of group, language, question, passage)\n"
        f"      panglot train --on YOUR.jsonl --output runs/mine ; panglot compare bundled runs/mine --test OTHER.jsonl"
    )


@click.group("study")
def study() -> None:
    """Compare training strategies over languages and seeds: plan a study, run it, and write its report."""


@study.command("run")
@click.argument("file")
@data_dir_option
@click.option("--only", multiple=True, metavar="STRATEGY", help="Strategy to run. Repeat for more.")
@click.option("--again", is_flag=True, help="Run failed cells again.")
@click.option("--output", type=PATH, help="Folder for the report. By default the study's output folder.")
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
@click.option("--output", type=PATH, help="Folder for the report. By default the study's output folder.")
def write_report(file: str, output: Path | None) -> None:
    """Write the report of the study FILE from its finished cells, and print it."""
    from panglot.study import design, report

    found = design.read(file)
    click.echo(report.write(found, output or found.output))


@study.command("plan")
@click.argument("file")
@click.option("--pilot", metavar="FILE", help="Study whose finished cells show the spread over seeds and questions. "
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
    from panglot.study.estimates import FIGURES, PARTS, Results

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
