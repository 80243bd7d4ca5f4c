"""Opening a model safely: no pickles, no code of its own unless the user says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot._errors import PanglotError
from panglot.encoders.hub import fetch

if TYPE_CHECKING:
    import torch

    from panglot.encoders.protocol import Side

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
            hint="name the folder that a model was saved to",
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
                hint="save the model with safetensors (save_pretrained of a current version does)",
            )
    if not trust_remote_code:
        _refuse_code(folder, modules)


def _refuse_code(folder: Path, modules: object) -> None:
    hint = "read that code, then say trust_remote_code=True (--trust-remote-code)"
    for module in modules if isinstance(modules, list) else []:
        kind = str(module.get("type")) if isinstance(module, dict) else ""
        if kind.startswith("panglot.debiasing."):
            raise PanglotError(
                "a debiased model goes on from panglot.load, `panglot evaluate` and `panglot compare` only",
                file=folder,
                hint=f"use the model in it, {folder / 'model'}, and debias what comes out",
            )
        if not kind.startswith("sentence_transformers."):
            raise PanglotError(f"the model runs its own code, {kind!r}", file=folder / "modules.json", hint=hint)


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise PanglotError(f"cannot be read: {error}", file=path, hint="save or fetch the model again") from error


PROMPTS: dict[Side, tuple[str, ...]] = {"question": ("query",), "passage": ("document", "passage", "corpus")}
"""The names of prompts that ``encode_query`` and ``encode_document`` look for, in their order."""


def open_model(name: str | Path, device: torch.device, *, trust_remote_code: bool = False) -> tuple[Any, Path]:
    """Return the sentence-transformers model that ``name`` names, in evaluation mode, and its folder.

    Args:
        name: ``bundled``, a folder, or ``owner/model`` on the hub.
        device: Where its parameters go.
        trust_remote_code: Whether Python code that comes with the model may run.

    Raises:
        PanglotError: The folder is none, is unsafe or damaged, or the model cannot be fetched.
    """
    if name == "bundled":
        from panglot.encoders.bundled import bundled_folder

        name = bundled_folder()
    folder = fetch(name, trust_remote_code=trust_remote_code)
    refuse_unsafe(folder, trust_remote_code=trust_remote_code)
    return _open(folder, device, trust_remote_code=trust_remote_code), folder


def prompt_of(model: Any, side: Side) -> str:
    """Return what a model puts before the texts of a side."""
    return next((model.prompts[key] for key in PROMPTS[side] if key in model.prompts), "")


def _open(folder: Path, device: torch.device, *, trust_remote_code: bool) -> Any:
    """Load the folder with safetensors only, quietly, or say what is wrong with it."""
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model = SentenceTransformer(
            str(folder),
            device=str(device),
            trust_remote_code=trust_remote_code,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        ImportError,
        AttributeError,
        SafetensorError,
    ) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise PanglotError(
            f"the model cannot be loaded: {lines[0]}", file=folder, hint="save or fetch it again"
        ) from error
    finally:
        if bars:
            logging.enable_progress_bar()
    return model.eval()
