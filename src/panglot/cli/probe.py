"""``panglot probe``: questions that English answers and another language does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from panglot.cli.options import command_line, tell

if TYPE_CHECKING:
    from panglot.probe.beam import Start
    from panglot.probe.pools import Pools


@click.command("probe")
@click.argument("model")
@click.argument("dataset")
@click.option("--language", "languages", multiple=True, metavar="CODE", help="Probe it; repeat for more; else all.")
@click.option("--k", default=10, show_default=True, type=click.IntRange(1), help="The depth that counts as success.")
@click.option(
    "--start",
    type=click.Choice(["both", "near", "weak", "random"]),
    default="both",
    show_default=True,
    help="Search from questions nearest to failing, already weak, both in turn, or drawn.",
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(0), help="Such questions a language.")
@click.option("--beam", default=3, show_default=True, type=click.IntRange(1), help="Wordings that go on, a question.")
@click.option("--depth", default=2, show_default=True, type=click.IntRange(0), help="Changes in a row; 0: no search.")
@click.option("--budget", default=2000, show_default=True, type=click.IntRange(0), help="Texts to encode, at most.")
@click.option("--distractors", default=2, show_default=True, type=click.IntRange(0), help="Sentences to try each with.")
@click.option("--pools", type=click.Choice(["whole", "common"]), help="All passages, or those of common groups.")
@click.option("--candidates", type=click.Choice(["sentence", "paragraph"]), help="What the passages are.")
@click.option("--context", is_flag=True, help="Put its paragraph behind each sentence.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Draws distractors.")
@click.option("--json", "to_json", metavar="PATH", help="Write the figures as JSON; - is standard output.")
@click.option("--output", type=click.Path(path_type=Path), help="Write the weak pairs as JSON lines.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of the data sets; else PANGLOT_DATA.")
@click.option("--trust-remote-code", is_flag=True, help="Let Python code that comes with a model run.")
def probe_command(
    model: str,
    dataset: str,
    languages: tuple[str, ...],
    k: int,
    start: Start,
    limit: int,
    beam: int,
    depth: int,
    budget: int,
    distractors: int,
    pools: Pools | None,
    candidates: str | None,
    *,
    context: bool,
    seed: int,
    to_json: str | None,
    output: Path | None,
    data_dir: Path | None,
    trust_remote_code: bool,
) -> None:
    """Find questions that MODEL answers in English and not in another language, over parallel pools of DATASET.

    Then search by beam for changes that keep the meaning and hurt the other language more than English. The
    pairs that are found can be trained on or held out.
    """
    from panglot._files import write_json
    from panglot.probe.probe import probe

    progress = tell(to_json)
    found = probe(
        model, dataset, languages=list(languages) or None, k=k, start=start, limit=limit, beam=beam, depth=depth,
        budget=budget, distractors=distractors, pools=pools, seed=seed, data_dir=data_dir, candidates=candidates,
        context=context, trust_remote_code=trust_remote_code, command=command_line(), progress=progress,
    )  # fmt: skip
    if output is not None:
        found.write_pairs(output)
        progress(f"{len(found.pairs):,} lines in {output}" if found.pairs else f"no weak pair: {output} is empty")
        if found.pairs and found.figures["dataset"]["test_only"]:
            progress(f"{found.figures['dataset']['name']} is a test set: hold these pairs out, never train on them")
    if to_json == "-":
        click.echo(json.dumps(found.figures, ensure_ascii=False, indent=2, allow_nan=False))
        return
    if to_json:
        write_json(Path(to_json), found.figures)
    from rich.console import Console

    from panglot.report.probe import print_probe

    print_probe(found.figures, Console())
