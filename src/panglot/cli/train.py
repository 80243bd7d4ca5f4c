"""Commands that train models, ``train`` and ``average``, and make training sets, ``mine`` and ``translate``."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import click

from panglot._errors import PanglotError
from panglot.cli import options
from panglot.cli.options import COUNT, OUTPUT, OUTPUT_FILE, POSITIVE, ExistingFolder
from panglot.training.settings import Settings

if TYPE_CHECKING:
    from panglot.translation.translate import Job

_LISTS = {field.name for field in dataclasses.fields(Settings) if isinstance(field.default, tuple)} - {"on"}
_METAVARS = {
    "exclude": "SETS", "output": "FOLDER", "data_dir": "FOLDER", "languages": "CODES", "objectives": "NAMES",
    "code_switch_languages": "CODES", "lexicons": "NAMES", "suite": "NAME", "dev": "SET",
}  # fmt: skip


def _options() -> list[Callable[[Any], Any]]:
    """Make the options from the settings' types, defaults and documentation."""
    texts = _documentation()
    hints = get_type_hints(Settings)
    made: list[Callable[[Any], Any]] = []
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
            made.append(click.option(f"{name}/--no-{name[2:]}", **attrs))
        elif get_args(kind) and all(isinstance(choice, str) for choice in get_args(kind)):
            made.append(click.option(name, type=click.Choice(get_args(kind)), **attrs))
        else:
            # Of `int | None` and the like, the number's type is what the option takes.
            plain = next((t for t in (float, int) if kind is t or t in get_args(kind)), str)
            metavar = _METAVARS[field.name] if plain is str else "N" if plain is int else "NUMBER"
            taken = ExistingFolder() if field.name == "data_dir" else plain
            made.append(click.option(name, type=taken, metavar=metavar, **attrs))
    return made


def _documentation() -> dict[str, str]:
    body = (inspect.getdoc(Settings) or "").split("Attributes:\n")[1].split("\n\nRaises:")[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", body, re.MULTILINE)
    return {
        name: re.sub(r"\s+", " ", re.sub(r":\w+:`([^`]*\.)?(\w+)`", r"\2", text)).replace("`", "")
        for name, text in entries
    }


@click.command("train", cls=options.SectionedCommand, sections={
    "on": "Data", "recipe": "Run", "exclude": "Data", "output": "Run", "data_dir": "Data", "batches": "Batches",
    "mixing": "Gradient mixing", "batch_size": "Batches", "code_switch": "Code-switching",
    "learning_rate": "Optimisation", "temperature": "Loss and model", "precision": "Speed and memory",
    "average": "Averaging and dev set", "seed": "Run",
})  # fmt: skip
@click.argument("model", required=False)
@click.option("--on", multiple=True, metavar="SET",
              help="Training set, NAME[:PART][@CANDIDATES] or a path. Repeat for more.")  # fmt: skip
@options.language_option
@click.option("--recipe", metavar="NAME",
              help="Recipe of settings: `hybrid`, `small`, `own`, or a TOML file. Options override it.")  # fmt: skip
@options.add_options(_options())
def train(model: str | None, on: tuple[str, ...], recipe: str | None, language: str | None, **given: Any) -> int:
    """Train MODEL (by default the bundled one) and write a sentence-transformers folder.

    You can stop training at any time, by Ctrl-C or by killing it. The same command continues it.
    """
    from panglot.training.loop import Interrupted
    from panglot.training.loop import train as run

    changes = {name: value for name, value in given.items() if value is not None}
    for name in _LISTS & changes.keys():
        changes[name] = [entry.strip() for entry in changes[name].split(",")]
    try:
        folder = run(model, options.in_language(on, language) or None, recipe=recipe, **changes)
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
@click.option("--output", type=OUTPUT, required=True, help="Folder to write.")
@options.list_option(
    "--weights", metavar="NUMBERS", help="Weight of each model, such as .3,.7. The sum must be 1. Equal by default."
)
@click.option(
    "--suite", metavar="NAME",
    help="Suite to choose the share on, `forms` or a TOML file. The first model is the start of the others.",
)  # fmt: skip
@options.list_option("--shares", metavar="NUMBERS", help="Shares to try on the suite. By default .3,.5,.7,.85,1.")
@options.data_dir_option
def average_command(
    models: tuple[str, ...], output: Path, weights: list[str] | None, suite: str | None, shares: list[str] | None,
    data_dir: Path | None,
) -> None:  # fmt: skip
    """Average the weights of MODELs that were trained from the same start, and write the model.

    With --suite, the first MODEL is the start. The share of the others is chosen with which the score on the suite is
    best and no form falls by more than .005 within a language. If no share is better than the start, nothing is
    written.
    """
    from panglot.training.selection import average

    folder = average(
        models, output, weights=_numbers(weights, "weights"), suite=suite, shares=_numbers(shares, "shares"),
        data_dir=data_dir, progress=options.progress_to(None),
    )  # fmt: skip
    click.echo(f"wrote {folder}. Next: panglot compare {models[0]} {folder} --test DATASET")


def _numbers(texts: list[str] | None, field: str) -> list[float] | None:
    try:
        return [float(text) for text in texts] if texts is not None else None
    except ValueError:
        problem = f"expected numbers, got {','.join(texts or ())}"
        raise PanglotError(problem, field=field, hint="separate them by commas, as in .3,.7") from None


@click.command("mine")
@click.argument("model")
@click.argument("collection", metavar="SET")
@click.option("--negatives", default=4, help="Maximum number of negatives per question.")
@click.option(
    "--language", type=click.Choice(["any", "same", "drawn", "passage"]), default="any",
    help="Language of the negatives: any, the question's, one drawn per question, or that of its relevant passages.",
)  # fmt: skip
@click.option(
    "--relative-margin",
    default=0.05,
    help="Minimum share by which a negative's score is below that of the relevant passage.",
)
@click.option("--absolute-margin", default=0.0, help="Minimum difference between these two scores.")
@click.option(
    "--similarity", default=0.9,
    help="Minimum cosine at which a passage counts as a copy of the relevant passage. 1 turns this off.",
)  # fmt: skip
@click.option("--seed", type=COUNT, default=0, help="Seed of the drawn languages.")
@click.option("--output", type=OUTPUT, help="Folder to write, by default beside SET.  [default: SET+mined]")
@options.data_dir_option
@options.trust_option
@options.json_option()
def mine(model: str, collection: str, output: Path | None, to_json: str | None, **settings: Any) -> None:
    """Find wrong passages in SET that MODEL ranks high, and write SET with these judged as irrelevant.

    MODEL may be a run folder that you continue to train. Train on the written folder with --hard-negatives.
    """
    from panglot.data.convert import check_folder, check_source
    from panglot.datasets.registry import find_source
    from panglot.mining.mine import MINED, Report
    from panglot.mining.mine import mine as run

    folder = output or _default_output(collection)
    # Checked before the work. Nothing but a collection is ever replaced.
    check_folder(folder)
    check_source(folder, [find_source(collection, settings["data_dir"])])
    mined = run(model, collection, progress=options.progress_to(to_json), **settings)
    mined.save(folder)
    if options.deliver_json({"folder": str(folder), **json.loads(mined.metadata[MINED])}, to_json):
        _print_mined(mined.name, Report.of(mined))
        click.echo(f"Wrote {folder}. Next: panglot train {model} --on {folder} --hard-negatives 2")


def _default_output(collection: str) -> Path:
    """Return the folder beside a path, or in the current folder for a name.

    >>> _default_output("mlqa:test@paragraph").name, _default_output("data/mine.jsonl.gz").as_posix()
    ('mlqa-test-paragraph+mined', 'data/mine+mined')
    """
    path = Path(collection)
    if path.suffix or path.exists() or path.parent != Path():
        stem = path.name if path.is_dir() else path.name.split(".", 1)[0]
        return path.with_name(f"{stem}+mined")
    return Path(collection.replace(":", "-").replace("@", "-") + "+mined")


def _print_mined(name: str, report: Any) -> None:
    counts = report.questions.items()
    rows = [(f"{count} negative{'s' if count != 1 else ''}", f"{number:,}") for count, number in counts]
    rows += [("no relevant passage", f"{report.unanswered:,}")] if report.unanswered else []
    click.echo(name)
    options.print_table(("Questions with", "Number"), rows, right=(1,))
    excluded = [(reason, f"{number:,}") for reason, number in report.excluded.items()]
    options.print_table(("Excluded pairs of question and passage", "Number"), excluded, right=(1,))
    click.echo(f"{report.same_language:.1%} of the negatives are in the question's own language.")


@click.command("translate")
@click.argument("dataset")
@options.list_option(
    "--to", "targets", required=True, metavar="CODES", help="Languages to translate into, such as es,pt,ca."
)
@click.option("--output", type=OUTPUT, help="Folder to write the collection to.")
@click.option(
    "--engine", "engines", multiple=True, metavar="NAME",
    help="Engine: auto (what is installed), apertium, bergamot, ctranslate2=FOLDER, libretranslate=URL or"
    " chat=URL#MODEL. Repeat for more, in order of preference.",
)  # fmt: skip
@options.list_option("--from", "sources", metavar="CODES", help="Translate from these languages only.")
@click.option("--questions-only", is_flag=True, help="Do not translate passages.")
@click.option("--limit", type=POSITIVE, help="Number of questions to translate, with their passages.")
@click.option("--similarity", metavar="MODEL", help="Also drop rows that are far from their source under this model.")
@click.option("--no-filters", is_flag=True, help="Keep every row that can be translated.")
@click.option("--cache", type=OUTPUT_FILE, help="File that keeps every translation.")
@click.option("--dry-run", is_flag=True, help="Show the routes and the number of rows, and stop.")
@options.language_option
@options.data_dir_option
@options.json_option()
def translate_command(
    dataset: str, targets: list[str] | None, output: Path | None, engines: tuple[str, ...], limit: int | None,
    similarity: str | None, cache: Path | None, language: str | None, data_dir: Path | None, to_json: str | None,
    *, no_filters: bool, dry_run: bool, **choice: Any,
) -> None:  # fmt: skip
    """Translate the questions and passages of DATASET and write a parallel collection.

    DATASET is a known name (`panglot data list`) or a path. Groups are kept. Rows that the filters drop are written to
    dropped.jsonl with the reasons. Every translation is saved at once, so that the same command continues after an
    interruption.
    """
    from panglot.data.convert import check_folder, check_source
    from panglot.datasets import registry
    from panglot.translation.by_sentence import Store
    from panglot.translation.local import open_engines
    from panglot.translation.quality import NO_LIMITS, Thresholds
    from panglot.translation.translate import head, plan, similarity_filter, translate

    # Click could only require it for a dry run too.
    if output is None and not dry_run:
        raise click.UsageError("Missing option '--output'.")
    if output is not None:
        check_folder(output)  # now, not after hours of translation
        check_source(output, [registry.find_source(dataset, data_dir)])
    progress, opened = options.progress_to(to_json), open_engines(engines)
    collection = registry.read(options.in_language([dataset], language)[0], data_dir=data_dir)
    collection = head(collection, limit) if limit else collection
    routes = _counted(plan(collection, targets or (), opened, **choice))
    for each in routes:
        progress(f"{each['route']}: {each['question']:,} questions, {each['passage']:,} passages")
    if dry_run or output is None:
        options.deliver_json({"routes": routes}, to_json)
        return
    thresholds, distant = NO_LIMITS if no_filters else Thresholds(), None
    if similarity is not None:
        from panglot.encoders.load import load

        distant = similarity_filter(load(similarity))
    with Store(cache) as store:
        done = translate(collection, targets or (), opened, store, thresholds=thresholds, distant=distant,
                         progress=progress, **choice)  # fmt: skip
    done.save(output)
    if options.deliver_json(done.metrics, to_json):
        _print_translated(done.metrics)
        click.echo(f"{output}: {done.collection!r}")


def _counted(jobs: list[Job]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, int]] = {}
    for job in jobs:
        counts = found.setdefault(str(job.route), {"question": 0, "passage": 0})
        counts[job.side] += 1
    return [{"route": route, **counts} for route, counts in found.items()]


def _print_translated(figures: dict[str, Any]) -> None:
    for routes in figures["to"].values():
        for each in routes:
            rows, kept = sum(each["rows"].values()), sum(each["kept"].values())
            click.echo(f"{each['route']}: {kept:,} of {rows:,} rows kept")
            click.echo(
                f"  {each['sentences']:,} sentences: {each['translated']:,} translated in {each['seconds']:,.1f} s,"
                f" {each['reused']:,} known before, {each['failed']:,} failed"
            )
            for reason, count in each["dropped_by"].items():
                click.echo(f"  {reason}: {count:,} ({count / rows:.1%})")
