"""Where models come from, and how a trained one is written down."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot._environment import machine, versions
from panglot._errors import PanglotError
from panglot._files import explain_write
from panglot.augment.lexicons import KNOWN
from panglot.training.data import told_nearest
from panglot.training.switching import realised

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from panglot.training.checkpoint import Progress
    from panglot.training.data import TrainingData
    from panglot.training.settings import Settings


def finish(model: SentenceTransformer, settings: Settings, data: TrainingData, progress: Progress) -> None:
    """Write the model into the run folder; ``modules.json``, which makes it a model, comes last."""
    from safetensors import SafetensorError

    with explain_write(settings.output):
        part = Path(tempfile.mkdtemp(prefix=".model.", dir=settings.output))
        try:
            model.eval()
            try:
                model.save_pretrained(str(part), create_model_card=False)
            except SafetensorError as error:
                raise PanglotError(f"cannot write: {error}", file=settings.output, cure="free some space") from error
            (part / "README.md").write_text(card(settings, data, progress), "utf-8")
            names = sorted(path.name for path in part.iterdir())
            for name in [*(n for n in names if n != "modules.json"), "modules.json"]:
                target = settings.output / name
                if target.is_dir():
                    shutil.rmtree(target)
                (part / name).replace(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def card(settings: Settings, data: TrainingData, progress: Progress) -> str:
    """Return the model card: data, settings, figures, versions."""
    languages = sorted({language for collection in data.collections for language in collection.languages})
    head: dict[str, Any] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-transformers", "feature-extraction", "panglot", "multilingual", "retrieval"],
        "language": languages,
    }
    # YAML reads JSON values.
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in head.items()), "---", ""]
    sets = [
        f"| {c.name} | {c.about.get('licence', 'not stated')} | {rows.rows:,} | {', '.join(rows.languages)} |"
        for c, rows in zip(data.collections, data.sources, strict=True)
    ]
    batches = f"`{settings.batches}` batches"
    if settings.mixing != "none":
        batches = (
            f"the gradients of {', '.join(f'`{name}`' for name in settings.objectives)} mixed by `{settings.mixing}`"
        )
    told = (
        f"A multilingual retrieval model, trained by [panglot](https://github.com/panglot/panglot) from"
        f" `{settings.model}` with {batches}: {progress.pairs:,} pairs in {progress.step:,} steps,"
        f" {progress.seconds:,.0f} seconds."
    )
    lines += [
        f"# {settings.output.name}",
        "",
        told,
        "",
        "```python",
        "from sentence_transformers import SentenceTransformer",
        "",
        f'model = SentenceTransformer("{settings.output}")',
        'questions = model.encode_query(["Where does the river end?"])',
        'passages = model.encode_document(["The river flows into the Black Sea."])',
        "similarity = model.similarity(questions, passages)",
        "```",
        "",
        "## Training data",
        "",
        "| set | licence | rows | languages |",
        "|---|---|---|---|",
        *sets,
        "",
        *_left_out(data),
        *_code_switching(settings, data),
        "## Figures",
        "",
        "No test set was looked at during training."
        + (
            f" On the dev collection `{data.dev.name}` the saved weights (step {progress.best_step}) have a mean mAP"
            f" over settings of {progress.best:.4f}."
            if data.dev is not None and progress.best is not None
            else ""
        )
        + f" `panglot evaluate {settings.output} DATASET` measures the model in three settings.",
        "",
        "## Recipe",
        "",
        "```toml",
        settings.to_toml().rstrip(),
        "```",
        "",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions().items()) + ".",
        "Machine: " + ", ".join(f"{name} {value}" for name, value in machine().items()) + ".",
    ]
    return "\n".join(lines) + "\n"


def _left_out(data: TrainingData) -> list[str]:
    """Return the lines that tell which test sets the training sets were compared with, and what went for them."""
    if not data.shared:
        return ["The training sets were compared with no test set.", ""]
    tests = sorted({each.test for each in data.shared})
    rows = [
        f"| {each.training} | {each.test} | {each.equal:,} | {each.near:,} | {each.groups:,} |"
        for each in data.shared
        if each.groups
    ]
    table = [
        "Left out, with all translations, because a test set has them:",
        "",
        "| set | test set | equal texts | near texts | groups |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]
    nearest = [f"Nearest of what stayed, {each.training} to {each.test}: {words}."
               for each in data.shared if (words := told_nearest(each))]  # fmt: skip
    told = f"Compared with the test sets {', '.join(tests)}; {'no text is shared.' if not rows else ''}".rstrip("; ")
    return [told + ("." if rows else ""), "", *(table if rows else []), *(line for n in nearest for line in (n, ""))]


def _code_switching(settings: Settings, data: TrainingData) -> list[str]:
    """Return the lines that tell into which languages English words went, and how many."""
    if data.switching is None:
        return []
    lexicon, met = data.switching.lexicon, realised(settings.output / "log.jsonl")
    names = ", ".join(f"{name} ({KNOWN.get(name, 'licence not stated')})" for name in lexicon.names)
    total = max(met.words, 1)
    summary = (
        f"Code-switching (2305.05295), {settings.code_switch}, p = {settings.code_switch_share}, into"
        f" {len(lexicon.languages)} languages by the lexicons {names}: {sum(met.replaced.values()) / total:.1%} of"
        f" {met.words:,} English words were replaced, and {met.covered / total:.1%} had a translation."
    )
    if lexicon.missing:
        summary += f" No lexicon has {', '.join(lexicon.missing)}."
    shares = sorted(met.replaced.items(), key=lambda entry: (-entry[1], entry[0]))
    told = ", ".join(f"{language} {count / total:.2%}" for language, count in shares)
    return [summary, "", *([f"By language: {told}.", ""] if told else [])]
