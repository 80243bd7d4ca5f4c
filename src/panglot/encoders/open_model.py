"""Open an encoder safely, without pickles and foreign code, or a cross-encoder, and choose device and precision."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from panglot._errors import PanglotError, first_line
from panglot._files import digest, known_digest
from panglot.encoders.shipped import SHIPPED, shipped_folder
from panglot.encoders.soundness import check_declared, complete_weights, refuse_unusable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import torch

    from panglot.encoders.protocol import Side

Precision = Literal["auto", "fp32", "bf16", "int8"]

_PROMPTS: dict[Side, tuple[str, ...]] = {"question": ("query",), "passage": ("document", "passage", "corpus")}
"""Names of prompts in the order in which ``encode_query`` and ``encode_document`` look for them."""

_PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})
_FETCHED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "README.md")
_MODEL_FILES = frozenset({".json", ".safetensors", ".txt", ".model", ".py", ".spm", ".vocab"})
_NOT_FETCHED = ("onnx/*", "openvino/*", "*.onnx", "original/*")


def open_model(name: str | Path, device: torch.device, *, trust_remote_code: bool = False) -> tuple[Any, Path]:
    """Return the sentence-transformers model that ``name`` names, in evaluation mode, and its folder.

    ``name`` is a model that comes with panglot, a folder, or ``owner/model`` on the hub. Python code that comes with
    the model runs only with ``trust_remote_code``. Weights are float32, whatever precision they are stored in: half of
    it loses most updates of training, and encoding casts them where that is faster.
    """
    if name in SHIPPED:
        name = shipped_folder(str(name))
    folder = fetch(name, trust_remote_code=trust_remote_code)
    refuse_unsafe(folder, trust_remote_code=trust_remote_code)
    refuse_unusable(folder)
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer

    try:
        with complete_weights(folder):
            model = SentenceTransformer(
                str(folder), device=str(device), trust_remote_code=trust_remote_code, local_files_only=True,
                model_kwargs={"use_safetensors": True, "dtype": torch.float32},
            ).float()  # fmt: skip
    except (
        OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, AttributeError, SafetensorError,
    ) as error:  # fmt: skip
        problem = f"the model cannot be loaded: {first_line(error).rstrip('.')}"
        hint = "correct the folder, or save or fetch the model again"
        raise PanglotError(problem, file=folder, hint=hint) from error
    check_declared(model, folder)
    return model.eval(), folder


class Reranker:
    """A sentence-transformers ``CrossEncoder``, by folder or hub name, that gives one score per pair.

    Attributes:
        name: The name of the hub or of the folder.
    """

    def __init__(self, model: str | Path) -> None:
        from sentence_transformers import CrossEncoder

        self.name = Path(model).name if Path(model).is_dir() else str(model)
        self._folder = fetch(model)
        try:
            self._model: Any = CrossEncoder(str(self._folder))
        except (OSError, ValueError, KeyError) as error:
            problem = f"not a cross-encoder: {first_line(error)}"
            raise PanglotError(problem, field="reranker", hint="name the folder or hub name of one") from error
        # A fast tokenizer raises "Already borrowed" when several threads use it.
        self._predicting = threading.Lock()
        if self._model.num_labels != 1:
            problem = f"a reranker must give one score per pair, this gives {self._model.num_labels}"
            hint = "choose a model that was trained to rank"
            raise PanglotError(problem, file=str(model), field="reranker", hint=hint)

    def scores(
        self, query: str, documents: Sequence[str], *, logits: bool = False
    ) -> npt.NDArray[np.float64]:  # fmt: skip
        """Return how well each document answers the query, higher is better, shape ``[documents]``.

        With ``logits``, they are what the model gives before the activation that its configuration names.
        """
        if not documents:
            return np.zeros(0)
        pairs = [(query, document) for document in documents]
        options: dict[str, Any] = {}
        if logits:
            from torch import nn

            options["activation_fn"] = nn.Identity()
        with self._predicting:
            return np.asarray(self._model.predict(pairs, show_progress_bar=False, **options), np.float64)

    @property
    def fingerprint(self) -> str:
        """One digest of the files that its scores depend on."""
        return folder_digest(self._folder)


def prompt_of(model: Any, side: Side) -> str:
    """Return the prompt that a model puts before the texts of a side."""
    return next((model.prompts[key] for key in _PROMPTS[side] if key in model.prompts), "")


def fetch(path_or_name: str | Path, *, trust_remote_code: bool = False) -> Path:
    """Return the folder, or the local copy of a model of the hub, which is fetched if needed.

    If a download is stopped, the next call continues it. If the hub does not answer, a complete local copy is used.
    Pickled weights are never fetched, and Python code only with ``trust_remote_code``.
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

    patterns = [*_FETCHED, *(("*.py",) if trust_remote_code else ())]
    copy = partial(snapshot_download, name, allow_patterns=patterns, ignore_patterns=[*_NOT_FETCHED])
    try:
        return Path(copy())
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        problem = f"there is no folder {name!r}, and the hub does not provide it: {first_line(error)}"
        raise PanglotError(problem, hint="check the name, or fetch the model first and name its folder") from error
    except Exception as error:  # The hub's client does not wrap the many errors of its transport.
        if not type(error).__module__.startswith(("httpx", "httpcore", "requests", "urllib3")):
            raise
        with contextlib.suppress(OSError, ValueError):
            return Path(copy(local_files_only=True))
        problem = f"there is no folder {name!r}, and the hub does not answer: {error}"
        hint = "check the network and run the same command again, which continues the download"
        raise PanglotError(problem, hint=hint) from error


def refuse_unsafe(folder: Path, *, trust_remote_code: bool) -> None:
    """Refuse a model folder that has no configuration, has pickled weights only or names Python code.

    Code that ``config.json`` names (``auto_map``) is left to transformers, which refuses it by default.
    """
    modules = _read_json(folder / "modules.json")
    if modules is None and not any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
        problem = "this is not a model folder, because it has neither modules.json nor config.json"
        raise PanglotError(problem, file=folder, hint="name the folder that a model was saved to")
    entries = [module for module in modules if isinstance(module, dict)] if isinstance(modules, list) else []
    for part in [folder, *(folder / str(module["path"]) for module in entries if module.get("path"))]:
        files = list(part.iterdir()) if part.is_dir() else []
        pickles = sorted(file for file in files if file.suffix in _PICKLES)
        if pickles and not any(file.suffix == ".safetensors" for file in files):
            problem = "the weights are in a pickle, which could run any code, and are not read"
            hint = "save the model with safetensors (save_pretrained of a current version does)"
            raise PanglotError(problem, file=pickles[0], hint=hint)
    for kind in () if trust_remote_code else (str(module.get("type")) for module in entries):
        # `panglot.remedies` is what the package was called before it became `panglot.debiasing`.
        if kind.startswith(("panglot.debiasing.", "panglot.remedies.")):
            problem = "only panglot.load, `panglot evaluate` and `panglot compare` open a debiased model"
            hint = f"use the model inside, {folder / 'model'}, and debias the result"
            raise PanglotError(problem, file=folder, hint=hint)
        if not kind.startswith("sentence_transformers."):
            hint = "read that code, then pass trust_remote_code=True (--trust-remote-code)"
            raise PanglotError(f"the model runs its own code, {kind!r}", file=folder / "modules.json", hint=hint)


def folder_digest(folder: Path) -> str:
    """Return one digest of the names and contents of the configuration and weights in a model folder.

    Checkpoints, logs and documentation are left out, because they do not change a vector.
    """
    parts = ((path.relative_to(folder).as_posix(), known_digest(path)) for path in model_files(folder))
    return digest(*chain.from_iterable(parts))


def model_files(folder: Path) -> list[Path]:
    """Return the files of a model folder on which its vectors depend."""

    def is_hidden(path: Path) -> bool:
        return any(part.startswith((".", "checkpoint")) for part in path.relative_to(folder).parts)

    paths = sorted(path for path in folder.rglob("*") if path.suffix in _MODEL_FILES and path.is_file())
    return [path for path in paths if not is_hidden(path)]


def choose_device(device: str | None = None) -> torch.device:
    """Return the device asked for, else a GPU if torch sees one, else the CPU."""
    import torch

    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # Each backend of torch has its own.
        problem = f"there is no device {device!r}: {first_line(error)}"
        raise PanglotError(problem, field="device", hint="use cpu") from error
    return chosen


def fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 products are faster than float32 there. Emulated ones are slower."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and cpu_precision() == "bf16"


def cpu_precision() -> Literal["fp32", "bf16"]:
    """Return the faster precision of products on this processor, without a question to torch."""
    import numkong

    # Its name for processors with AVX512_BF16, which those with AMX have too.
    return "bf16" if numkong.get_capabilities().get("genoa") else "fp32"


def may_have_gpu() -> bool:
    """Whether there is a sign of a GPU that torch could use. Only torch knows for certain."""
    drivers = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd", "/dev/xpu")
    return sys.platform != "linux" or any(Path(driver).exists() for driver in drivers)


def choose_precision(precision: Precision, device: torch.device) -> Literal["fp32", "bf16", "int8"]:
    """Return the precision asked for. ``auto`` is ``bf16`` if that is faster there, else ``fp32``."""
    if precision not in (known := get_args(Precision)):
        hint = f"use one of {', '.join(known)}"
        raise PanglotError(f"unknown precision {precision!r}", field="precision", hint=hint)
    if precision == "auto":
        return "bf16" if fast_bf16(device) else "fp32"
    return precision


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise PanglotError(f"cannot be read: {error}", file=path, hint="save or fetch the model again") from error
