"""Any sentence-transformers model, by its own prompts and pooling, encoded fast."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from panglot._errors import PanglotError
from panglot._files import digest
from panglot.encoders._batches import token_batches
from panglot.encoders._digests import folder_digest
from panglot.encoders._safety import refuse_unsafe
from panglot.encoders.devices import Precision, choose_device, choose_precision
from panglot.encoders.hub import fetch
from panglot.encoders.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    from panglot.encoders.protocol import Side, Vectors

CHUNK = 32_768
"""Texts that are sorted at a time; their tokens are held in memory."""

BATCH_TOKENS = {"cpu": 4_096, "cuda": 65_536}
"""Tokens of a batch: on two CPU cores, speed is flat from 1,024 to 8,192, and falls beyond the caches."""

PROMPTS: dict[Side, tuple[str, ...]] = {"question": ("query",), "passage": ("document", "passage", "corpus")}
"""The names of prompts that ``encode_query`` and ``encode_document`` look for, in their order."""


class SentenceTransformerEncoder:
    """A sentence-transformers folder or a model of the hub.

    Vectors are those of ``encode_query`` and ``encode_document``, at unit length, up to rounding. BERT- and
    RoBERTa-like models with mean or first-token pooling take a path without padding; all others go through
    sentence-transformers' own code, in batches of one length.

    Args:
        path_or_name: The folder, or ``owner/model`` on the hub.
        device: As torch calls it; by default a GPU where there is one.
        precision: Of the products. ``auto`` is ``bf16`` where the processor has it (cosine to ``fp32`` above
            .9999), else ``fp32``. The vectors returned are float32 in any case.
        max_length: Cut texts to so many tokens; by default where the model's configuration does.
        batch_tokens: Tokens of a batch.
        trust_remote_code: Whether Python code that comes with the model may run.
        name: What tables call it; by default the folder's or model's name.

    Raises:
        PanglotError: The folder is none, is unsafe or damaged, or the model cannot be fetched.
    """

    def __init__(
        self,
        path_or_name: str | Path,
        *,
        device: str | None = None,
        precision: Precision = "auto",
        max_length: int | None = None,
        batch_tokens: int | None = None,
        trust_remote_code: bool = False,
        name: str | None = None,
    ) -> None:
        folder = fetch(path_or_name, trust_remote_code=trust_remote_code)
        refuse_unsafe(folder, trust_remote_code=trust_remote_code)
        if max_length is not None and max_length < 1:
            raise PanglotError(f"{max_length} tokens are too few", field="max_length", cure="use 16 or more")
        self.folder = folder
        self.device = choose_device(device)
        self.precision: Literal["fp32", "bf16"] = choose_precision(precision, self.device)
        self.batch_tokens = batch_tokens or BATCH_TOKENS.get(self.device.type, BATCH_TOKENS["cpu"])
        self.model: Any = _open(folder, self.device, trust_remote_code=trust_remote_code)
        if max_length is not None:
            self.model.max_seq_length = min(max_length, self.model.max_seq_length or max_length)
        self.max_length: int | None = self.model.max_seq_length
        self.dimension = int(self.model.get_embedding_dimension())
        self.name = name or (Path(path_or_name).name if Path(path_or_name).is_dir() else str(path_or_name))
        self.fingerprint = digest("sentence-transformers", folder_digest(folder), self.precision, str(self.max_length))
        self._pooling = _packable(self.model)
        if self._pooling and self.precision == "bf16" and self.device.type == "cpu":
            _halve_linear(self.model[0].auto_model)

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:  # noqa: ARG002
        """Return one unit-length row per text, shape ``[texts, dimension]``, float32."""
        import torch

        vectors = np.empty((len(texts), self.dimension), np.float32)
        with torch.inference_mode(), progress(f"{self.name}: {side}s", len(texts)) as advance:
            for begin in range(0, len(texts), CHUNK):
                chunk = list(texts[begin : begin + CHUNK])
                rows = vectors[begin : begin + len(chunk)]
                for batch, found in self._chunk(chunk, side):
                    rows[batch] = torch.nn.functional.normalize(found.float(), dim=-1).cpu().numpy()
                    advance(len(batch))
        return vectors

    def _chunk(self, texts: list[str], side: Side) -> Iterator[tuple[np.ndarray[Any, Any], torch.Tensor]]:
        tokens = self._tokens(texts, side)
        for batch in token_batches([len(text) for text in tokens], self.batch_tokens):
            if self._pooling:
                yield batch, self._packed([tokens[row] for row in batch])
            else:
                yield batch, self._theirs([texts[row] for row in batch], side)

    def _tokens(self, texts: list[str], side: Side) -> list[np.ndarray[Any, Any]]:
        """Return the token ids of each text with its prompt, cut to the maximum length, without padding."""
        prompt = next((self.model.prompts[key] for key in PROMPTS[side] if key in self.model.prompts), "")
        whole = [prompt + text for text in texts] if prompt else texts
        tokenizer: Any = self.model.tokenizer
        fast = getattr(tokenizer, "backend_tokenizer", None)
        if fast is None:
            if not callable(tokenizer):
                return [np.frombuffer(text.encode("utf-8", "replace"), np.uint8) for text in whole]
            found: Any = tokenizer(whole, truncation=self.max_length is not None, max_length=self.max_length)
            return [np.asarray(row, np.int32) for row in found["input_ids"]]
        fast.no_padding()
        if self.max_length is None:
            fast.no_truncation()
        else:
            fast.enable_truncation(self.max_length, direction=tokenizer.truncation_side)
        return [np.asarray(found.ids, np.int32) for found in fast.encode_batch_fast(whole)]

    def _packed(self, tokens: list[np.ndarray[Any, Any]]) -> torch.Tensor:
        import torch

        from panglot.encoders.packed import hidden_states, segment_mean

        with self._autocast():
            hidden = hidden_states(self.model[0].auto_model, tokens)  # type: ignore[arg-type]
        lengths = [len(text) for text in tokens]
        if self._pooling == "mean":
            pooled = segment_mean(hidden, lengths)
        else:
            starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
            pooled = hidden[torch.from_numpy(starts).to(hidden.device)].float()
        features: dict[str, torch.Tensor] = {"sentence_embedding": pooled}
        for module in list(self.model)[2:]:
            features = module(features)
        return features["sentence_embedding"]

    def _theirs(self, texts: list[str], side: Side) -> torch.Tensor:
        call = self.model.encode_query if side == "question" else self.model.encode_document
        with self._autocast():
            return call(texts, batch_size=len(texts), show_progress_bar=False, convert_to_tensor=True)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        import torch

        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


def _open(folder: Path, device: torch.device, *, trust_remote_code: bool) -> Any:  # noqa: ANN401
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


def _packable(model: Any) -> Literal["mean", "cls", ""]:  # noqa: ANN401
    """Return the pooling when our own loop computes what sentence-transformers would, else nothing."""
    from panglot.encoders.packed import can_pack

    modules = list(model)
    kinds = [type(module).__name__ for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or not set(kinds[2:]) <= {"Dense", "Normalize", "LayerNorm"}:
        return ""
    transformer, pooling = modules[:2]
    own = any(
        getattr(transformer, name, None)
        for name in (
            "query_length",
            "document_length",
            "query_expansion",
            "processing_kwargs",
            "do_lower_case",
        )
    )
    inner = getattr(transformer, "auto_model", None)
    if own or inner is None or not can_pack(inner) or getattr(inner.config, "is_decoder", False):
        return ""
    if not getattr(pooling, "include_prompt", True) or getattr(model, "truncate_dim", None):
        return ""
    if getattr(model.tokenizer, "backend_tokenizer", None) is None:
        return ""
    mode = getattr(pooling, "pooling_mode", None)
    return mode if mode in ("mean", "cls") else ""


def _halve_linear(module: torch.nn.Module) -> None:
    """Keep the weights of linear layers in bfloat16, so that autocast need not cast them in every batch.

    LayerNorm, residuals and softmax stay in float32.
    """
    import torch

    for part in module.modules():
        if isinstance(part, torch.nn.Linear):
            part.to(torch.bfloat16)
