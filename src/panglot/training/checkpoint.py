"""Checkpoints: written atomically, and read only if their digests match."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from panglot._errors import PanglotError
from panglot._files import atomic_folder, file_digest

if TYPE_CHECKING:
    from torch import Tensor

# Two, so that a checkpoint that a crash damaged has another before it.
_KEPT = 2


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        step: Steps done.
        pairs: Pairs seen in them.
        seconds: Time spent in them, over all restarts.
        best: Best dev score so far, or None.
        best_step: The step of the best score.
        waited: Dev measurements since then.
    """

    step: int = 0
    pairs: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int = 0
    waited: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """A run's state between two steps.

    Attributes:
        progress: How far it is.
        weights: The trained parameters by name.
        moments: The optimizer's tensors by ``parameter/moment``, and the memory of the way of mixing.
    """

    progress: Progress
    weights: Mapping[str, Tensor]
    moments: Mapping[str, Tensor] = field(default_factory=dict)


def save(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a checkpoint as ``folder``, atomically."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with atomic_folder(folder) as part:
        for name, tensors in (("weights", checkpoint.weights), ("moments", checkpoint.moments)):
            try:
                save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, part / f"{name}.safetensors")
            except SafetensorError as error:
                raise PanglotError(f"cannot write: {error}", file=folder, hint="free some disk space") from error
        digests = {name: file_digest(part / f"{name}.safetensors") for name in ("weights", "moments")}
        head = {"progress": asdict(checkpoint.progress), "sha256": digests}
        (part / "checkpoint.json").write_text(json.dumps(head, indent=2), "utf-8")


def load(folder: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        PanglotError: It is damaged.
    """
    from safetensors.torch import load_file

    try:
        head = json.loads((folder / "checkpoint.json").read_text("utf-8"))
        for name, digest in head["sha256"].items():
            if file_digest(folder / f"{name}.safetensors") != digest:
                raise PanglotError(
                    "the checkpoint is damaged", file=folder / f"{name}.safetensors", hint="remove the folder"
                )
        tensors = [load_file(folder / f"{name}.safetensors") for name in ("weights", "moments")]
        return Checkpoint(Progress(**head["progress"]), *tensors)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PanglotError(f"the checkpoint is damaged: {error}", file=folder, hint="remove the folder") from error


def place(folder: Path, step: int) -> Path:
    """Return the folder of the checkpoint of a step."""
    return folder / f"step-{step:08d}"


def newest(folder: Path) -> Checkpoint | None:
    """Return the newest intact checkpoint under ``folder``, or None if there are no checkpoints.

    A damaged one is skipped with a warning, and the one before it is taken.

    Raises:
        PanglotError: All checkpoints are damaged.
    """
    found = sorted(folder.glob("step-*"), reverse=True)
    for path in found:
        try:
            return load(path)
        except PanglotError as error:
            warnings.warn(f"{error}. Trying the one before", stacklevel=2)
    if found:
        raise PanglotError("every checkpoint is damaged", file=folder, hint=f"remove {folder} to start this run anew")
    return None


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest checkpoints and that of step ``keep``."""
    for path in sorted(folder.glob("step-*"))[:-_KEPT]:
        if path != place(folder, keep):
            shutil.rmtree(path, ignore_errors=True)
