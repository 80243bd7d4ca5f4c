"""Decide by a memory budget whether a batch keeps its activations, or is computed piece by piece (GradCache)."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._environment import free_memory
from panglot.encoders import packed
from panglot.training.aggregation import held_bytes
from panglot.training.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from panglot.training.model import TrainableEncoder

_MIB = 2**20
#: The default budget is this share of the memory that is available when the run starts.
_SHARE = 0.5
# The longest text whose activations are counted, in tokens. Those of longer ones follow from the numbers found.
_PROBED = 256
# What the allocator and temporary results add to the activations, measured by benchmarks/training_memory.py.
_SLACK = 1.15


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
        return cls(round(budget), fixed, *_activations(encoder), padded=not encoder.is_packed)

    @classmethod
    def recorded(cls, head: Mapping[str, Any]) -> MemoryPlan:
        """Return the plan of a run that has started. ``head`` is what its ``run.json`` holds."""
        if "memory" in head:
            return cls(**head["memory"])
        return cls(math.inf, cache_tokens=int(head["settings"].get("cache_tokens", 8192)))

    def to_dict(self) -> dict[str, Any]:
        """Return what :meth:`recorded` reads."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def numbers(self) -> np.ndarray[Any, Any]:
        """Return all values as numbers, which the first process sends to the others."""
        return np.asarray([-1 if value is None else value for value in astuple(self)], np.float64)

    @classmethod
    def from_numbers(cls, numbers: np.ndarray[Any, Any]) -> MemoryPlan:
        """Return the plan that :meth:`numbers` came from."""
        *sizes, padded, cache_tokens = numbers.tolist()
        return cls(*sizes, padded=bool(padded), cache_tokens=None if cache_tokens < 0 else int(cache_tokens))

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


def available_memory(device: Any) -> int:
    """Return the bytes that this process can still use on its device.

    Processes on one machine share its memory, and a container's limit counts as the machine's size.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return free_memory() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


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
    plan = MemoryPlan(0, padded=not encoder.is_packed)
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
