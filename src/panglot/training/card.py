"""What a run leaves: the model, and its card with metadata as the hub of Hugging Face reads them."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from panglot._environment import machine, versions
from panglot._files import explain_write, shareable
from panglot.augment.codeswitch import Switched, total
from panglot.augment.lexicons import KNOWN
from panglot.data.letters import lines_of
from panglot.encoders.publish import make_portable, metadata, origin_of
from panglot.training.data import TrainingData, describe_nearest
from panglot.training.run import Progress
from panglot.training.settings import Settings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def save_model(
    model: SentenceTransformer, base: Path, settings: Settings, data: TrainingData, progress: Progress, share: float
) -> None:
    """Write the model into the run folder, with ``modules.json``, which makes it a model, last.

    ``base`` is the folder of the model that the run started from, and ``share`` that of the trained weights in the
    saved ones. Once the run is finished, its recipe names no folder of this machine.
    """
    with explain_write(settings.output):
        part = Path(tempfile.mkdtemp(prefix=".model.", dir=settings.output))
        try:
            model.eval()
            # The loss compares by cosine, whatever the start declared.
            model.similarity_fn_name = "cosine"
            model.save_pretrained(str(part), create_model_card=False)
            make_portable(part)
            (part / "README.md").write_text(model_card(base, settings, data, progress, share), "utf-8")
            (part / "recipe.toml").write_text(settings.to_toml(share=True), "utf-8")
            for path in sorted(part.iterdir(), key=lambda path: (path.name == "modules.json", path.name)):
                target = settings.output / path.name
                if target.is_dir():
                    shutil.rmtree(target)
                path.replace(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def model_card(base: Path, settings: Settings, data: TrainingData, progress: Progress, share: float) -> str:
    """Return the model card: data, settings, figures and versions, with metadata as the hub reads them.

    ``base`` is the folder of the model that the run started from, and ``share`` that of the trained weights in the
    saved ones.
    """
    sets = "".join(
        f"| {c.name} | {c.metadata.get('licence', 'not stated')} | {rows.rows:,} | {', '.join(rows.languages)} |\n"
        for c, rows in zip(data.collections, data.sources, strict=True)
    )
    batches = f"`{settings.batches}` batches"
    if settings.mixing != "none":
        objectives = ", ".join(f"`{name}`" for name in settings.objectives)
        batches = f"the gradients of {objectives} mixed by `{settings.mixing}`"
    best = ""
    if share < 1 or settings.suite:
        chosen = f", which did best on the suite `{shareable(settings.suite)}`" if settings.suite else ""
        best = f" The saved weights are {share:g} of the trained ones and {1 - share:g} of the start{chosen}."
    if data.dev is not None and progress.best is not None:
        weights = "saved" if share == 1 else "trained"
        best += f" On the dev collection `{data.dev.name}` the {weights} weights (step {progress.best_step}) have a"
        best += f" mean mAP over settings of {progress.best:.4f}"
        best += "." if share == 1 else ", measured before they were averaged with the start."
    notes = "".join(f"{paragraph}\n\n" for paragraph in (*_left_out(data), *_code_switching(settings, data)))
    origin = origin_of(settings.model, base)
    results = [] if share < 1 else _dev_results(settings.output / "log.jsonl", data, progress)
    languages = sorted({language for collection in data.collections for language in collection.languages})
    sources = [(each.name, each.metadata) for each in data.collections]
    header = metadata(settings.output.name, origin, languages, sources, results)
    start = shareable(settings.model)
    return f"""---
{header}
---

# {settings.output.name}

A multilingual retrieval model, trained by [panglot](https://github.com/panglot/panglot) from \
`{start}` with {batches}: {progress.pairs:,} pairs in {progress.step:,} steps, \
{progress.seconds:,.0f} seconds.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{settings.output.name}")  # the path of this folder
questions = model.encode_query(["Where does the river end?"])
passages = model.encode_document(["The river flows into the Black Sea."])
similarity = model.similarity(questions, passages)
```

## Training data

| set | licence | rows | languages |
|---|---|---|---|
{sets}
{notes}The licence of the model that training started from: {origin.licence or "not stated"}.

## Figures

No test set was used during training.{best} Measure the model in three settings with \
`panglot evaluate {settings.output.name} DATASET`.

## Recipe

```toml
{settings.to_toml(share=True).rstrip()}
```

Versions: {", ".join(f"{name} {version}" for name, version in versions().items())}.
Machine: {", ".join(f"{name} {value}" for name, value in machine().items())}.
"""


def _left_out(data: TrainingData) -> list[str]:
    """Return paragraphs on the test sets that the data were compared with, and on what was left out for them."""
    if not data.overlaps:
        return ["The training sets were compared with no test set."]
    tests = ", ".join(sorted({each.test for each in data.overlaps}))
    rows = [f"| {each.training} | {each.test} | {each.equal:,} | {each.near:,} | {each.groups:,} |"
            for each in data.overlaps if each.groups]  # fmt: skip
    head = ["| set | kept apart | equal texts | near texts | groups |", "|---|---|---|---|---|"]
    table = ["Left out with all translations because such a set has them:", "\n".join([*head, *rows])] if rows else []
    nearest = [f"What is left of {each.training} shares most with {each.test} in {words}."
               for each in data.overlaps if (words := describe_nearest(each))]  # fmt: skip
    return [
        f"Compared with {tests}, on which nothing is trained{'' if rows else ' and which share no text with them'}.",
        *table,
        *nearest,
    ]


def _code_switching(settings: Settings, data: TrainingData) -> list[str]:
    """Return paragraphs on the languages that English words were replaced by, and on how many words were."""
    if data.switching is None:
        return []
    lexicon, switched = data.switching.lexicon, total_switched(settings.output / "log.jsonl")
    names = ", ".join(f"{name} ({KNOWN.get(name, 'licence not stated')})" for name in lexicon.names)
    words = max(switched.words, 1)
    summary = (
        f"Code-switching (2305.05295), {settings.code_switch}, p = {settings.code_switch_share}, into"
        f" {len(lexicon.languages)} languages by the lexicons {names}: {sum(switched.replaced.values()) / words:.1%} of"
        f" {switched.words:,} English words were replaced, and {switched.covered / words:.1%} had a translation."
    )
    if lexicon.missing:
        summary += f" No lexicon has {', '.join(lexicon.missing)}."
    shares = sorted(switched.replaced.items(), key=lambda entry: (-entry[1], entry[0]))
    by_language = ", ".join(f"{language} {count / words:.2%}" for language, count in shares)
    return [summary, *([f"By language: {by_language}."] if by_language else [])]


def _dev_results(log: Path, data: TrainingData, progress: Progress) -> list[tuple[str, str, float]]:
    """Return data set, measure and value of each figure of the saved weights on the dev collection."""
    if data.dev is None or progress.best is None:
        return []
    lines = map(json.loads, lines_of(log.read_text("utf-8")))
    figures = [line["dev"] for line in lines if line["step"] == progress.best_step and "dev" in line]
    return [
        (data.dev.name, f"{name} mAP", float(value))
        for name, value in (figures[-1] if figures else {}).items()
        if name.endswith("lingual")
    ]


def total_switched(log: Path) -> Switched:
    """Return the sums over the steps of a run's ``log.jsonl``."""
    lines = lines_of(log.read_text("utf-8")) if log.exists() else ()
    steps = (json.loads(line).get("switched") for line in lines)
    return total(Switched("", **numbers) for numbers in steps if numbers)
