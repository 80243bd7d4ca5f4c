"""The model in training: texts become unit vectors with gradients, and steps take memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._environment import available_memory, choose_precision
from panglot._errors import PanglotError
from panglot.data.collection import Ints
from panglot.encoders import packed
from panglot.encoders.open_model import count_longer, long_text, prompt_of, tried
from panglot.encoders.protocol import Side
from panglot.training.aggregation import held_bytes
from panglot.training.settings import Settings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor, nn

Tokens = Sequence[int]

_MIB = 2**20
#: The default budget is this share of the memory that is available when the run starts.
_SHARE = 0.5
# The longest text whose activations are counted, in tokens. Those of longer ones follow from the numbers found.
_PROBED = 256
# What the allocator and temporary results add to the activations, measured by benchmarks/training_memory.py.
_SLACK = 1.15


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
        self.dimension = int(model.get_embedding_dimension() or 0)
        self._transformer: Any = model[0]
        inner: Any = getattr(self._transformer, "auto_model", None)
        if inner is None:
            problem = "panglot trains models that begin with a transformer, and this one begins with a"
            hint = "choose a transformer"
            raise PanglotError(f"{problem} {type(self._transformer).__name__}", field="model", hint=hint)
        #: As :func:`panglot.encoders.packed.pooling_of` returns it. If empty, texts are encoded with padding.
        self.pooling = packed.pooling_of(model)
        self._pools_prompt = all(getattr(module, "include_prompt", True) for module in model)
        self._words: Any = inner.get_input_embeddings()
        self.trained = self._freeze(settings)
        self._trimmed: _TrimmedRows | None = None
        model.train(settings.dropout)

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
            vectors = packed.embed(self.model, texts, self.pooling) if self.pooling else self._whole(texts)
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

        padded, filling = torch.nn.utils.rnn.pad_sequence, self.model.tokenizer.pad_token_id
        ids = padded([torch.as_tensor(text) for text in texts], batch_first=True, padding_value=filling)
        mask = padded([torch.ones(len(text), dtype=torch.long) for text in texts], batch_first=True)
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


@dataclass(frozen=True)
class MemoryPlan:
    """The memory that a process may use for a step, and what a batch needs if all activations are kept.

    A run records it when it starts, so that each batch is computed in the same way after a restart. ``budget`` is in
    MiB. A step takes ``fixed`` bytes for gradients and the optimizer's moments. Each chunk adds ``per_chunk`` bytes,
    and each of its texts of n tokens adds ``per_token`` · n + ``per_attended`` · n + ``per_square`` · n². With
    ``padded``, n is the length of the chunk's longest text. Without, only attention pads (the last two), and the chunk
    is filled up (the first), as :mod:`panglot.encoders.packed` says.

    ``cache_tokens`` is the limit of a run that an earlier version started, in tokens of all processes.
    """

    budget: float
    fixed: float = 0.0
    per_chunk: float = 0.0
    per_token: float = 0.0
    per_attended: float = 0.0
    per_square: float = 0.0
    padded: bool = False
    cache_tokens: int | None = None

    @classmethod
    def measured(cls, settings: Settings, encoder: TrainableEncoder, objectives: int) -> MemoryPlan:
        """Return the plan of a new run. ``objectives`` is the number of batches per step."""
        budget = settings.memory_budget or _SHARE * available_memory(encoder.device) / _MIB
        size = sum(parameter.numel() for parameter in encoder.trained.values())
        # Gradients and two moments of AdamW, in float32.
        mixed = held_bytes(settings.mixing, objectives, size) if settings.mixing != "none" else 0
        fixed = 12.0 * size + mixed
        return cls(round(budget), fixed, *_activations(encoder), padded=not encoder.pooling)

    @classmethod
    def recorded(cls, head: Mapping[str, Any]) -> MemoryPlan:
        """Return the plan of a run that has started. ``head`` is what its ``run.json`` holds."""
        if "memory" in head:
            return cls(**head["memory"])
        return cls(math.inf, cache_tokens=int(head["settings"].get("cache_tokens", 8192)))

    def to_dict(self) -> dict[str, Any]:
        """Return what :meth:`recorded` reads."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def excess(self, shares: Sequence[Sequence[int]], chunk_tokens: int) -> str:
        """Return why a batch must not keep its activations, or an empty text if it may.

        ``shares`` has the lengths of the texts of each process. The largest share decides for all.
        """
        if self.cache_tokens is not None:
            tokens = sum(map(sum, shares))
            return f"{tokens:,} tokens, cache_tokens is {self.cache_tokens:,}" if tokens > self.cache_tokens else ""
        needed = max(
            self.needed([[lengths[i] for i in chunk] for chunk in chunks_of(lengths, chunk_tokens)])
            for lengths in shares
        )
        if needed <= self.budget:
            return ""
        return f"a whole batch would need {needed:,.0f} MiB, and memory_budget is {self.budget:,.0f} MiB"

    def needed(self, chunks: Sequence[Sequence[int]]) -> float:
        """Return the MiB that a step needs if it keeps the activations of texts of these lengths, chunk by chunk."""
        each = [self._activations(np.asarray(lengths, np.int64)) for lengths in chunks]
        return (self.fixed + _SLACK * sum(each)) / _MIB

    def _activations(self, lengths: np.ndarray[Any, Any]) -> float:
        if self.padded:
            attended = np.full_like(lengths, lengths.max())
            tokens = int(attended.sum())
        else:  # in groups of similar length
            attended = packed.attended(np.minimum(lengths.max(), lengths + lengths // 4 + 2))
            tokens = packed.filled(int(lengths.sum()))
        whole = self.per_token * tokens + self.per_attended * int(attended.sum())
        return self.per_chunk + whole + self.per_square * int(attended @ attended)


def chunks_of(lengths: Sequence[int], most: int) -> list[np.ndarray]:
    """Group texts by length, with at most ``most`` tokens per group unless it is a single text."""
    chunks: list[list[int]] = []
    tokens = most
    for text in np.argsort(lengths, kind="stable"):
        if tokens + lengths[text] > most:
            chunks.append([])
            tokens = 0
        chunks[-1].append(int(text))
        tokens += lengths[text]
    return [np.asarray(chunk, np.int64) for chunk in chunks]


def _activations(encoder: TrainableEncoder) -> tuple[float, float, float, float]:
    """Return ``per_chunk``, ``per_token``, ``per_attended`` and ``per_square``, in bytes, counted in the model itself.

    Chunks of few and of many texts, short and long ones, go through it. The first number is what a chunk needs whatever
    its length, such as the weights as bfloat16.
    """
    names = ("per_chunk", "per_token", "per_attended", "per_square")
    text = encoder.tokenize(["a b c " * _PROBED], "passage")[0]
    long = min(len(text), _PROBED)
    chunks = [np.full(math.ceil(tokens / n), n) for n in (max(2, long // 4), long) for tokens in (1, 3 * _PROBED)]
    found = [_saved_bytes(encoder, lambda chunk=chunk: encoder.embed([text[:n] for n in chunk])) for chunk in chunks]
    plan = MemoryPlan(0, padded=not encoder.pooling)
    parts = [[replace(plan, **{name: 1.0})._activations(chunk) for name in names] for chunk in chunks]
    # Texts of a few tokens are padded alike, and a padded model's numbers per token are one. Either share will do.
    numbers, *_ = np.linalg.lstsq(np.asarray(parts), np.asarray(found, np.float64))
    chunk, token, attended, square = numbers.tolist()
    return chunk, token, attended, square


def _saved_bytes(encoder: TrainableEncoder, forward: Callable[[], Tensor]) -> int:
    """Return the bytes that torch keeps for the backward pass of ``forward``, without the model's own weights."""
    import torch

    own = {tensor.untyped_storage().data_ptr() for tensor in (*encoder.model.parameters(), *encoder.model.buffers())}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        vectors = forward()  # It keeps the graph, so that no storage is freed and used again.
    del vectors
    return sum(kept.values())
