"""Rows that must never be each other's negatives."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from panglot.corpus.collection import Ints


def connect(rows: int, *links: tuple[Ints, Ints]) -> Ints:
    """Return a block for each row: rows that share a thing, directly or through others, share a block.

    Args:
        rows: The number of rows.
        links: Pairs of arrays of equal length: row numbers, and the thing that each of them has. The things
            of one pair are their own kind: thing 3 of one pair is not thing 3 of the next.

    Returns:
        Block numbers from 0, shape ``[rows]``.

    >>> first, second = (np.array([0, 1, 2, 3]), np.array([7, 7, 8, 9])), (np.array([1, 2]), np.array([7, 7]))
    >>> connect(4, first, second).tolist()
    [0, 0, 0, 1]
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    size = rows
    starts: list[Ints] = []
    ends: list[Ints] = []
    for row, thing in links:
        names, number = np.unique(thing, return_inverse=True)
        starts.append(row)
        ends.append(number + size)
        size += len(names)
    start, end = (
        np.concatenate([*starts, np.empty(0, np.int64)]),
        np.concatenate([*ends, np.empty(0, np.int64)]),
    )
    graph = coo_matrix((np.ones(len(start), np.int8), (start, end)), shape=(size, size))
    component = connected_components(graph, directed=False)[1][:rows]
    return np.unique(component, return_inverse=True)[1].astype(np.int64)


def text_numbers(texts: pa.ChunkedArray) -> Ints:
    """Return a number for each text; texts that differ only in case or blanks share it.

    >>> who, again, what = text_numbers(pa.chunked_array([["Who?", "  who? ", "What?"]]))
    >>> bool(who == again), bool(who == what)
    (True, False)
    """
    numbers = np.empty(len(texts), np.int64)
    at = 0
    for chunk in texts.iterchunks():
        for start in range(0, len(chunk), 65536):
            part = chunk.slice(start, 65536).to_pylist()
            # 64 bits of a digest instead of the text: a million texts would otherwise be held twice.
            keys = b"".join(_key(text) for text in part)
            numbers[at : at + len(part)] = np.frombuffer(keys, np.int64)
            at += len(part)
    return numbers


def _key(text: str | None) -> bytes:
    plain = " ".join((text or "").casefold().split())
    return hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=8).digest()
