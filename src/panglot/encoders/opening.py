"""Opening a model safely: no pickles, no code of its own unless the user says so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot._errors import PanglotError
from panglot.encoders._safety import refuse_unsafe
from panglot.encoders.hub import fetch

if TYPE_CHECKING:
    import torch

    from panglot.encoders.protocol import Side

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
            f"the model cannot be loaded: {lines[0]}", file=folder, cure="save or fetch it again"
        ) from error
    finally:
        if bars:
            logging.enable_progress_bar()
    return model.eval()
