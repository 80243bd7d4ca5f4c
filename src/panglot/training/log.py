"""The log of a run: JSON lines, TensorBoard events, and a line on the terminal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from panglot._environment import require
from panglot._files import write_text

_SMOOTHING = 0.9
_QUIET_SECONDS = 20.0
_SHOWN = 4


class Log:
    """Writes ``log.jsonl``. Lines beyond ``step`` are dropped first, so that a resumed run has no line twice.

    Args:
        folder: The run folder.
        step: Number of steps that are already done.
        tensorboard: Whether to write TensorBoard events under ``folder/tensorboard`` too.
        show: Whether to show progress on standard error.

    Raises:
        PanglotError: TensorBoard is asked for and not installed.
    """

    def __init__(self, folder: Path, step: int, *, tensorboard: bool, show: bool) -> None:
        self._path = folder / "log.jsonl"
        lines = self._path.read_text("utf-8").splitlines() if self._path.exists() else []
        earlier = [line for line in lines if _step(line) <= step]
        self._resumed = bool(earlier)
        write_text(self._path, "".join(f"{line}\n" for line in earlier))
        self._file = self._path.open("a", encoding="utf-8")
        self._events = _writer(folder / "tensorboard", step) if tensorboard else None
        self._screen = _Screen() if show else None

    def write(self, step: int, values: Mapping[str, Any], progress: float) -> None:
        """Record a step's values; ``progress`` is the used share of the budget."""
        self._file.write(json.dumps({"step": step, **values}, ensure_ascii=False) + "\n")
        self._file.flush()
        if self._events is not None:
            for name, value in _flat(values):
                self._events.add_scalar(name, value, step)
        if self._screen is not None:
            self._screen.show(step, values, progress)

    def note(self, values: Mapping[str, Any]) -> None:
        """Record what is true for the whole run, as step 0. A resumed run already has that line."""
        if not self._resumed:
            self._file.write(json.dumps({"step": 0, **values}, ensure_ascii=False) + "\n")
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        if self._events is not None:
            self._events.close()
        if self._screen is not None:
            self._screen.close()


class _Screen:
    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._losses: dict[str, float] = {}
        self._last = time.monotonic()
        self._bar = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("training"), BarColumn(), TextColumn("{task.fields[text]}"), TimeRemainingColumn(),
                console=console,
            )  # fmt: skip
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


def _flat(values: Mapping[str, Any]) -> list[tuple[str, float]]:
    flat = [(name, float(value)) for name, value in values.items() if isinstance(value, int | float)]
    if "loss" in values:
        flat.append((f"loss/{values['kind']}/{'-'.join(values['languages'][:2])}", values["loss"]))
    for objective in values.get("objectives", ()):
        flat += [(f"objective/{key}/{objective['name']}", objective[key]) for key in ("loss", "weight")]
    flat.extend((f"dev/{name}", value) for name, value in values.get("dev", {}).items() if value is not None)
    return flat


def _writer(folder: Path, step: int) -> Any:
    require("the log for TensorBoard", "tensorboard", extra="tensorboard", field="tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1)
