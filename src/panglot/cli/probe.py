"""``panglot probe``: find questions that succeed in English and fail in another language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from panglot.cli.options import command_line, deliver_json, progress_to


@click.command("probe")
@click.argument("model")
@click.argument("dataset")
@click.option("--language", "languages", multiple=True, metavar="CODE", help="Language to probe; repeat for more.")
@click.option(
    "--k",
    default=10,
    show_default=True,
    type=click.IntRange(1),
    help="A question succeeds if a relevant passage is among the first K.",
)
@click.option(
    "--start",
    type=click.Choice(["both", "near", "weak", "random"]),
    default="both",
    show_default=True,
    help="Questions to search from: nearest to failing, already weak, both in turn, or random.",
)
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(0), help="Number of these questions per language."
)
@click.option(
    "--beam", default=3, show_default=True, type=click.IntRange(1), help="Changed versions per question that go on."
)
@click.option(
    "--depth", default=2, show_default=True, type=click.IntRange(0), help="Number of changes in a row; 0 for no search."
)
@click.option(
    "--budget", default=2000, show_default=True, type=click.IntRange(0), help="Largest number of texts to encode."
)
@click.option(
    "--distractors", default=2, show_default=True, type=click.IntRange(0), help="Sentences to try with each question."
)
@click.option("--pools", type=click.Choice(["whole", "common"]), help="All passages, or those of common groups.")
@click.option("--candidates", type=click.Choice(["sentence", "paragraph"]), help="Unit of the passages.")
@click.option("--context", is_flag=True, help="Add its paragraph to each sentence.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of distractors and questions.")
@click.option("--json", "to_json", metavar="PATH", help="Write the figures as JSON; - for standard output.")
@click.option("--output", type=click.Path(path_type=Path), help="Write the weak pairs as JSON lines.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of the data sets.  [default: $PANGLOT_DATA]")
@click.option("--trust-remote-code", is_flag=True, help="Run Python code that comes with the model.")
def probe_command(
    model: str, dataset: str, languages: tuple[str, ...], to_json: str | None, output: Path | None, **settings: Any
) -> None:
    """Find questions that succeed in English and fail in another language, over parallel pools of DATASET.

    Then search for changes of questions that keep the meaning and hurt the other language more than English. Train on
    the pairs that are found, or hold them out.
    """
    from panglot.probe.probe import probe

    progress = progress_to(to_json)
    found = probe(
        model, dataset, languages=list(languages) or None, command=command_line(), progress=progress, **settings
    )
    if output is not None:
        found.write_pairs(output)
        progress(f"wrote {len(found.pairs):,} lines to {output}" if found.pairs else f"no weak pair: {output} is empty")
        if found.pairs and found.figures["dataset"]["test_only"]:
            progress(f"{found.figures['dataset']['name']} is a test set: hold these pairs out, never train on them")
    if to_json:
        deliver_json(found.figures, to_json)
    if to_json == "-":
        return
    from rich.console import Console

    from panglot.report.probe import print_probe

    print_probe(found.figures, Console())
