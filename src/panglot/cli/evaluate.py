"""``panglot evaluate``: one model in the three settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from panglot.cli.options import command_line, deliver, deliver_json, measuring_options, split, tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.evaluation.evaluate import Evaluation


@click.command("evaluate")
@click.argument("model")
@click.argument("datasets", nargs=-1, metavar="[DATASET]...")
@measuring_options
@click.option(
    "--questions",
    type=click.Path(path_type=Path),
    help="For an index: JSON lines of group, language and text; else its own titles ask.",
)
@click.option(
    "--trec-run",
    type=click.Path(path_type=Path),
    help="Write the first 100 of each pooled ranking as a TREC run; for several data sets, a folder.",
)
def evaluate_command(
    model: str,
    datasets: tuple[str, ...],
    data_dir: Path | None,
    candidates: str | None,
    *,
    context: bool,
    languages: str | None,
    measures: str | None,
    draws: int,
    seed: int,
    trust_remote_code: bool,
    to_json: str | None,
    report: Path | None,
    questions: Path | None,
    trec_run: Path | None,
) -> None:
    """Measure MODEL on DATASETs: monolingual, cross-lingual, all languages in one pool, and language bias.

    MODEL is `bundled`, a sentence-transformers folder or hub name, `http://…/v1#name`, or vectors on disk.
    DATASET is a known name (`panglot data list`) or a path. With an index that `panglot index` wrote as MODEL and no
    DATASET, its bias is judged without labels, by ranking mode.
    """
    if not datasets:
        judge_index(Path(model), questions, languages=split(languages), seed=seed, to_json=to_json)
        return
    from panglot.evaluation.evaluate import evaluate
    from panglot.evaluation.measures import DEFAULT

    found = evaluate(
        model, list(datasets), data_dir=data_dir, candidates=candidates, context=context,
        languages=split(languages), measures=split(measures) or DEFAULT, draws=draws, seed=seed,
        trust_remote_code=trust_remote_code,
        command=command_line(), tell=tell(to_json),
    )  # fmt: skip
    if trec_run is not None:
        _write_runs(found, trec_run)
    deliver(found.figures, to_json, report, models=[model], compared=False)


def _write_runs(found: Evaluation, path: Path) -> None:
    from panglot.data.formats.trec import write_run
    from panglot.evaluation.trec import run

    several = len(found.measured) > 1
    for name, each in found.measured.items():
        write_run(path / f"{Path(name).name}.run" if several else path, run(each.ranks, each.collection))


def judge_index(
    folder: Path, questions: Path | None, *, languages: Sequence[str] | None, seed: int, to_json: str | None
) -> None:
    """Judge an index, print it, and write JSON where asked.

    Raises:
        PanglotError: The folder is no index.
    """
    from panglot._errors import PanglotError
    from panglot.data.language import canonical
    from panglot.search.audit import judge, read_questions, sampled
    from panglot.search.index import Index
    from panglot.search.metadata import is_index
    from panglot.search.query_language import near

    if not is_index(folder):
        raise PanglotError(
            "no data set is named, and this is no index", file=folder, field="datasets",
            hint="name a data set (`panglot data list`), or an index that `panglot index` wrote",
        )  # fmt: skip
    say = tell(to_json)
    index = Index.open(folder)
    asked = read_questions(questions) if questions is not None else sampled(index.documents(), seed=seed)
    if languages:
        there = {each.language for each in asked}
        wanted = {form for code in languages for form in near(canonical(code), there)}
        asked = [each for each in asked if each.language in wanted]
        if not asked:
            hint = f"name some of {', '.join(sorted(there))}"
            raise PanglotError("no question in these languages", field="languages", hint=hint)
    found = {"command": command_line(), "index": str(folder), "seed": seed, **judge(index, asked, tell=say)}
    index.close()
    if to_json:
        deliver_json(found, to_json)
    if to_json != "-":
        _print(found)


def _print(found: dict[str, Any]) -> None:
    from panglot.cli.options import print_table
    from panglot.report.labels import written

    heads = ("self_preference@10", "rank_correlation", "translation_found@10")
    rows = [
        (mode, written(each[heads[0]], "times"), written(each[heads[1]]), written(each[heads[2]], "percent"))
        for mode, each in found["modes"].items()
    ]
    click.echo(f"{found['questions']:,} questions in {len(found['languages'])} languages")
    print_table(("mode", "own language", "same ranking", "translations found"), rows, right=(1, 2, 3))
    click.echo("own language: its share of the first 10 by its share of the documents; 1 is no preference")
    click.echo("same ranking: Kendall's τ of the same question asked in two languages")
    click.echo("translations found: within 10, each beside what is no version of it")
    by_language: dict[str, float] = found["modes"]["plain"]["self_preference@10_by_language"]
    if by_language:
        worst = sorted(by_language.items(), key=lambda item: (-item[1], item[0]))[:5]
        click.echo(
            "most preferred by plain: " + ", ".join(f"{code} {written(value, 'times')}" for code, value in worst)
        )
    for line in found["advice"]:
        click.echo(line)
