"""``panglot demo``: train and measure on the starter collection."""

from __future__ import annotations

import time
from pathlib import Path

import click


@click.command("demo")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"),
              help="Folder for the model and the report.")  # fmt: skip
@click.option("--pairs", default=2000, type=click.IntRange(32), help="Number of training pairs.")
@click.option("--seed", default=0, help="Seed of training and intervals.")
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
