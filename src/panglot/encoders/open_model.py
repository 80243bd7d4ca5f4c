"""Open a model safely: no pickles, and no code of its own unless the user allows it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot._errors import PanglotError, first_line

if TYPE_CHECKING:
    import torch

    from panglot.encoders.protocol import Side

__all__ = ["fetch", "open_model", "prompt_of", "refuse_unsafe"]

_PROMPTS: dict[Side, tuple[str, ...]] = {"question": ("query",), "passage": ("document", "passage", "corpus")}
"""Names of prompts in the order in which ``encode_query`` and ``encode_document`` look for them."""

_PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})
_FETCHED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
_NOT_FETCHED = ("onnx/*", "openvino/*", "*.onnx", "original/*")


def open_model(name: str | Path, device: torch.device, *, trust_remote_code: bool = False) -> tuple[Any, Path]:
    """Return the sentence-transformers model that ``name`` names, in evaluation mode, and its folder.

    Args:
        name: ``bundled``, a folder, or ``owner/model`` on the hub.
        device: Where the parameters are kept.
        trust_remote_code: Whether Python code that comes with the model may run.

    Raises:
        PanglotError: The folder does not exist, is unsafe or damaged, or the model cannot be fetched.
    """
    if name == "bundled":
        from panglot.encoders.bundled import bundled_folder

        name = bundled_folder()
    folder = fetch(name, trust_remote_code=trust_remote_code)
    refuse_unsafe(folder, trust_remote_code=trust_remote_code)
    return _open(folder, device, trust_remote_code=trust_remote_code), folder


def prompt_of(model: Any, side: Side) -> str:
    """Return the prompt that a model puts before the texts of a side."""
    return next((model.prompts[key] for key in _PROMPTS[side] if key in model.prompts), "")


def fetch(path_or_name: str | Path, *, trust_remote_code: bool = False) -> Path:
    """Return the folder, or the local copy of a model of the hub, which is fetched if needed.

    If a download is stopped, the next call continues it. If the hub does not answer, a complete local copy is used.
    Pickled weights are never fetched, and Python code only with ``trust_remote_code``.

    Raises:
        PanglotError: There is no such folder, and the hub has no such model or does not answer.
    """
    path = Path(path_or_name).expanduser()
    if path.is_dir():
        return path
    name = str(path_or_name)
    is_name = name.count("/") <= 1 and not name.startswith((".", "/", "~")) and not isinstance(path_or_name, Path)
    if path.exists() or not is_name:
        problem = "this is a file, not a model folder" if path.exists() else "there is no such folder"
        raise PanglotError(problem, file=path, hint="name a folder, a model of the hub, or bundled")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    patterns: list[str] = [*_FETCHED, *(("*.py",) if trust_remote_code else ())]

    def copy(*, local: bool = False) -> Path:
        return Path(
            snapshot_download(name, allow_patterns=patterns, ignore_patterns=[*_NOT_FETCHED], local_files_only=local)
        )

    try:
        return copy()
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        raise PanglotError(
            f"there is no folder {name!r}, and the hub does not provide it: {first_line(error)}",
            hint="check the name, or fetch the model first and name its folder",
        ) from error
    except Exception as error:  # The hub's client does not wrap the many errors of its transport.
        if not type(error).__module__.startswith(("httpx", "httpcore", "requests", "urllib3")):
            raise
        with contextlib.suppress(OSError, ValueError):
            return copy(local=True)
        raise PanglotError(
            f"there is no folder {name!r}, and the hub does not answer: {error}",
            hint="check the network and run the same command again, which continues the download",
        ) from error


def refuse_unsafe(folder: Path, *, trust_remote_code: bool) -> None:
    """Refuse a model folder that has pickled weights only or that names Python code.

    Code that ``config.json`` names (``auto_map``) is left to transformers, which refuses it by default.

    Raises:
        PanglotError: The folder has no configuration, its weights are pickles, or it names Python code and
            ``trust_remote_code`` is false.
    """
    modules = _read_json(folder / "modules.json")
    if modules is None and not (folder / "config.json").is_file():
        raise PanglotError(
            "this is not a model folder, because it has neither modules.json nor config.json",
            file=folder,
            hint="name the folder that a model was saved to",
        )
    entries = [module for module in modules if isinstance(module, dict)] if isinstance(modules, list) else []
    for part in [folder, *(folder / str(module["path"]) for module in entries if module.get("path"))]:
        files = list(part.iterdir()) if part.is_dir() else []
        pickles = sorted(file for file in files if file.suffix in _PICKLES)
        if pickles and not any(file.suffix == ".safetensors" for file in files):
            raise PanglotError(
                "the weights are in a pickle, which could run any code, and are not read",
                file=pickles[0],
                hint="save the model with safetensors (save_pretrained of a current version does)",
            )
    for kind in () if trust_remote_code else (str(module.get("type")) for module in entries):
        # `panglot.remedies` is what the package was called before it became `panglot.debiasing`.
        if kind.startswith(("panglot.debiasing.", "panglot.remedies.")):
            raise PanglotError(
                "only panglot.load, `panglot evaluate` and `panglot compare` open a debiased model",
                file=folder,
                hint=f"use the model inside, {folder / 'model'}, and debias the result",
            )
        if not kind.startswith("sentence_transformers."):
            raise PanglotError(
                f"the model runs its own code, {kind!r}",
                file=folder / "modules.json",
                hint="read that code, then pass trust_remote_code=True (--trust-remote-code)",
            )


def _open(folder: Path, device: torch.device, *, trust_remote_code: bool) -> Any:
    """Load the folder from safetensors and without progress bars, or explain what is wrong with it."""
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
        OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, AttributeError, SafetensorError,
    ) as error:  # fmt: skip
        raise PanglotError(
            f"the model cannot be loaded: {first_line(error)}", file=folder, hint="save or fetch the model again"
        ) from error
    finally:
        if bars:
            logging.enable_progress_bar()
    return model.eval()


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise PanglotError(f"cannot be read: {error}", file=path, hint="save or fetch the model again") from error
