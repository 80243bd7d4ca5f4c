"""``panglot.train``: a recipe in, a model folder out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from panglot.training.settings import Settings


def train(
    model: str | Path | None = None,
    on: str | Path | Sequence[str | Path] | None = None,
    output: str | Path | None = None,
    *,
    recipe: str | Path | None = None,
    show: bool | None = None,
    **settings: Any,
) -> Path:
    """Train a model and return its folder, which ``SentenceTransformer`` and :func:`panglot.load` open.

    ``panglot.train("bundled", on="starter:train", output="runs/hybrid", batches="hybrid")``

    The same call goes on where a run was interrupted or killed, and leaves a finished one alone.

    Args:
        model: The start: ``bundled``, a sentence-transformers folder or a hub name.
        on: Training sets, ``NAME[:PART][@CANDIDATES]`` or paths.
        output: The run folder.
        recipe: A TOML file with settings; the other arguments win over it.
        show: Whether to show progress on standard error.
        **settings: Any other setting of :class:`panglot.Settings`.

    Raises:
        PanglotError: Settings, data, model or run folder are wrong, or the loss is no longer a number.
        panglot.training.loop.Interrupted: By Ctrl-C or a termination signal, after a checkpoint was written.
    """
    from panglot.training.loop import train as run

    given = {"model": model, "output": output, "on": _names(on)}
    changes = {name: _plain(value) for name, value in {**settings, **given}.items() if value is not None}
    chosen = Settings.read(recipe, **changes) if recipe is not None else Settings.from_dict(changes)
    return run(chosen, show=show)


def _names(on: str | Path | Sequence[str | Path] | None) -> list[str] | None:
    if on is None:
        return None
    return [str(on)] if isinstance(on, str | Path) else [str(name) for name in on]


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
