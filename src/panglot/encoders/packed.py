"""Run a transformer over texts laid end to end, without padding.

All layers but attention work on single tokens. The texts of a batch can therefore be one long row ``[1, tokens]``,
which makes large matrix products and does no work on padding. Only attention pads, within groups of texts of similar
length. On a CPU its products are written out, because the backward pass of PyTorch's fused attention is several times
slower in bfloat16.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel

# Architectures whose positions are plain indices, with the first index (None: the one after the padding id).
_FIRST_POSITION: dict[str, int | None] = {"bert": 0, "roberta": None, "xlm-roberta": None, "camembert": None}

_NAME = "panglot_packed"

# The row is filled up to a multiple of so many tokens, because kernels and the allocator keep memory for every length.
STEP = 64

# The most attention scores per head at a time on a CPU. The scores of a dozen heads then stay within the caches, which
# makes long texts three to six times faster than in one product.
_CPU_SCORES = 2**17


def _hidden_states(model: PreTrainedModel, texts: Sequence[Sequence[int]]) -> Tensor:
    """Return the last hidden state of every token of every text, shape ``[tokens, hidden]``, texts end to end.

    ``texts`` are token ids with special tokens and without padding. The result equals that of the padded computation
    up to rounding. Gradients flow.
    """
    import torch

    _register()
    lengths = [len(text) for text in texts]
    total = sum(lengths)
    # At least one token more than the texts have, from which attention reads its padding.
    fill = (0, filled(total) - total)
    start = first_position(model.config)
    device = next(model.parameters()).device
    ends = np.concatenate([np.asarray(text, dtype=np.int64) for text in texts])
    places = np.concatenate([np.arange(start, start + n) for n in lengths])
    ids, positions = (torch.from_numpy(np.pad(row, fill, "edge")).to(device) for row in (ends, places))
    previous = model.config._attn_implementation or "eager"
    model.set_attn_implementation(_NAME)
    try:
        layout = _layout(lengths, fill[1], model.config.num_attention_heads, device)
        types = torch.zeros_like(ids)[None]
        output = model(input_ids=ids[None], position_ids=positions[None], token_type_ids=types, layout=layout)
    finally:
        model.set_attn_implementation(previous)
    return output.last_hidden_state[0, :total]


def filled(tokens: int) -> int:
    """Return the length of the long row of so many tokens.

    >>> [filled(tokens) for tokens in (12, 16, 63, 64, 100)]
    [16, 32, 64, 128, 128]
    """
    # A single query is short, and to fill 64 tokens would take a fifth longer.
    step = STEP if tokens >= STEP else max(1, STEP // 4)
    return tokens + step - tokens % step


def attended(length: Any) -> Any:
    """Return to how many tokens attention pads a group whose longest text has ``length``, an integer or an array."""
    # Softmax of half precision takes several times as long if a row does not fill a processor's registers.
    return length + -length % np.where(np.asarray(length) <= 64, 32, 8)


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


def embed(model: Any, texts: Sequence[Sequence[int]], pooling: str) -> Tensor:
    """Return a sentence-transformers model's vectors of texts, shape ``[texts, d]``, not normalised.

    ``pooling`` is what :func:`pooling_of` returns. For ``texts``, see :func:`_hidden_states`.
    """
    import torch

    hidden = _hidden_states(model[0].auto_model, texts)
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

    begin: int  # Of the group's first row among all rows of heads.
    lengths: list[int]
    padded: int  # The length of each text with its padding.


class _Layout(NamedTuple):
    """The texts of a batch in groups, the way from the long row to their heads, and the way back.

    A row is what one head has of one token. Those of the long row are numbered token by token, those of a group text by
    text, head by head, token by token, as matrix products want them. Padding is read from the filling, which is no
    text's token, so that no gradient reaches it and none comes from it.
    """

    groups: list[_Group]
    there: Tensor  # For each row of the groups, its row of the long row.
    back: Tensor  # For each row of the long row, its row of the groups. For the filling, the one behind the last.


def _layout(lengths: Sequence[int], fill: int, heads: int, device: torch.device) -> _Layout:
    import torch

    most = math.inf if device.type == "cuda" else _CPU_SCORES
    order = np.argsort(lengths, kind="stable")
    starts, total = np.concatenate([[0], np.cumsum(lengths)[:-1]]), sum(lengths)
    groups: list[_Group] = []
    tokens: list[np.ndarray[Any, Any]] = []
    begin = rows = 0
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
        offset = np.arange(int(attended(size.max())))
        real = offset[None] < size[:, None]
        index = np.where(real, starts[members][:, None] + offset[None], total)
        tokens.append((index[:, None, :] * heads + np.arange(heads)[None, :, None]).ravel())
        groups.append(_Group(rows, size.tolist(), len(offset)))
        rows += tokens[-1].size
        begin = end
    there = np.concatenate(tokens)
    back = np.full((total + fill) * heads, rows)
    places = np.flatnonzero(there < total * heads)
    back[there[places]] = places
    return _Layout(groups, torch.from_numpy(there).to(device), torch.from_numpy(back).to(device))


def _attention(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001  (the interface of transformers)
    *, layout: _Layout, scaling: float | None = None, dropout: float = 0.0, **_: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Attend within each text. ``query``, ``key`` and ``value`` are ``[1, heads, tokens, size]``."""
    import torch
    from torch.nn import functional

    heads, tokens, size = query.shape[1:]
    scale = size**-0.5 if scaling is None else scaling
    rate = dropout if module.training else 0.0
    q, k, v = (states[0].transpose(0, 1).reshape(-1, size) for states in (query, key, value))
    if q.is_cuda or rate:
        parts: list[Tensor] = []
        q, k, v = (states.index_select(0, layout.there) for states in (q, k, v))
        for group in layout.groups:
            a, b, c = (_heads(states, group, heads).unflatten(0, (-1, heads)) for states in (q, k, v))
            real = torch.arange(group.padded, device=q.device) < torch.tensor(group.lengths, device=q.device)[:, None]
            mask = real[:, None, None]
            mixed = functional.scaled_dot_product_attention(a, b, c, attn_mask=mask, dropout_p=rate, scale=scale)
            parts.append(mixed.reshape(-1, size))
        rows = torch.cat([*parts, q.new_zeros(1, size)]).index_select(0, layout.back)
    else:
        rows = _cpu_attention()(q, k, v, layout, heads, scale)
    return rows.view(1, tokens, heads, size), None


def _heads(rows: Tensor, group: _Group, heads: int) -> Tensor:
    """Return a group's part of rows, shape ``[texts · heads, length, size]``, as a view."""
    count = len(group.lengths) * heads
    return rows[group.begin : group.begin + count * group.padded].view(count, group.padded, -1)


@cache
def _cpu_attention() -> Callable[..., Tensor]:
    """Return attention with a backward pass of its own.

    Torch's would add up the gradients of gathered rows one by one, although each row is gathered once, and would keep
    the weights of attention in float32.
    """
    import torch

    class Attention(torch.autograd.Function):
        @staticmethod
        def forward(
            ctx: Any, q: Tensor, k: Tensor, v: Tensor, layout: _Layout, heads: int, scale: float
        ) -> Tensor:  # fmt: skip
            q, k, v = (states.index_select(0, layout.there) for states in (q, k, v))
            nothing, mixed, kept = q.new_empty(1, 1, 1), _room(q), list[Any]()
            with torch.autocast("cpu", enabled=False):
                for group in layout.groups:
                    a, b, c, into = (_heads(states, group, heads) for states in (q, k, v, mixed))
                    scores = torch.baddbmm(nothing, a, b.mT, beta=0, alpha=scale)
                    for text, length in enumerate(group.lengths):
                        if length < group.padded:  # Less work than to add a mask.
                            scores[text * heads : (text + 1) * heads, :, length:] = -math.inf
                    kept.append(torch.softmax(scores, -1))
                    torch.bmm(kept[-1], c, out=into)
            ctx.save_for_backward(q, k, v, *kept)
            ctx.rest = layout, heads, scale
            return mixed.index_select(0, layout.back)

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
            q, k, v, *kept = ctx.saved_tensors
            layout, heads, scale = ctx.rest
            down = gradients[0].reshape(-1, q.shape[1]).index_select(0, layout.there)
            found = [_room(states) for states in (q, k, v)]
            with torch.autocast("cpu", enabled=False):
                for group, weights in zip(layout.groups, kept, strict=True):
                    a, b, c, d, da, db, dc = (_heads(rows, group, heads) for rows in (q, k, v, down, *found))
                    torch.bmm(weights.mT, d, out=dc)
                    scores = torch.ops.aten._softmax_backward_data(torch.bmm(d, c.mT), weights, -1, weights.dtype)
                    da.baddbmm_(scores, b, beta=0, alpha=scale)
                    db.baddbmm_(scores.mT, a, beta=0, alpha=scale)
            return (*(rows.index_select(0, layout.back) for rows in found), None, None, None)

    return Attention.apply


def _room(rows: Tensor) -> Tensor:
    """Return room for as many rows, and behind them one of zeros, which the filling reads."""
    found = rows.new_empty(len(rows) + 1, rows.shape[1])
    found[-1] = 0
    return found


def _register() -> None:
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(_NAME, _attention)
    AttentionMaskInterface.register(_NAME, lambda *_, **__: None)
