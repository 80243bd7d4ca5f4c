"""What a model folder may not do: be unpickled, or run code that nobody asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from panglot._errors import PanglotError

if TYPE_CHECKING:
    from pathlib import Path

PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})


def refuse_unsafe(folder: Path, *, trust_remote_code: bool) -> None:
    """Let a model folder pass that loads from safetensors and names no module of its own.

    Code that ``config.json`` names (``auto_map``) is left to transformers, which refuses it unless told
    otherwise.

    Raises:
        PanglotError: It holds no configuration; its weights are pickles only; or it names Python code and
            ``trust_remote_code`` is false.
    """
    modules = _read(folder / "modules.json")
    if modules is None and not (folder / "config.json").is_file():
        raise PanglotError(
            "neither modules.json nor config.json is here, so this is no model folder",
            file=folder,
            cure="name the folder that a model was saved to",
        )
    parts = [folder]
    if isinstance(modules, list):
        parts += [folder / str(module["path"]) for module in modules if isinstance(module, dict) and module.get("path")]
    for part in parts:
        files = list(part.iterdir()) if part.is_dir() else []
        pickles = sorted(file for file in files if file.suffix in PICKLES)
        if pickles and not any(file.suffix == ".safetensors" for file in files):
            raise PanglotError(
                "the weights are in a pickle, which could run any code, and are not read",
                file=pickles[0],
                cure="save the model with safetensors (save_pretrained of a current version does)",
            )
    if not trust_remote_code:
        _refuse_code(folder, modules)


def _refuse_code(folder: Path, modules: object) -> None:
    cure = "read that code, then say trust_remote_code=True (--trust-remote-code)"
    for module in modules if isinstance(modules, list) else []:
        kind = str(module.get("type")) if isinstance(module, dict) else ""
        if kind.startswith("panglot.remedies."):
            raise PanglotError(
                "a debiased model goes on from panglot.load, `panglot evaluate` and `panglot compare` only",
                file=folder,
                cure=f"use the model in it, {folder / 'model'}, and debias what comes out",
            )
        if not kind.startswith("sentence_transformers."):
            raise PanglotError(f"the model runs its own code, {kind!r}", file=folder / "modules.json", cure=cure)


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise PanglotError(f"cannot be read: {error}", file=path, cure="save or fetch the model again") from error
