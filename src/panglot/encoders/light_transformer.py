"""Run BERT and RoBERTa in numpy, on weights that are mapped into memory, with numkong's products in bfloat16."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float32]

# bfloat16 is the upper half of a float32.
_DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_WORDS = "embeddings.word_embeddings.weight"
_BLOCK = 1 << 16  # Numbers that an activation is computed of at a time, so that they stay in a processor's cache.


class NumpyTransformer:
    """The encoder of a BERT- or RoBERTa-like model.

    Args:
        file: The weights, as safetensors, in float32, float16 or bfloat16.
        heads: Number of attention heads.
        first_position: The number of a text's first position.
        epsilon: What layer normalisation adds to the variance.
        bf16: Whether linear layers multiply in bfloat16, and add in float32. Everything else is float32.

    Raises:
        OSError, ValueError, KeyError: The file cannot be read, or has other weights than such a model.
    """

    def __init__(
        self, file: Path, heads: int, first_position: int, epsilon: float, *, bf16: bool = False
    ) -> None:  # fmt: skip
        self._heads, self._first, self._epsilon, self._bf16 = heads, first_position, epsilon, bf16
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            self._entries: dict[str, Any] = json.loads(opened.read(length))
        self._data = np.asarray(np.memmap(file, np.uint8, "r", offset=8 + length))
        # Models for masked words have their encoder under the name of its architecture.
        self._prefix = next(name for name in self._entries if name.endswith(_WORDS)).removesuffix(_WORDS)
        # A matrix of floats stays in its file. Others become float32 once.
        self._matrix, self._packed = cache(self._read), cache(self._pack)
        self._words = self._stored(_WORDS)
        self.dimension = int(self._words.shape[1])
        layers = f"{self._prefix}encoder.layer."
        self._layers = 1 + max(int(name.removeprefix(layers).split(".")[0]) for name in self._entries if layers in name)

    def embed(self, texts: Sequence[Sequence[int]], pooling: str) -> _Floats:
        """Return one pooled vector per text, shape ``[texts, dimension]``, not normalised.

        ``texts`` are token ids with special tokens, at least one each. ``pooling`` is ``mean`` or ``cls``. Texts are
        laid end to end, as in :mod:`panglot.encoders.packed`, so that there is no padding.
        """
        lengths = np.array([len(text) for text in texts])
        ends = np.cumsum([0, *lengths])
        places = np.concatenate([np.arange(self._first, self._first + length) for length in lengths])
        hidden = _floats(self._words[np.concatenate(texts)])
        hidden += self._matrix("embeddings.position_embeddings.weight")[places]
        hidden += self._matrix("embeddings.token_type_embeddings.weight")[0]
        hidden = self._normalised(hidden, "embeddings.LayerNorm")
        for number in range(self._layers):
            hidden = self._layer(hidden, ends, f"encoder.layer.{number}.")
        if pooling == "mean":
            sums: _Floats = np.add.reduceat(hidden, ends[:-1], axis=0)
            sums /= lengths[:, None].astype(np.float32)
            return sums
        return hidden[ends[:-1]]

    def _layer(self, hidden: _Floats, ends: npt.NDArray[np.int64], at: str) -> _Floats:
        query, key, value = (self._linear(hidden, f"{at}attention.self.{name}") for name in ("query", "key", "value"))
        mixed = self._linear(_attention(query, key, value, ends, self._heads), f"{at}attention.output.dense")
        mixed += hidden
        mixed = self._normalised(mixed, f"{at}attention.output.LayerNorm")
        found = self._linear(gelu(self._linear(mixed, f"{at}intermediate.dense")), f"{at}output.dense")
        found += mixed
        return self._normalised(found, f"{at}output.LayerNorm")

    def _linear(self, rows: _Floats, name: str) -> _Floats:
        if self._bf16:
            import numkong

            # For the few tokens of a query, it takes a fifth of the time of numpy, and a third for hundreds.
            found: _Floats = np.asarray(numkong.dots_packed(_rounded(rows), self._packed(f"{name}.weight")))
        else:
            found = rows @ self._matrix(f"{name}.weight").T
        found += self._matrix(f"{name}.bias")
        return found

    def _normalised(self, rows: _Floats, name: str) -> _Floats:
        """Return rows of mean 0 and variance 1, scaled and shifted by the weights of this name."""
        rows -= rows.mean(axis=1, keepdims=True)
        variance = np.einsum("ij,ij->i", rows, rows)[:, None] / rows.shape[1]
        rows /= np.sqrt(variance + np.float32(self._epsilon))
        rows *= self._matrix(f"{name}.weight")
        rows += self._matrix(f"{name}.bias")
        return rows

    def _stored(self, name: str) -> npt.NDArray[Any]:
        entry = self._entries[self._prefix + name]
        begin, end = entry["data_offsets"]
        return self._data[begin:end].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])

    def _read(self, name: str) -> _Floats:
        return _floats(self._stored(name))

    def _pack(self, name: str) -> Any:
        import numkong

        return numkong.dots_pack(_rounded(self._read(name)))


def _rounded(rows: _Floats) -> Any:
    """Return a matrix in bfloat16, as numkong has it."""
    import numkong

    rows = np.ascontiguousarray(rows)
    return numkong.from_pointer(rows.ctypes.data, rows.shape, "float32", owner=rows).astype("bf16")


def gelu(rows: _Floats) -> _Floats:
    """Return x Φ(x), in place. Φ is the normal distribution, by Abramowitz and Stegun 7.1.26 (error below 10⁻⁷).

    >>> gelu(np.array([[-1.0, 0.0, 1.0]], np.float32)).round(4).tolist()
    [[-0.1587..., 0.0, 0.8413...]]
    """
    flat = rows.reshape(-1)
    for begin in range(0, flat.size, _BLOCK):
        x = flat[begin : begin + _BLOCK]
        size = np.abs(x)
        t = np.reciprocal(size * np.float32(_P / math.sqrt(2)) + np.float32(1))
        tail = t * np.float32(_A[0])
        for factor in _A[1:]:
            tail += np.float32(factor)
            tail *= t
        np.multiply(x, x, out=t)
        t *= np.float32(-0.5)
        np.exp(t, out=t)
        tail *= t
        tail *= size
        # Φ(|x|) is 1 - tail / |x|, and Φ(-|x|) what is left of 1.
        np.maximum(x, 0, out=x)
        x -= tail
    return rows


_P = 0.3275911
_A = (1.061405429 / 2, -1.453152027 / 2, 1.421413741 / 2, -0.284496736 / 2, 0.254829592 / 2)


def _attention(query: _Floats, key: _Floats, value: _Floats, ends: npt.NDArray[np.int64], heads: int) -> _Floats:
    """Attend within each text. All are ``[tokens, heads × size]``."""
    size = query.shape[1] // heads
    query *= np.float32(size**-0.5)
    mixed = np.empty_like(query)
    for begin, end in pairwise(ends):
        q, k, v = (each[begin:end].reshape(-1, heads, size) for each in (query, key, value))
        weights = q.transpose(1, 0, 2) @ k.transpose(1, 2, 0)
        weights -= weights.max(axis=2, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=2, keepdims=True)
        mixed[begin:end] = (weights @ v.transpose(1, 0, 2)).transpose(1, 0, 2).reshape(end - begin, -1)
    return mixed


def _floats(stored: npt.NDArray[Any]) -> _Floats:
    if stored.dtype == np.uint16:
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32, copy=False)
