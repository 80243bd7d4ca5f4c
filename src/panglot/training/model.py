"""The model in training: texts become unit vectors with gradients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._environment import choose_precision
from panglot._errors import PanglotError
from panglot.data.collection import Ints
from panglot.encoders import packed
from panglot.encoders.open_model import count_longer, long_text, prompt_of, tried
from panglot.encoders.protocol import Side
from panglot.training.settings import Settings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor, nn

Tokens = Sequence[int]


class _PromptedTokens(list[int]):
    """Token ids of a text, of which the first ``prompt`` are those of a prompt that is not pooled."""

    def __init__(self, ids: Sequence[int], prompt: int) -> None:
        super().__init__(ids)
        self.prompt = prompt


class TrainableEncoder:
    """A sentence-transformers model in training. Its prompts, pooling and further modules are used as they are."""

    def __init__(self, model: SentenceTransformer, settings: Settings, device: Any) -> None:
        self.model: Any = model.to(device)
        self.device = device
        # sentence-transformers adds an empty `document` prompt, and encode_document prefers it.
        model.prompts["document"] = model.prompts.get("document") or model.prompts.get("passage", "")
        self.autocast = choose_precision(settings.precision, device) == "bf16"
        self.max_length = min(settings.max_length, model.max_seq_length or settings.max_length)
        self._transformer: Any = model[0]
        inner: Any = getattr(self._transformer, "auto_model", None)
        if inner is None:
            problem = "panglot trains models that begin with a transformer, and this one begins with a"
            hint = "choose a transformer"
            raise PanglotError(f"{problem} {type(self._transformer).__name__}", field="model", hint=hint)
        self._pooling = packed.pooling_of(model)
        self._pools_prompt = all(getattr(module, "include_prompt", True) for module in model)
        self._words: Any = inner.get_input_embeddings()
        self.trained = self._freeze(settings)
        self._trimmed: _TrimmedRows | None = None
        model.train(settings.dropout)

    @property
    def dimension(self) -> int:
        """The length of a vector."""
        return int(self.model.get_embedding_dimension() or 0)

    @property
    def is_packed(self) -> bool:
        """Whether texts are encoded end to end, without padding."""
        return bool(self._pooling)

    def tokenize(self, texts: Sequence[str], side: Side) -> list[Tokens]:
        """Return the token ids of texts with their prompt, special tokens included, cut at the longest length."""
        prompt = prompt_of(self.model, side)
        whole = [prompt + text for text in texts]
        if getattr(self._transformer, "do_lower_case", False):
            whole = [text.lower() for text in whole]
        tokens: list[Tokens] = [*self._ids(whole, truncation=True, max_length=self.max_length)]
        if self._pools_prompt or not prompt:
            return tokens
        # As sentence-transformers measures it: the prompt alone, without the token that ends a text.
        alone = self._ids([prompt])[0]
        count = len(alone) - (alone[-1] in self.model.tokenizer.all_special_ids)
        return [_PromptedTokens(ids, count) for ids in tokens]

    def notes(self, settings: Settings) -> list[str]:
        """Return what the model cannot do as the settings ask, one sentence each."""
        if self.max_length >= settings.max_length:
            return []
        problem = f"max_length is {settings.max_length:,}, but the model takes at most {self.max_length:,} tokens"
        return [f"{problem}, so texts are cut there"]

    def count_cut(self, texts: Sequence[str], side: Side) -> int:
        """Return how many texts are cut at :attr:`max_length`, with their prompt."""
        prompt = prompt_of(self.model, side)
        return count_longer(self.model.tokenizer, [prompt + text for text in texts], self.max_length)

    def embed(self, texts: Sequence[Tokens]) -> Tensor:
        """Return unit vectors, shape ``[texts, d]``, float32, with gradients."""
        import torch
        from torch.nn import functional

        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            vectors = packed.embed(self.model, texts, self._pooling) if self._pooling else self._whole(texts)
        return functional.normalize(vectors[:, : self.model.truncate_dim].float(), dim=-1)

    def try_out(self, name: str | Path) -> None:
        """Compute one gradient of a long text, or report that the model ``name`` cannot be trained."""
        import torch

        with tried(name, "one gradient of a long text is computed") as refuse:
            self.embed(self.tokenize([long_text(self.max_length)], "passage"))[:, 0].sum().backward()
            gradients = [p.grad for p in self.trained.values() if p.grad is not None]
            if not gradients:
                raise ValueError("no weight has a gradient")
            refuse(torch.stack([gradient.sum() for gradient in gradients]))
        self.model.zero_grad(set_to_none=True)

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

    def _whole(self, texts: Sequence[Tokens]) -> Tensor:
        """Return the vectors of texts by the model's own code, which sees padding, shape ``[texts, d]``."""
        import torch

        # Pooling that leaves the prompt out takes one length of it per call, and both sides come together.
        counts = [text.prompt if isinstance(text, _PromptedTokens) else 0 for text in texts]
        pieces: list[Tensor] = []
        order: list[int] = []
        for count in sorted(set(counts)):
            rows = [row for row, each in enumerate(counts) if each == count]
            features = self._padded([texts[row] for row in rows])
            pieces.append(self.model({**features, "prompt_length": count} if count else features)["sentence_embedding"])
            order += rows
        return torch.cat(pieces)[torch.as_tensor(np.argsort(order), device=self.device)]

    def _ids(self, texts: list[str], **options: Any) -> list[list[int]]:
        found = self.model.tokenizer(texts, **options, return_attention_mask=False, return_token_type_ids=False)
        return found["input_ids"]

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
                problem = f"must be below the model's {len(layers)} layers, got {settings.frozen_layers}"
                raise PanglotError(problem, field="frozen_layers", hint="leave some layers to be trained")
            for layer in layers[: settings.frozen_layers]:
                layer.requires_grad_(False)
            for parameter in getattr(self._transformer.auto_model, "embeddings", self._words).parameters():
                parameter.requires_grad_(False)
        # A BERT pooler comes after the token states that sentence embeddings are made of, so it never gets a gradient.
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad and ".pooler." not in name}


def _layers(transformer: Any) -> Sequence[nn.Module]:
    inner = transformer.auto_model
    # The names in BERT and XLM-R, in ModernBERT, in DistilBERT, and in further architectures.
    for path in ("encoder.layer", "layers", "transformer.layer", "encoder.layers"):
        found = inner
        for step in path.split("."):
            found = getattr(found, step, None)
        if found is not None:
            return list(found)
    kind = inner.config.model_type
    raise PanglotError(f"panglot cannot find the layers of a {kind} model", field="frozen_layers", hint="set it to 0")


class _TrimmedRows:
    """A small trainable matrix in place of some distinct rows of an embedding, through a forward hook."""

    def __init__(self, words: nn.Embedding, rows: Ints) -> None:
        import torch
        from torch import nn

        self._words = words
        self._rows = torch.from_numpy(rows).to(words.weight.device)
        self._place = torch.full((words.num_embeddings,), -1, device=words.weight.device)
        self._place[self._rows] = torch.arange(len(rows), device=words.weight.device)
        self.weight = nn.Parameter(words.weight.detach()[self._rows].clone())
        # A hook leaves the model's code as it is, and the optimizer gets no moments for millions of unused rows.
        self._hook = words.register_forward_hook(self._look_up)

    def write_back(self) -> None:
        # The model is then saved like any other, with whole embeddings.
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
