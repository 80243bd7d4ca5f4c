"""``panglot evaluate``: measure a model in three settings, or the language bias of an index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from panglot.cli.options import command_line, deliver, deliver_json, measuring_options, progress_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.evaluation.evaluate import Evaluation
    from panglot.report.labels import Kind


@click.command("evaluate")
@click.argument("model")
@click.argument("datasets", nargs=-1, metavar="[DATASET]...")
@measuring_options
@click.option(
    "--queries",
    type=click.Path(path_type=Path),
    help="JSON lines of group, language and text that are asked of an index; by default its own titles.",
)
@click.option(
    "--trec-run",
    type=click.Path(path_type=Path),
    help="Write the first 100 of each pooled ranking as a TREC run; for several data sets, a folder.",
)
def evaluate_command(
    model: str,
    datasets: tuple[str, ...],
    to_json: str | None,
    report: Path | None,
    queries: Path | None,
    trec_run: Path | None,
    **options: Any,
) -> None:
    """Measure MODEL on DATASETs: monolingual, cross-lingual, all languages in one pool, and language bias.

    MODEL is `bundled`, a sentence-transformers folder or hub name, `http://…/v1#name`, or vectors on disk.
    DATASET is a known name (`panglot data list`) or a path. With an index that `panglot index` wrote as MODEL and no
    DATASET, its language bias is measured by ranking mode, without labels.
    """
    if not datasets:
        _audit_index(Path(model), queries, languages=options["languages"], seed=options["seed"], to_json=to_json)
        return
    from panglot.evaluation.evaluate import evaluate

    found = evaluate(model, datasets, command=command_line(), progress=progress_to(to_json), **options)
    if trec_run is not None:
        _write_runs(found, trec_run)
    deliver(found.figures, to_json, report, [model])


def _write_runs(found: Evaluation, path: Path) -> None:
    from panglot.data.formats.trec import write_run
    from panglot.evaluation.ranks import trec_run

    several = len(found.measured) > 1
    for name, each in found.measured.items():
        write_run(path / f"{Path(name).name}.run" if several else path, trec_run(each.ranks, each.collection))


def _audit_index(
    folder: Path, path: Path | None, *, languages: Sequence[str] | None, seed: int, to_json: str | None
) -> None:
    """Measure the bias of an index, print it, and write JSON if asked.

    Raises:
        PanglotError: The folder does not contain an index.
    """
    from panglot._errors import PanglotError
    from panglot.data.language import canonical
    from panglot.search.audit import audit_bias, read_queries, sample_queries
    from panglot.search.index import Index
    from panglot.search.metadata import is_index
    from panglot.search.query_language import near

    if not is_index(folder):
        raise PanglotError(
            "no data set is named, and this is not an index", file=folder, field="datasets",
            hint="name a data set (`panglot data list`), or an index that `panglot index` wrote",
        )  # fmt: skip
    index = Index.open(folder)
    queries = read_queries(path) if path is not None else sample_queries(index.documents(), seed=seed)
    if languages:
        known = {each.language for each in queries}
        chosen = {form for code in languages for form in near(canonical(code), known)}
        queries = [each for each in queries if each.language in chosen]
        if not queries:
            hint = f"name some of {', '.join(sorted(known))}"
            raise PanglotError("there is no query in these languages", field="languages", hint=hint)
    audit = audit_bias(index, queries, progress=progress_to(to_json))
    found = {"command": command_line(), "index": str(folder), "seed": seed, **audit}
    index.close()
    if to_json:
        deliver_json(found, to_json)
    if to_json != "-":
        _print_audit(found)


def _print_audit(found: dict[str, Any]) -> None:
    from panglot.cli.options import print_table
    from panglot.report.labels import format_number

    columns: dict[str, Kind] = {
        "self_preference@10": "times", "rank_correlation": "score", "translation_found@10": "percent",
    }  # fmt: skip
    rows = [
        (mode, *(format_number(each[name], kind) for name, kind in columns.items()))
        for mode, each in found["modes"].items()
    ]
    click.echo(f"{found['queries']:,} queries in {len(found['languages'])} languages")
    print_table(("mode", "own language", "same ranking", "translations found"), rows, right=(1, 2, 3))
    click.echo("own language: its share of the first 10 divided by its share of the documents; 1 is no preference")
    click.echo("same ranking: Kendall's τ between the rankings of the same query in two languages")
    click.echo("translations found: share that ranks among the first 10, versions of the same document left out")
    by_language: dict[str, float] = found["modes"]["plain"]["self_preference@10_by_language"]
    if by_language:
        worst = sorted(by_language.items(), key=lambda item: (-item[1], item[0]))[:5]
        click.echo(
            "most preferred by plain: " + ", ".join(f"{code} {format_number(value, 'times')}" for code, value in worst)
        )
    for line in found["advice"]:
        click.echo(line)
