"""Writes SentencePiece's ``precompiled_charsmap``: what a tokenizer does to characters before it cuts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

VALUE = 1 << 31
LEAF = 1 << 8
PAGE = 256


def charsmap(characters: Mapping[str, str]) -> bytes:
    """Return the map from character to replacement in the form that ``tokenizers`` reads.

    The form: the length in bytes of a double-array trie over UTF-8 bytes, the trie (Darts-clone's units of
    32 bits), then the replacements, each ended by a zero byte; a leaf holds its replacement's offset.
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
    """Lay the trie out: a node at ``p`` with offset ``o`` has its child of byte ``b`` at ``p ^ o ^ b``.

    A node's unit is its own byte, a flag for "a key ends here", and the offset; the end of a key is a child
    of byte 0 that holds the value.
    """
    units: dict[int, int] = {0: 0}
    bases: set[int] = {0}
    free = 1

    def place(labels: list[int]) -> int:
        base = free
        # Two nodes with one base would find each other's children.
        while base in bases or any((base ^ label) in units for label in labels):
            base += 1
        bases.add(base)
        return base

    waiting: list[tuple[int, dict[int, object]]] = [(0, root)]
    while waiting:
        at, node = waiting.pop()
        labels = sorted(node)
        base = place(labels)
        units[at] |= (at ^ base) << 10
        for label in labels:
            child = node[label]
            if isinstance(child, dict):
                units[base ^ label] = label
                waiting.append((base ^ label, child))
            else:
                assert isinstance(child, int)
                units[base ^ label] = VALUE | child
                units[at] |= LEAF
        while free in units:
            free += 1
    # The reader looks up any byte under any node, so whole pages must exist.
    array = np.zeros((max(units) // PAGE + 1) * PAGE, np.uint32)
    array[list(units)] = list(units.values())
    return array
