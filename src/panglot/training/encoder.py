"""The model in training: texts become token ids, and token ids become unit vectors with gradients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._errors import PanglotError
from panglot.data.collection import Ints
from panglot.encoders import packed
from panglot.encoders.devices import choose_precision
from panglot.encoders.open_model import prompt_of
from panglot.encoders.protocol import Side

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor, nn

    from panglot.training.settings import Settings

Tokens = Sequence[int]


class TrainableEncoder:
    """A sentence-transformers model in training.

    Args:
        model: The model. Its prompts, pooling and further modules are used as they are.
        settings: Which parameters are trained, lengths, precision.
        device: The device that it computes on.
    """

    def __init__(self, model: SentenceTransformer, settings: Settings, device: Any) -> None:
        self.model: Any = model.to(device)
        self.device = device
        # sentence-transformers adds an empty `document` prompt, and encode_document prefers it.
        model.prompts["document"] = model.prompts.get("document") or model.prompts.get("passage", "")
        self.autocast = choose_precision(settings.precision, device) == "bf16"
        self._limit = min(settings.max_length, model.max_seq_length or settings.max_length)
        self._transformer: Any = model[0]
        inner: Any = getattr(self._transformer, "auto_model", None) or model
        self._pooling = packed.pooling_of(model)
        self._words: Any = inner.get_input_embeddings()
        self.trained = self._freeze(settings)
        self._trimmed: _TrimmedRows | None = None
        model.train(settings.dropout)

    @property
    def dimension(self) -> int:
        """The length of a vector."""
        return int(self.model.get_embedding_dimension() or 0)

    def tokenize(self, texts: Sequence[str], side: Side) -> list[Tokens]:
        """Return the token ids of texts with their prompt, special tokens included, cut at the longest length."""
        prompt = prompt_of(self.model, side)
        tokenizer = self.model.tokenizer
        return tokenizer(
            [prompt + text for text in texts],
            truncation=True,
            max_length=self._limit,
            return_attention_mask=False,
            return_token_type_ids=False,
        )["input_ids"]

    def embed(self, texts: Sequence[Tokens]) -> Tensor:
        """Return unit vectors, shape ``[texts, d]``, float32, with gradients."""
        import torch
        from torch.nn import functional

        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            if self._pooling:
                vectors = packed.embed(self.model, texts, self._pooling)
            else:
                vectors = self.model(self._padded(texts))["sentence_embedding"]
        return functional.normalize(vectors.float(), dim=-1)

    def share_embeddings(self, other: TrainableEncoder) -> None:
        """Use the word embeddings of another model if they are frozen, which saves most of the memory of a model."""
        if not other._words.weight.requires_grad:
            self._words.weight = other._words.weight

    def trim(self, used: Iterable[Tokens]) -> None:
        """Train the word embeddings of these tokens, and of no others, as ``embeddings = "trimmed"`` asks."""
        rows = np.unique(np.concatenate([np.asarray(text, dtype=np.int64) for text in used]))
        self._trimmed = _TrimmedRows(self._words, rows)
        self.trained["words"] = self._trimmed.weight

    def state(self) -> dict[str, Tensor]:
        """Return the trained parameters by name, detached."""
        return {name: parameter.detach() for name, parameter in self.trained.items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restore parameters that :meth:`state` returned."""
        import torch

        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(state[name])

    def merged(self) -> SentenceTransformer:
        """Return the model with all trained parameters in their usual places, ready to be saved."""
        if self._trimmed is not None:
            self._trimmed.write_back()
            self._trimmed = None
        return self.model

    def _padded(self, texts: Sequence[Tokens]) -> dict[str, Tensor]:
        import torch

        longest = max(len(text) for text in texts)
        pad = self.model.tokenizer.pad_token_id
        ids = torch.full((len(texts), longest), pad, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = torch.as_tensor(text)
            mask[row, : len(text)] = 1
        return {"input_ids": ids.to(self.device), "attention_mask": mask.to(self.device)}

    def _freeze(self, settings: Settings) -> dict[str, nn.Parameter]:
        if settings.embeddings != "full":
            self._words.weight.requires_grad_(False)
        if settings.frozen_layers:
            layers = _layers(self._transformer)
            if settings.frozen_layers >= len(layers):
                raise PanglotError(
                    f"must be below the model's {len(layers)} layers, got {settings.frozen_layers}",
                    field="frozen_layers",
                    hint="leave some layers to be trained",
                )
            for layer in layers[: settings.frozen_layers]:
                layer.requires_grad_(False)
            for parameter in getattr(self._transformer.auto_model, "embeddings", self._words).parameters():
                parameter.requires_grad_(False)
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad and not _unused(name)}


def _unused(name: str) -> bool:
    # A BERT pooler comes after the token states that sentence embeddings are made of, so it never gets a gradient.
    return ".pooler." in name


def _layers(transformer: Any) -> Sequence[nn.Module]:
    inner = transformer.auto_model
    for path in ("encoder.layer", "layers", "transformer.layer", "encoder.layers"):
        found = inner
        for step in path.split("."):
            found = getattr(found, step, None)
        if found is not None:
            return list(found)
    raise PanglotError(
        f"panglot cannot find the layers of a {inner.config.model_type} model",
        field="frozen_layers",
        hint="set it to 0",
    )


class _TrimmedRows:
    """A small trainable matrix in place of some rows of an embedding, through a forward hook.

    Args:
        words: The embedding.
        rows: The rows that are trained, distinct, shape ``[rows]``.
    """

    def __init__(self, words: nn.Embedding, rows: Ints) -> None:
        import torch
        from torch import nn

        self._words = words
        self._rows = torch.from_numpy(rows).to(words.weight.device)
        self._place = torch.full((words.num_embeddings,), -1, device=words.weight.device)
        self._place[self._rows] = torch.arange(len(rows), device=words.weight.device)
        self.weight = nn.Parameter(words.weight.detach()[self._rows].clone())
        self._hook = words.register_forward_hook(self._look_up)

    def write_back(self) -> None:
        """Write the rows into the embedding and remove the hook."""
        import torch

        self._hook.remove()
        with torch.no_grad():
            self._words.weight[self._rows] = self.weight

    def _look_up(self, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        import torch
        from torch.nn import functional

        place = self._place[inputs[0]]
        found = functional.embedding(place.clamp(min=0), self.weight)
        return torch.where((place >= 0)[..., None], found, output)
