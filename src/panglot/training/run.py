"""The run folder: recipe, data and versions of a run, and its finished model with a model card."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot._environment import machine, versions
from panglot._errors import PanglotError
from panglot._files import explain_write, write_json, write_text
from panglot.augment.lexicons import KNOWN
from panglot.data.files import write_rejected
from panglot.training.data import describe_nearest
from panglot.training.switching import total_switched

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from panglot.training.checkpoint import Progress
    from panglot.training.data import TrainingData
    from panglot.training.settings import Settings


class Run:
    """The folder of one run.

    It has the settings (``recipe.toml``), digests of data and versions (``run.json``), the log (``log.jsonl``) and
    what is needed to continue (``checkpoints/``). ``modules.json`` and the rest of a sentence-transformers folder come
    last.

    Args:
        settings: The recipe; its ``output`` is the folder.

    Attributes:
        settings: The recipe, as the run in the folder was started (:func:`resumed_settings`).
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = resumed_settings(settings)
        self.folder = settings.output
        self.checkpoints = self.folder / "checkpoints"

    @property
    def compared(self) -> frozenset[str] | None:
        """The test sets that the training sets were compared with when the run started, or None if it starts now."""
        path = self.folder / "run.json"
        return frozenset(_json(path).get("compared", ())) if path.exists() else None

    def finished(self) -> bool:
        """Whether this recipe has already been trained to its end here.

        Raises:
            PanglotError: The folder belongs to another recipe, or to something else.
        """
        self._check()
        return (self.folder / "modules.json").exists()

    def start(self, data: TrainingData, processes: int) -> None:
        """Record settings and data of the run, or check that the data have not changed since it started.

        Raises:
            PanglotError: The training data have changed, or the folder cannot be written.
        """
        path = self.folder / "run.json"
        if path.exists():
            before = _json(path)["data"]
            if changed := sorted(name for name, now in data.digests.items() if before.get(name) != now):
                raise PanglotError(
                    f"{', '.join(changed)} changed since the run started",
                    file=self.folder,
                    hint="restore the data, or choose another output",
                )
            return
        with explain_write(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / "recipe.toml", self.settings.to_toml())
        for name, lines in data.rejected.items():
            write_rejected(lines, self.folder / f"{Path(name).name}.rejected.jsonl")
        write_json(
            path,
            {
                "settings": self.settings.fingerprint_fields(),
                "data": data.digests,
                "compared": data.compared,
                "left_out": data.left_out,
                "rows": {source.name: source.rows for source in data.sources},
                "processes": processes,
                "versions": versions(),
                "machine": machine(),
            },
        )

    def _check(self) -> None:
        path = self.folder / "run.json"
        if not path.exists():
            if self.folder.is_dir() and any(p.name != "recipe.toml" for p in self.folder.iterdir()):
                raise PanglotError(
                    "the folder is not empty and not a run folder", file=self.folder, hint="choose another output"
                )
            if self.folder.exists() and not self.folder.is_dir():
                raise PanglotError("the output is a file", file=self.folder, hint="choose another output")
            return
        before, now = type(self.settings).completed(_json(path)["settings"]), self.settings.fingerprint_fields()
        changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        if changed:
            what = ", ".join(f"{name} was {before.get(name)!r} and is now {now.get(name)!r}" for name in changed)
            raise PanglotError(
                f"the folder has a run of another recipe ({what})",
                file=self.folder,
                hint="choose another output, or remove the folder",
            )


def resumed_settings(settings: Settings) -> Settings:
    """Return the settings with which a run continues.

    Before test sets were excluded by default, nothing was. A run of that time keeps the rows that it had.
    """
    path = settings.output / "run.json"
    if settings.exclude != type(settings).exclude or not path.exists():
        return settings
    before = _json(path)
    # Newer runs have this key even if nothing was left out.
    if "left_out" in before or type(settings).completed(before["settings"])["exclude"]:
        return settings
    return dataclasses.replace(settings, exclude=())


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise PanglotError(f"cannot read: {error}", file=path, hint="choose another output") from error


def save_model(model: SentenceTransformer, settings: Settings, data: TrainingData, progress: Progress) -> None:
    """Write the model into the run folder, with ``modules.json``, which makes it a model, last."""
    from safetensors import SafetensorError

    with explain_write(settings.output):
        part = Path(tempfile.mkdtemp(prefix=".model.", dir=settings.output))
        try:
            model.eval()
            try:
                model.save_pretrained(str(part), create_model_card=False)
            except SafetensorError as error:
                raise PanglotError(
                    f"cannot write: {error}", file=settings.output, hint="free some disk space"
                ) from error
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
    summary = (
        f"A multilingual retrieval model, trained by [panglot](https://github.com/panglot/panglot) from"
        f" `{settings.model}` with {batches}: {progress.pairs:,} pairs in {progress.step:,} steps,"
        f" {progress.seconds:,.0f} seconds."
    )
    lines += [
        f"# {settings.output.name}",
        "",
        summary,
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
        "No test set was used during training."
        + (
            f" On the dev collection `{data.dev.name}` the saved weights (step {progress.best_step}) have a mean mAP"
            f" over settings of {progress.best:.4f}."
            if data.dev is not None and progress.best is not None
            else ""
        )
        + f" Measure the model in three settings with `panglot evaluate {settings.output} DATASET`.",
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
    """Return lines on the test sets that the training sets were compared with, and on what was left out for them."""
    if not data.overlaps:
        return ["The training sets were compared with no test set.", ""]
    tests = sorted({each.test for each in data.overlaps})
    rows = [
        f"| {each.training} | {each.test} | {each.equal:,} | {each.near:,} | {each.groups:,} |"
        for each in data.overlaps
        if each.groups
    ]
    table = [
        "Left out with all translations because a test set has them:",
        "",
        "| set | test set | equal texts | near texts | groups |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]
    nearest = [f"What is left of {each.training} shares most with {each.test} in {words}."
               for each in data.overlaps if (words := describe_nearest(each))]  # fmt: skip
    compared = f"Compared with the test sets {', '.join(tests)}{'' if rows else ', which share no text with them'}."
    return [compared, "", *(table if rows else []), *(line for n in nearest for line in (n, ""))]


def _code_switching(settings: Settings, data: TrainingData) -> list[str]:
    """Return lines on the languages that English words were replaced by, and on how many words were."""
    if data.switching is None:
        return []
    lexicon, switched = data.switching.lexicon, total_switched(settings.output / "log.jsonl")
    names = ", ".join(f"{name} ({KNOWN.get(name, 'licence not stated')})" for name in lexicon.names)
    total = max(switched.words, 1)
    summary = (
        f"Code-switching (2305.05295), {settings.code_switch}, p = {settings.code_switch_share}, into"
        f" {len(lexicon.languages)} languages by the lexicons {names}: {sum(switched.replaced.values()) / total:.1%} of"
        f" {switched.words:,} English words were replaced, and {switched.covered / total:.1%} had a translation."
    )
    if lexicon.missing:
        summary += f" No lexicon has {', '.join(lexicon.missing)}."
    shares = sorted(switched.replaced.items(), key=lambda entry: (-entry[1], entry[0]))
    by_language = ", ".join(f"{language} {count / total:.2%}" for language, count in shares)
    return [summary, "", *([f"By language: {by_language}.", ""] if by_language else [])]
