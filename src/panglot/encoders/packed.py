"""Run a transformer over texts laid end to end, without padding.

All layers but attention work on single tokens. The texts of a batch can therefore be one long row ``[1, tokens]``,
which makes large matrix products and does no work on padding. Only attention pads, within groups of texts of similar
length. On a CPU its products are written out, because the backward pass of PyTorch's fused attention is several times
slower in bfloat16.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel

# Architectures whose positions are plain indices, with the first index (None: the one after the padding id).
_FIRST_POSITION: dict[str, int | None] = {"bert": 0, "roberta": None, "xlm-roberta": None, "camembert": None}

_NAME = "panglot_packed"

# The most attention scores per head at a time on a CPU. The scores of a dozen heads then stay within the caches, which
# makes long texts three to six times faster than in one product.
_CPU_SCORES = 2**17


def hidden_states(model: PreTrainedModel, texts: Sequence[Sequence[int]], step: int = 1) -> Tensor:
    """Return the last hidden state of every token of every text, shape ``[tokens, hidden]``, texts end to end.

    ``texts`` are token ids with special tokens and without padding. The result equals that of the padded computation
    up to rounding. Gradients flow. The long row is filled up to a multiple of ``step`` tokens, because kernels and the
    allocator keep memory for every new length.
    """
    import torch

    _register()
    lengths = [len(text) for text in texts]
    total = sum(lengths)
    fill = (0, -total % step)
    start = first_position(model.config)
    device = next(model.parameters()).device
    ends = np.concatenate([np.asarray(text, dtype=np.int64) for text in texts])
    places = np.concatenate([np.arange(start, start + n) for n in lengths])
    ids, positions = (torch.from_numpy(np.pad(row, fill, "edge")).to(device) for row in (ends, places))
    previous = model.config._attn_implementation or "eager"
    model.set_attn_implementation(_NAME)
    try:
        layout = _layout(lengths, fill[1], min(step, 8), device)
        types = torch.zeros_like(ids)[None]
        output = model(input_ids=ids[None], position_ids=positions[None], token_type_ids=types, layout=layout)
    finally:
        model.set_attn_implementation(previous)
    return output.last_hidden_state[0, :total]


def first_position(config: Any) -> int:
    """Return the number of a text's first position, given the configuration of a supported transformer."""
    first = _FIRST_POSITION[config.model_type]
    return int(config.pad_token_id) + 1 if first is None else first


def pooling_of(model: Any) -> Literal["mean", "cls", ""]:
    """Return a model's pooling if :func:`embed` computes what sentence-transformers would, else an empty text."""
    modules = list(model)
    kinds = [type(module).__name__ for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or not set(kinds[2:]) <= {"Dense", "Normalize", "LayerNorm"}:
        return ""
    transformer, pooling = modules[:2]
    # Options of sentence-transformers that change tokens or pooling.
    special = ("query_length", "document_length", "query_expansion", "processing_kwargs", "do_lower_case")
    inner = getattr(transformer, "auto_model", None)
    if any(getattr(transformer, name, None) for name in special) or getattr(model, "truncate_dim", None):
        return ""
    if inner is None or inner.config.model_type not in _FIRST_POSITION or getattr(inner.config, "is_decoder", False):
        return ""
    if not getattr(pooling, "include_prompt", True) or getattr(model.tokenizer, "backend_tokenizer", None) is None:
        return ""
    mode = getattr(pooling, "pooling_mode", None)
    return mode if mode in ("mean", "cls") else ""


def embed(model: Any, texts: Sequence[Sequence[int]], pooling: str, step: int = 1) -> Tensor:
    """Return a sentence-transformers model's vectors of texts, shape ``[texts, d]``, not normalised.

    ``pooling`` is what :func:`pooling_of` returns. For ``texts`` and ``step``, see :func:`hidden_states`.
    """
    import torch

    hidden = hidden_states(model[0].auto_model, texts, step)
    lengths = [len(text) for text in texts]
    if pooling == "mean":
        counts = torch.tensor(lengths, device=hidden.device)
        pooled = torch.segment_reduce(hidden.float(), "mean", lengths=counts, axis=0)
    else:
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        pooled = hidden[torch.from_numpy(starts).to(hidden.device)].float()
    return after_pooling(model, pooled)


def after_pooling(model: Any, pooled: Tensor) -> Tensor:
    """Return what the modules of a sentence-transformers model behind its pooling make of pooled vectors."""
    features = {"sentence_embedding": pooled}
    for module in list(model)[2:]:
        features = module(features)
    return features["sentence_embedding"]


class _Group(NamedTuple):
    """Texts of similar length, padded to the longest."""

    tokens: Tensor  # Numbers of the tokens in the long row, [texts, longest].
    real: Tensor  # Whether they are tokens and not padding, [texts, longest].
    places: Tensor  # Where the tokens are in the flattened group.


class _Layout(NamedTuple):
    """The texts of a batch in groups, and the way back to the long row."""

    groups: list[_Group]
    back: Tensor  # For each place of the long row, its place in the groups end to end. 0 for the filling, never read.


def _layout(lengths: Sequence[int], fill: int, step: int, device: torch.device) -> _Layout:
    import torch

    most = math.inf if device.type == "cuda" else _CPU_SCORES
    order = np.argsort(lengths, kind="stable")
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    groups: list[_Group] = []
    begin = 0
    while begin < len(order):
        shortest, end = lengths[order[begin]], begin + 1
        while end < len(order):
            length = lengths[order[end]]
            # Padding costs at most a quarter of a group's work.
            if length > shortest * 1.25 + 2 or (end + 1 - begin) * length**2 > most:
                break
            end += 1
        members = order[begin:end]
        size = np.asarray([lengths[m] for m in members])
        offset = np.arange(size.max() + -size.max() % step)
        real = offset[None] < size[:, None]
        index = starts[members][:, None] + np.minimum(offset[None], size[:, None] - 1)
        arrays = (index, real, np.flatnonzero(real))
        groups.append(_Group(*(torch.from_numpy(array).to(device) for array in arrays)))
        begin = end
    tokens = torch.cat([group.tokens[group.real] for group in groups])
    return _Layout(groups, torch.nn.functional.pad(torch.argsort(tokens), (0, fill)))


def _attention(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001  (the interface of transformers)
    *, layout: _Layout, scaling: float | None = None, dropout: float = 0.0, **_: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Attend within each text. ``query``, ``key`` and ``value`` are ``[1, heads, tokens, size]``."""
    import torch
    from torch.nn import functional

    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    rate = dropout if module.training else 0.0
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
    parts: list[Tensor] = []
    for group in layout.groups:
        a, b, c = (states[group.tokens].transpose(1, 2) for states in (q, k, v))
        mask = group.real[:, None, None, :]
        if q.is_cuda:
            mixed = functional.scaled_dot_product_attention(a, b, c, attn_mask=mask, dropout_p=rate, scale=scale)
        else:
            bias = torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, float("-inf"))
            weights = torch.softmax(torch.add(bias, a @ b.transpose(-1, -2), alpha=scale), -1).to(c.dtype)
            mixed = functional.dropout(weights, rate) @ c
        parts.append(mixed.transpose(1, 2).flatten(0, 1)[group.places])
    return torch.cat(parts)[layout.back][None], None


def _register() -> None:
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(_NAME, _attention)
    AttentionMaskInterface.register(_NAME, lambda *_, **__: None)
