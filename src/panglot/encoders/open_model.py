"""Open a model safely, without pickles and foreign code, and say in one clear line what it declares and cannot do."""

from __future__ import annotations

import contextlib
import difflib
import json
import logging
import re
import warnings
from collections.abc import Callable, Generator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot._errors import PanglotError, first_line
from panglot._files import digest, known_digest
from panglot.encoders.model_folders import SHIPPED, shipped_folder

if TYPE_CHECKING:
    import torch

    from panglot.encoders.protocol import Side

_PROMPTS: dict[Side, tuple[str, ...]] = {"question": ("query",), "passage": ("document", "passage", "corpus")}
"""Names of prompts in the order in which ``encode_query`` and ``encode_document`` look for them."""

_PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})
# Files of which a tokenizer needs one. Its configuration alone makes a tokenizer without words.
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "*.vocab", "*.spm", "vocab.bpe")
# Tokens of the text that is tried. Longer ones would take minutes with models of 8,192 tokens on a CPU.
_TRIED = 512
_PIECE = 1024  # Long texts that are tokenized at a time, to be counted.
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
        near = difflib.get_close_matches(name, SHIPPED, n=1)
        hint = f"did you mean {near[0]}?" if near else "check the name, or fetch the model first and name its folder"
        raise PanglotError(problem, hint=hint) from error
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


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise PanglotError(f"cannot be read: {error}", file=path, hint="save or fetch the model again") from error


def refuse_unusable(folder: Path) -> None:
    """Refuse a folder that holds an adapter, or a transformer without the files of its tokenizer."""
    first = _first_module(folder)
    for part in dict.fromkeys((folder, first or folder)):
        adapter = part / "adapter_config.json"
        if adapter.is_file():
            with contextlib.suppress(OSError, ValueError):
                about = json.loads(adapter.read_text("utf-8"))
                problem = f"this is a {about.get('peft_type', 'PEFT')} adapter of {about['base_model_name_or_path']},"
                hint = "merge it into that model (merge_and_unload of peft), save the result, and name its folder"
                raise PanglotError(f"{problem} not a whole model", file=adapter, hint=hint)
            raise PanglotError("this is an adapter, not a whole model", file=adapter, hint="merge it into its model")
    config = first / "config.json" if first else folder
    if first and config.is_file() and not any(any(first.glob(name)) for name in _TOKENIZERS):
        hint = "copy the files of the tokenizer from the base model, such as tokenizer.json and tokenizer_config.json"
        raise PanglotError("the files of the tokenizer are missing", file=first, hint=hint)


def _first_module(folder: Path) -> Path | None:
    """Return the folder of the first module if it is a transformer of the library's, else None."""
    modules = _read_json(folder / "modules.json")
    if modules is None:
        return folder
    try:
        return folder / str(modules[0]["path"]) if str(modules[0]["type"]).endswith(".Transformer") else None
    except (LookupError, TypeError):
        return None  # Loading the model reports this.


@contextlib.contextmanager
def complete_weights(folder: Path) -> Generator[None]:
    """Refuse weights that are missing or of another shape. transformers replaces them by random numbers."""
    from transformers.utils import logging as theirs

    reports: list[str] = []

    class Reports(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            reports.append(record.getMessage())

    # Not by transformers' own remove_handler, which fails in some versions.
    logger = logging.getLogger("transformers")
    handler, level, bars = Reports(), theirs.get_verbosity(), theirs.is_progress_bar_enabled()
    theirs.disable_progress_bar()
    theirs.disable_default_handler()
    logger.addHandler(handler)
    theirs.set_verbosity_warning()  # Below this level, transformers does not report weights.
    failed: Exception | None = None
    try:
        yield
    except Exception as error:  # noqa: BLE001  (with a report of weights, the report says more)
        failed = error
    finally:
        theirs.set_verbosity(level)
        logger.removeHandler(handler)
        theirs.enable_default_handler()
        if bars:
            theirs.enable_progress_bar()
    if problem := _describe_weights("\n".join(reports)):
        raise PanglotError(problem, file=folder, hint="save or fetch the model again") from failed
    if failed:
        raise failed


def _describe_weights(report: str) -> str:
    """Return what a report of transformers says about missing weights and wrong shapes, else an empty text."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", report)
    lines = re.findall(r"^(\S+) *\| *(MISSING|MISMATCH) *\|(.*)$", plain, re.MULTILINE)
    # Many models are published without the weights of the pooler, which sentence embeddings do not use.
    lines = [(name, what, rest) for name, what, rest in lines if "pooler" not in name]
    if not lines:
        return ""
    name, what, rest = lines[0]
    sizes = re.findall(r"torch\.Size\((\[[\d, ]*\])\)", rest)
    if what == "MISMATCH" and len(sizes) == 2:
        return f"{name} has the shape {sizes[0]}, but config.json says {sizes[1]}"
    more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
    return f"the weights {name}{more} are missing"


def check_declared(model: Any, folder: Path) -> None:
    """Refuse or correct what a loaded model declares and cannot do, with a warning for each correction."""
    import torch

    for name, parameter in model.named_parameters():
        # The sum is a number only if all are.
        if not bool(torch.isfinite(parameter.detach().sum())):
            raise PanglotError(f"the weights {name} are not all finite", file=folder, hint="save the model again")
    _check_similarity(model, folder)
    inner = getattr(model[0], "auto_model", None)
    if inner is None:
        return
    words = inner.get_input_embeddings() if hasattr(inner, "get_input_embeddings") else None
    vocabulary = model.tokenizer.get_vocab() if hasattr(model.tokenizer, "get_vocab") else {}
    if isinstance(words, torch.nn.Embedding) and vocabulary:
        token, highest = max(vocabulary.items(), key=lambda item: item[1])
        if highest >= words.num_embeddings:
            problem = f"the tokenizer has the token {token!r} with the number {highest:,}, but the model has only"
            hint = (
                "use the tokenizer that the model was trained with, or resize_token_embeddings and train the new ones"
            )
            raise PanglotError(f"{problem} {words.num_embeddings:,} word embeddings", file=folder, hint=hint)
    longest = _positions(inner)
    declared = model.max_seq_length
    if longest is not None and (declared is None or declared > longest):
        if declared is not None:
            problem = f"max_seq_length is {declared:,}, but the model has {longest:,} positions"
            warnings.warn(f"{folder}: {problem}, so texts are cut at {longest:,} tokens", RuntimeWarning, stacklevel=4)
        model.max_seq_length = longest


def _check_similarity(model: Any, folder: Path) -> None:
    declared = str(model.similarity_fn_name or "cosine")
    unit = type(list(model)[-1]).__name__ == "Normalize"
    # Between unit vectors, the dot product is the cosine, and the Euclidean distance gives the same order.
    if declared == "cosine" or (unit and declared in ("dot", "euclidean")):
        return
    if declared == "dot":
        problem = "the model declares dot products. panglot compares by cosine, and trains and saves it so"
        warnings.warn(f"{folder}: {problem}", RuntimeWarning, stacklevel=5)
        return
    hint = "use a model for cosine, or set similarity_fn_name to cosine if its vectors are meant to be compared so"
    problem = f"the model declares {declared} similarity, but panglot compares by cosine"
    file = folder / "config_sentence_transformers.json"
    raise PanglotError(problem, file=file, field="similarity_fn_name", hint=hint)


def stored_dtype(folder: Path) -> str:
    """Return the type in which a model's configuration says that its weights are stored, such as ``bfloat16``."""
    about = _read_json((_first_module(folder) or folder) / "config.json")
    return str(about.get("dtype") or about.get("torch_dtype") or "float32") if isinstance(about, dict) else "float32"


def _positions(transformer: Any) -> int | None:
    """Return how many tokens a transformer has learned positions for, or None if they are computed.

    RoBERTa and its kin number positions from the one after the padding id, so that fewer can be used.
    """
    embeddings = getattr(transformer, "embeddings", transformer)
    for name in ("position_embeddings", "embed_positions", "wpe"):
        table = getattr(embeddings, name, None)
        rows = getattr(table, "num_embeddings", None)
        if rows is not None:
            padding = getattr(table, "padding_idx", None)
            return int(rows) - (0 if padding is None else int(padding) + 1)
    return None


def count_longer(tokenizer: Any, texts: Sequence[str], longest: int | None) -> int:
    """Return how many texts, prompts included, have more than ``longest`` tokens."""
    if longest is None or not callable(tokenizer):
        return 0
    # A token is at least a byte of a text, but for a few that begin and end it. Most texts need no tokenizer.
    candidates = [text for text in texts if len(text.encode("utf-8", "replace")) > longest - 8]
    cut = 0
    for begin in range(0, len(candidates), _PIECE):
        part = candidates[begin : begin + _PIECE]
        found: Any = tokenizer(part, return_attention_mask=False, return_token_type_ids=False, verbose=False)
        cut += sum(len(ids) > longest for ids in found["input_ids"])
    return cut


def long_text(longest: int | None) -> str:
    """Return a text that fills a model of ``longest`` tokens, or :data:`_TRIED` if that is less."""
    return "a b c " * min(longest or _TRIED, _TRIED)


@contextlib.contextmanager
def tried(folder: Path | str, what: str) -> Generator[Callable[[Any], None]]:
    """Turn what torch raises when a model is tried into a :class:`PanglotError`.

    Yields a function that refuses numbers that are not finite.
    """
    import torch

    def refuse(numbers: Any) -> None:
        if not bool(torch.isfinite(torch.as_tensor(numbers)).all()):
            raise ValueError("the result is not finite")

    try:
        yield refuse
    except PanglotError:
        raise
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError, NotImplementedError) as error:
        problem = f"the model fails when it is tried ({what}): {type(error).__name__}: {first_line(error)}"
        hint = "check that its files belong together, or fetch it again"
        raise PanglotError(problem, file=folder, hint=hint) from error
