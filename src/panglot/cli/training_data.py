"""``panglot mine`` and ``panglot translate``: add hard negatives or languages to a training set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from panglot.cli.options import (
    COUNT,
    PATH,
    POSITIVE,
    data_dir_option,
    deliver_json,
    in_language,
    json_option,
    language_option,
    list_option,
    print_table,
    progress_to,
    trust_option,
)

if TYPE_CHECKING:
    from panglot.translation.routes import Job


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
@click.option("--output", type=PATH, help="Folder to write, by default beside SET.  [default: SET+mined]")
@data_dir_option
@trust_option
@json_option()
def mine(model: str, collection: str, output: Path | None, to_json: str | None, **settings: Any) -> None:
    """Find wrong passages in SET that MODEL ranks high, and write SET with these judged as irrelevant.

    MODEL may be a run folder that you continue to train. Train on the written folder with --hard-negatives.
    """
    from panglot._errors import PanglotError
    from panglot.mining.mine import MINED, Report
    from panglot.mining.mine import mine as run

    folder = output or _default_output(collection)
    # Checked before the work. Nothing but a collection is ever replaced.
    if folder.exists() and not (folder / "collection.json").is_file():
        raise PanglotError("exists and is not a collection", file=folder, hint="choose another --output")
    mined = run(model, collection, progress=progress_to(to_json), **settings)
    mined.save(folder)
    if deliver_json({"folder": str(folder), **json.loads(mined.metadata[MINED])}, to_json):
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
    print_table(("Questions with", "Number"), rows, right=(1,))
    excluded = [(reason, f"{number:,}") for reason, number in report.excluded.items()]
    print_table(("Excluded pairs of question and passage", "Number"), excluded, right=(1,))
    click.echo(f"{report.same_language:.1%} of the negatives are in the question's own language.")


@click.command("translate")
@click.argument("dataset")
@list_option("--to", "targets", required=True, metavar="CODES", help="Languages to translate into, such as es,pt,ca.")
@click.option("--output", type=PATH, help="Folder to write the collection to.")
@click.option(
    "--engine", "engines", multiple=True, metavar="NAME",
    help="Engine: auto (what is installed), apertium, bergamot, ctranslate2=FOLDER, libretranslate=URL or"
    " chat=URL#MODEL. Repeat for more, in order of preference.",
)  # fmt: skip
@list_option("--from", "sources", metavar="CODES", help="Translate from these languages only.")
@click.option("--questions-only", is_flag=True, help="Do not translate passages.")
@click.option("--limit", type=POSITIVE, help="Number of questions to translate, with their passages.")
@click.option("--similarity", metavar="MODEL", help="Also drop rows that are far from their source under this model.")
@click.option("--no-filters", is_flag=True, help="Keep every row that can be translated.")
@click.option("--cache", type=PATH, help="File that keeps every translation.")
@click.option("--dry-run", is_flag=True, help="Show the routes and the number of rows, and stop.")
@language_option
@data_dir_option
@json_option()
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
    from panglot.datasets import registry
    from panglot.translation.by_sentence import Store
    from panglot.translation.quality import NO_LIMITS, Thresholds
    from panglot.translation.routes import head, open_engines, plan
    from panglot.translation.translate import check_output, similarity_filter, translate

    # Click could only require it for a dry run too.
    if output is None and not dry_run:
        raise click.UsageError("Missing option '--output'.")
    if output is not None:
        check_output(output)  # now, not after hours of translation
    progress, opened = progress_to(to_json), open_engines(engines)
    collection = registry.read(in_language([dataset], language)[0], data_dir=data_dir)
    collection = head(collection, limit) if limit else collection
    routes = _counted(plan(collection, targets or (), opened, **choice))
    for each in routes:
        progress(f"{each['route']}: {each['question']:,} questions, {each['passage']:,} passages")
    if dry_run or output is None:
        deliver_json({"routes": routes}, to_json)
        return
    thresholds, distant = NO_LIMITS if no_filters else Thresholds(), None
    if similarity is not None:
        from panglot.encoders.load import load

        distant = similarity_filter(load(similarity))
    with Store(cache) as store:
        done = translate(collection, targets or (), opened, store, thresholds=thresholds, distant=distant,
                         progress=progress, **choice)  # fmt: skip
    done.save(output)
    if deliver_json(done.metrics, to_json):
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
