"""Commands, weights and child processes for the tests of runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from panglot.training import loop
from panglot.training.settings import Settings

COMMAND = [sys.executable, "-m", "panglot.cli.main", "train"]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def stop_at(monkeypatch: pytest.MonkeyPatch, settings: Settings, step: int) -> None:
    """Train as :func:`fit` does until a step begins, where an interrupt comes."""
    real, calls = loop._step, 0

    def stopping(state: Any, settings: Settings) -> float:
        nonlocal calls
        calls += 1
        if calls == step:
            raise KeyboardInterrupt
        return real(state, settings)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_step", stopping)
        with pytest.raises(KeyboardInterrupt):
            loop.fit(settings, progress=False)


def arguments(settings: Settings) -> list[str]:
    given = [
        settings.model, "--on", settings.on[0], "--output", str(settings.output), "--batch-size", "8",
        "--steps", str(settings.steps), "--dropout", "--precision", "fp32", "--learning-rate", "1e-3",
        "--checkpoint-every", str(settings.checkpoint_every),
    ]  # fmt: skip
    return [*COMMAND, *given]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2] / "src")}


def in_two_processes(script: Path, *arguments: Path) -> None:
    """Run a script under torchrun, on a port that is free."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    done = subprocess.run(
        [*launch, str(script), *map(str, arguments)],
        env=environment(), capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
