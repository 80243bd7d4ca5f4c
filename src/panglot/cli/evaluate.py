"""``panglot evaluate``: one model in the three settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from panglot.cli._measuring import command_line, deliver, measuring_options, split, tell

if TYPE_CHECKING:
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
        from panglot.cli._judging import judge_index

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
    from panglot.corpus.trec import write_run
    from panglot.evaluation.trec import run

    several = len(found.measured) > 1
    for name, each in found.measured.items():
        write_run(path / f"{Path(name).name}.run" if several else path, run(each.ranks, each.collection))
