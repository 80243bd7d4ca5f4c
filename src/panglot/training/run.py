"""The run folder: recipe, data and versions of a run, its checkpoints, and the model in the end."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot._environment import commit, machine, versions
from panglot._errors import PanglotError
from panglot._files import (
    atomic_folder,
    check_writable,
    explain_write,
    file_digest,
    known_digest,
    shareable,
    write_json,
    write_text,
)
from panglot.data.files import write_rejected
from panglot.encoders.model_folders import SHIPPED, save_portable
from panglot.encoders.open_model import folder_digest
from panglot.training.model import MemoryPlan
from panglot.training.settings import Precision, Settings, shareable_fields

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

    from panglot.training.data import TrainingData

# Raise it when the same settings and data give another training. 2: rows of large conflict groups are carried over.
# 3: words of hard negatives are trained where embeddings are trimmed.
_PLAN = 3
# Two, so that a checkpoint that a crash damaged has another before it.
_KEPT = 2


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    step: int = 0  # steps done
    pairs: int = 0  # pairs seen in them
    seconds: float = 0.0  # time spent in them, over all restarts
    best: float | None = None  # the best dev score so far
    best_step: int = 0
    waited: int = 0  # dev measurements since the best one


@dataclass(frozen=True)
class Checkpoint:
    """A run's state between two steps.

    ``weights`` are the trained parameters by name. ``moments`` are the optimizer's tensors by ``parameter/moment``, and
    the memory of the way of mixing.
    """

    progress: Progress
    weights: Mapping[str, Tensor]
    moments: Mapping[str, Tensor] = field(default_factory=dict)


class Run:
    """The folder of one run.

    It has the settings (``recipe.toml``), digests of data and versions (``run.json``), the log (``log.jsonl``) and
    what is needed to continue (``checkpoints/``). ``modules.json`` and the rest of a sentence-transformers folder come
    last.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = settings.output
        self.checkpoints = self.folder / "checkpoints"
        self._file = self.folder / "run.json"
        self._head: dict[str, Any] | None = None  # the content of the file, or None if the run starts now
        if self._file.exists():
            try:
                self._head = json.loads(self._file.read_text("utf-8"))
            except (OSError, ValueError) as error:
                raise PanglotError(f"cannot read: {error}", file=self._file, hint="choose another output") from error

    @property
    def compared(self) -> frozenset[str] | None:
        """The test sets that the training sets were compared with when the run started, or None if it starts now."""
        return None if self._head is None else frozenset(self._head.get("compared", ()))

    @property
    def memory(self) -> MemoryPlan | None:
        """What has decided since the run started which batches keep their activations, or None if it starts now."""
        return None if self._head is None else MemoryPlan.recorded(self._head)

    @property
    def precision(self) -> Precision:
        """The precision that the run started in, so that another machine does not change it, or that of the settings.

        Early versions did not record it.
        """
        return (self._head or {}).get("precision") or self.settings.precision

    def finished(self) -> bool:
        """Whether this recipe has already been trained to its end here. The folder of another recipe is refused."""
        if self._head is None:
            problem = ""
            if self.folder.exists() and not self.folder.is_dir():
                problem = "the output is a file"
            elif self.folder.exists() and any(path.name != "recipe.toml" for path in self.folder.iterdir()):
                problem = "the folder is not empty and not a run folder"
            if problem:
                raise PanglotError(problem, file=self.folder, hint="choose another output")
            check_writable(self.folder)
        else:
            before = shareable_fields(type(self.settings).completed(self._head["settings"]))
            now = shareable_fields(self.settings.fingerprint_fields())
            if changed := sorted(name for name in {*before, *now} if before.get(name) != now.get(name)):
                what = ", ".join(f"{name} was {before.get(name)!r} and is now {now.get(name)!r}" for name in changed)
                problem = f"the folder has a run of another recipe ({what})"
                hint = "choose another output, or remove the folder"
                raise PanglotError(problem, file=self.folder, hint=hint)
            model = Path(self.settings.model).expanduser()
            local = self.settings.model not in SHIPPED and model.is_dir()
            self._refuse(self._changed_start(model if local else None))
        return (self.folder / "modules.json").exists()

    def start(
        self, data: TrainingData, processes: int, memory: MemoryPlan, carried_over: Sequence[str] = (),
        precision: str = "", base: Path | None = None,
    ) -> None:  # fmt: skip
        """Record settings and data of the run, or check that the data have not changed since it started.

        ``precision`` is what the setting of this name means on this machine. ``carried_over`` are the sources whose
        batches an older version of panglot dealt otherwise. ``base`` is the folder of the model that the run starts
        from.
        """
        if self._head is not None:
            before, plan, otherwise = self._head["data"], self._head.get("plan", 1), ""
            if carried_over and plan < 2:
                otherwise = f"dealt the batches of {', '.join(carried_over)} otherwise"
            elif data.hard_negatives and self.settings.embeddings == "trimmed" and plan < 3:
                otherwise = "did not train the words of hard negatives"
            if otherwise:
                hint = "continue it with that version, or choose another output"
                problem = f"an older version started this run, and {otherwise}"
                raise PanglotError(problem, file=self.folder, hint=hint)
            changed = sorted(name for name, now in data.digests.items() if before.get(name) != now)
            self._refuse([*changed, *self._changed_start(base)])
            return
        with explain_write(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / "recipe.toml", self.settings.to_toml())
        for name, lines in data.rejected.items():
            named = (dataclasses.replace(line, file=shareable(line.file)) for line in lines)
            write_rejected(named, self.folder / f"{Path(name).name}.rejected.jsonl")
        head = {
            "settings": shareable_fields(self.settings.fingerprint_fields()), "data": data.digests,
            "start": self._start_digests(base),
            "compared": [*map(shareable, data.compared)], "left_out": data.left_out,
            "rows": {source.name: source.rows for source in data.sources},
            "plan": _PLAN, "memory": memory.to_dict(), "processes": processes,
            "versions": versions(), "commit": commit(), "machine": machine(), "precision": precision,
        }  # fmt: skip
        # Written last: a folder without it has not started.
        write_json(self._file, head)

    def _start_digests(self, base: Path | None) -> dict[str, str]:
        """Return digests of the model that the run starts from and of a suite's file.

        The recorded settings have only the last part of their paths, which others may have too.
        """
        found = {"model": folder_digest(base)} if base else {}
        if self.settings.suite and (file := Path(self.settings.suite)).is_file():
            found["suite"] = known_digest(file)
        return found

    def _changed_start(self, base: Path | None) -> list[str]:
        # Early versions recorded no digests.
        before = (self._head or {}).get("start", {})
        return [f"the {name}" for name, now in self._start_digests(base).items() if before.get(name, now) != now]

    def _refuse(self, changed: Sequence[str]) -> None:
        if changed:
            problem = f"{', '.join(changed)} changed since the run started"
            raise PanglotError(problem, file=self.folder, hint="restore what changed, or choose another output")

    def checkpoint(self, step: int) -> Path:
        """Return the folder of the checkpoint of a step."""
        return self.checkpoints / f"step-{step:08d}"

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, atomically. Remove all but the newest ones and that of the best step."""
        from safetensors.torch import save_file

        folder = self.checkpoint(checkpoint.progress.step)
        with atomic_folder(folder) as part:
            digests: dict[str, str] = {}
            for name, tensors in (("weights", checkpoint.weights), ("moments", checkpoint.moments)):
                path = part / f"{name}.safetensors"
                save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path)
                digests[name] = file_digest(path)
            head = {"progress": asdict(checkpoint.progress), "sha256": digests}
            (part / "checkpoint.json").write_text(json.dumps(head, indent=2), "utf-8")
        best = self.checkpoint(checkpoint.progress.best_step)
        for path in sorted(self.checkpoints.glob("step-*"))[:-_KEPT]:
            if path != best:
                shutil.rmtree(path, ignore_errors=True)

    def newest(self) -> Checkpoint | None:
        """Return the newest intact checkpoint, or None if there are no checkpoints.

        A damaged one is skipped with a warning, and the one before it is taken. It is an error if all are damaged.
        """
        found = sorted(self.checkpoints.glob("step-*"), reverse=True)
        for path in found:
            try:
                return load_checkpoint(path)
            except PanglotError as error:
                warnings.warn(f"{error}. Trying the one before", stacklevel=2)
        if found:
            hint = f"remove {self.checkpoints} to start this run anew"
            raise PanglotError("every checkpoint is damaged", file=self.checkpoints, hint=hint)
        return None

    def save_model(self, model: SentenceTransformer, card: str) -> None:
        """Write the finished model and its card into the folder, with ``modules.json``, which makes it a model, last.

        From then on, the recipe names no folder of this machine.
        """
        with explain_write(self.folder):
            part = Path(tempfile.mkdtemp(prefix=".model.", dir=self.folder))
            try:
                model.eval()
                save_portable(model, part)
                (part / "README.md").write_text(card, "utf-8")
                (part / "recipe.toml").write_text(self.settings.to_toml(share=True), "utf-8")
                for path in sorted(part.iterdir(), key=lambda path: (path.name == "modules.json", path.name)):
                    target = self.folder / path.name
                    if target.is_dir():
                        shutil.rmtree(target)
                    path.replace(target)
            finally:
                shutil.rmtree(part, ignore_errors=True)


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint, or report that it is damaged."""
    from safetensors.torch import load_file

    hint = "remove the folder"
    try:
        head = json.loads((folder / "checkpoint.json").read_text("utf-8"))
        for name, digest in head["sha256"].items():
            if file_digest(path := folder / f"{name}.safetensors") != digest:
                raise PanglotError("the checkpoint is damaged", file=path, hint=hint)
        tensors = [load_file(folder / f"{name}.safetensors") for name in ("weights", "moments")]
        return Checkpoint(Progress(**head["progress"]), *tensors)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PanglotError(f"the checkpoint is damaged: {error}", file=folder, hint=hint) from error
