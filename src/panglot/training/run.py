"""The run folder: recipe, data and versions of a run, its checkpoints, and its log."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from panglot._environment import machine, require, versions
from panglot._errors import PanglotError
from panglot._files import atomic_folder, explain_write, file_digest, shareable, write_json, write_text
from panglot.data.files import write_rejected
from panglot.training.memory import MemoryPlan
from panglot.training.settings import Settings, shareable_fields

if TYPE_CHECKING:
    from torch import Tensor

    from panglot.training.data import TrainingData

# Raise it when the same settings and data give other batches. 2: rows of large conflict groups are carried over.
_PLAN = 2
# Two, so that a checkpoint that a crash damaged has another before it.
_KEPT = 2
# How much of the earlier loss the shown one keeps per step. Losses of single batches jump too much to be read.
_SMOOTHING = 0.9
# Without a terminal, a line is written after this many seconds.
_QUIET_SECONDS = 20.0
# Steps after which objectives are compared, and the share of the largest gradient below which one hardly counts.
_STEPS, _SMALL = 20, 0.1
# More objectives than this are shown as one loss.
_SHOWN = 4


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
    last. :attr:`settings` are those with which the run in the folder was started.
    """

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.output
        self.checkpoints = self.folder / "checkpoints"
        self._file = self.folder / "run.json"
        self.settings = self._resumed(settings)

    @property
    def compared(self) -> frozenset[str] | None:
        """The test sets that the training sets were compared with when the run started, or None if it starts now."""
        return frozenset(self._head().get("compared", ())) if self._file.exists() else None

    @property
    def memory(self) -> MemoryPlan | None:
        """What has decided since the run started which batches keep their activations, or None if it starts now."""
        return MemoryPlan.recorded(self._head()) if self._file.exists() else None

    def finished(self) -> bool:
        """Whether this recipe has already been trained to its end here. The folder of another recipe is refused."""
        if not self._file.exists():
            problem = ""
            if self.folder.exists() and not self.folder.is_dir():
                problem = "the output is a file"
            elif self.folder.exists() and any(path.name != "recipe.toml" for path in self.folder.iterdir()):
                problem = "the folder is not empty and not a run folder"
            if problem:
                raise PanglotError(problem, file=self.folder, hint="choose another output")
        else:
            before = shareable_fields(type(self.settings).completed(self._head()["settings"]))
            now = shareable_fields(self.settings.fingerprint_fields())
            if changed := sorted(name for name in {*before, *now} if before.get(name) != now.get(name)):
                what = ", ".join(f"{name} was {before.get(name)!r} and is now {now.get(name)!r}" for name in changed)
                problem = f"the folder has a run of another recipe ({what})"
                hint = "choose another output, or remove the folder"
                raise PanglotError(problem, file=self.folder, hint=hint)
        return (self.folder / "modules.json").exists()

    def start(
        self, data: TrainingData, processes: int, memory: MemoryPlan, carried_over: Sequence[str] = (),
        precision: str = "",
    ) -> None:  # fmt: skip
        """Record settings and data of the run, or check that the data have not changed since it started.

        ``precision`` is what the setting of this name means on this machine. ``carried_over`` are the sources whose
        batches an older version of panglot dealt otherwise.
        """
        if self._file.exists():
            before = self._head()["data"]
            if carried_over and self._head().get("plan", 1) < _PLAN:
                problem = (
                    f"an older version started this run, and dealt the batches of {', '.join(carried_over)} otherwise"
                )
                hint = "continue it with that version, or choose another output"
                raise PanglotError(problem, file=self.folder, hint=hint)
            if changed := sorted(name for name, now in data.digests.items() if before.get(name) != now):
                hint = "restore the data, or choose another output"
                raise PanglotError(f"{', '.join(changed)} changed since the run started", file=self.folder, hint=hint)
            return
        with explain_write(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / "recipe.toml", self.settings.to_toml())
        for name, lines in data.rejected.items():
            named = (dataclasses.replace(line, file=shareable(line.file)) for line in lines)
            write_rejected(named, self.folder / f"{Path(name).name}.rejected.jsonl")
        head = {
            "settings": shareable_fields(self.settings.fingerprint_fields()), "data": data.digests,
            "compared": [*map(shareable, data.compared)], "left_out": data.left_out,
            "rows": {source.name: source.rows for source in data.sources},
            "plan": _PLAN, "memory": memory.to_dict(), "processes": processes,
            "versions": versions(), "machine": machine(), "precision": precision,
        }  # fmt: skip
        # Written last: a folder without it has not started.
        write_json(self._file, head)

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

    def _resumed(self, settings: Settings) -> Settings:
        # Before test sets were excluded by default, nothing was. A run of that time keeps the rows that it had.
        if settings.exclude != type(settings).exclude or not self._file.exists():
            return settings
        before = self._head()
        # Newer runs have this key even if nothing was left out.
        if "left_out" in before or type(settings).completed(before["settings"])["exclude"]:
            return settings
        return dataclasses.replace(settings, exclude=())

    def _head(self) -> dict[str, Any]:
        try:
            return json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise PanglotError(f"cannot read: {error}", file=self._file, hint="choose another output") from error


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


class Log:
    """Writes ``log.jsonl``, TensorBoard events if asked for, and progress on standard error if ``show`` is set.

    Lines beyond ``step`` are dropped first, so that a resumed run has no line twice.
    """

    def __init__(self, folder: Path, step: int, *, tensorboard: bool, show: bool) -> None:
        path = folder / "log.jsonl"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        earlier = [line for line in lines if _step(line) <= step]
        self._resumed = bool(earlier)
        write_text(path, "".join(f"{line}\n" for line in earlier))
        self._file = path.open("a", encoding="utf-8")
        self._events: Any = None
        if tensorboard:
            require("the log for TensorBoard", "tensorboard", extra="tensorboard", field="tensorboard")
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        self._screen = _Screen() if show else None
        self._noted: set[str] = set()
        self._added: dict[str, list[float]] = {}
        self._compared = False

    def write(self, step: int, values: Mapping[str, Any], progress: float) -> None:
        """Record a step's values; ``progress`` is the used share of the budget."""
        small = self._small_objectives(values)
        self._write({"step": step, **values, **({"small_objectives": small} if small else {})})
        if self._events is not None:
            for name, value in _scalars(values):
                self._events.add_scalar(name, value, step)
        if self._screen is not None:
            self._screen.show(step, values, progress)
            for name, what in (("fallback", f"{values.get('kind')} in step"), ("gradcache", "GradCache in step")):
                if name in values and name not in self._noted:
                    sys.stderr.write(f"note: {what} {step}: {values[name]}. See log.jsonl\n")
                    self._noted.add(name)
            for name, share in small.items():
                hint = f"With mixing weighted, {1 / share:.2g} times its weight would make them equal"
                sys.stderr.write(f"note: {name} adds {share:.1%} of what the largest gradient adds. {hint}\n")

    def note(self, values: Mapping[str, Any]) -> None:
        """Record what is true for the whole run, as step 0. A resumed run already has that line."""
        if not self._resumed:
            self._write({"step": 0, **values})

    def _small_objectives(self, values: Mapping[str, Any]) -> dict[str, float]:
        """Return once, after some steps, the objectives that hardly count, with their share of the largest gradient."""
        if self._compared or values.get("kind") not in ("mean", "sum", "weighted"):
            return {}
        for objective in values.get("objectives", ()):
            if "norm" in objective:
                self._added.setdefault(objective["name"], []).append(objective["norm"] * objective["weight"])
        if min(map(len, self._added.values()), default=0) < _STEPS:
            return {}
        self._compared = True
        means = {name: sum(each) / len(each) for name, each in self._added.items()}
        largest = max(means.values())
        return {name: mean / largest for name, mean in means.items() if 0 < mean < _SMALL * largest}

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for each in (self._file, self._events, self._screen):
            if each is not None:
                each.close()


class _Screen:
    """Progress on standard error: a bar on a terminal, else a line from time to time."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._losses: dict[str, float] = {}
        self._last = time.monotonic()
        self._bar = None
        if console.is_terminal:
            columns = TextColumn("training"), BarColumn(), TextColumn("{task.fields[text]}"), TimeRemainingColumn()
            self._bar = Progress(*columns, console=console)
            self._bar.start()
            self._task = self._bar.add_task("", total=1.0, text="")

    def show(self, step: int, values: Mapping[str, Any], progress: float) -> None:
        if "loss" in values:
            pair = "-".join(values["languages"]) if len(values["languages"]) <= 2 else "many"
            for name, loss in _losses(values):
                self._losses[name] = _SMOOTHING * self._losses.get(name, loss) + (1 - _SMOOTHING) * loss
            kinds = "  ".join(f"{kind} {loss:.3f}" for kind, loss in self._losses.items())
            text = f"step {step}  loss {kinds}  ({pair})  {values['pairs_per_second']:.1f} pairs/s"
            if "conflicts" in values:
                text += f"  cosine {values['cosine']:.2f}, {values['conflicts']:.0%} conflict"
        else:
            text = f"step {step}  dev " + "  ".join(f"{k} {v:.4f}" for k, v in values["dev"].items() if v is not None)
        if self._bar is not None:
            self._bar.update(self._task, completed=progress, text=text)
        elif time.monotonic() - self._last >= _QUIET_SECONDS or "dev" in values or progress >= 1:
            self._last = time.monotonic()
            sys.stderr.write(f"{progress:4.0%}  {text}\n")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):  # A killed process can leave half a line.
        return float("inf")


def _losses(values: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the losses to show: one per objective if there are few, otherwise that of the step."""
    objectives = values.get("objectives", ())
    if 0 < len(objectives) <= _SHOWN:
        return [(objective["name"], objective["loss"]) for objective in objectives]
    return [(values["kind"], values["loss"])]


def _scalars(values: Mapping[str, Any]) -> list[tuple[str, float]]:
    found = [(name, float(value)) for name, value in values.items() if isinstance(value, int | float)]
    if "loss" in values:
        found.append((f"loss/{values['kind']}/{'-'.join(values['languages'][:2])}", values["loss"]))
    for objective in values.get("objectives", ()):
        found += [(f"objective/{key}/{objective['name']}", objective[key]) for key in ("loss", "weight")]
    return found + [(f"dev/{name}", value) for name, value in values.get("dev", {}).items() if value is not None]
