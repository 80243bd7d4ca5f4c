"""Try a model before work starts, so that what its folder declares or lacks is said in one clear line."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import warnings
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from panglot._errors import PanglotError, first_line

# Files of which a tokenizer needs one. Its configuration alone makes a tokenizer without words.
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "*.vocab", "*.spm", "vocab.bpe")
# Tokens of the text that is tried. Longer ones would take minutes with models of 8,192 tokens on a CPU.
_TRIED = 512
_PIECE = 1024  # Long texts that are tokenized at a time, to be counted.


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
    modules = folder / "modules.json"
    if not modules.is_file():
        return folder
    try:
        first = json.loads(modules.read_text("utf-8"))[0]
        return folder / str(first["path"]) if str(first["type"]).endswith(".Transformer") else None
    except (OSError, ValueError, LookupError, TypeError):
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
    with contextlib.suppress(OSError, ValueError, AttributeError):
        about = json.loads(((_first_module(folder) or folder) / "config.json").read_text("utf-8"))
        return str(about.get("dtype") or about.get("torch_dtype") or "float32")
    return "float32"


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
