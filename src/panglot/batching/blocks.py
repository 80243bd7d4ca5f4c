"""Rows that must never be each other's negatives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot.corpus._keys import Ints32, first_of, first_of_numbers, joined, keys, ranks, smallest_together
from panglot.corpus._maps import walk


def connect(rows: int, links: Iterable[tuple[npt.NDArray[Any], npt.NDArray[Any]]]) -> Ints32:
    """Return a block for each row: rows that share a thing, directly or through others, share a block.

    Args:
        rows: The number of rows.
        links: Pairs of arrays of equal length: row numbers, and the thing that each of them has. The things
            of one pair are their own kind: thing 3 of one pair is not thing 3 of the next.

    Returns:
        Block numbers from 0, in the order of the blocks' first rows, shape ``[rows]``.

    >>> first, second = (np.array([0, 1, 2, 3]), np.array([7, 7, 8, 9])), (np.array([1, 2]), np.array([7, 7]))
    >>> connect(4, [first, second]).tolist()
    [0, 0, 0, 1]
    """
    least = np.arange(rows, dtype=np.int32)
    for row, thing in links:
        one = least[row]
        other = one[first_of_numbers(thing)]
        apart = one != other
        least = smallest_together(rows, one[apart], other[apart])[least]
    return ranks(least)


def text_numbers(texts: pa.ChunkedArray, chosen: npt.NDArray[np.bool_] | None = None) -> Ints32:
    """Return a number for each text; texts that differ only in case or blanks share it.

    Args:
        texts: The texts.
        chosen: Marks those that matter; the others' number is −1.

    >>> text_numbers(pa.chunked_array([["Who?", "  who? ", "What?"]])).tolist()
    [0, 0, 1]
    """
    found = np.full(len(texts), -1, np.int32)
    rows = np.arange(len(texts)) if chosen is None else np.flatnonzero(chosen)
    parts = []
    start = 0
    for batch in walk(pa.table({"text": texts})):
        column = batch.column(0)
        if chosen is not None:
            column = column.filter(pa.array(chosen[start : start + len(column)]))
        start += batch.num_rows
        plain = [" ".join((text or "").casefold().split()) for text in column.to_pylist()]
        parts.append(keys(pa.array(plain, pa.string())))
    found[rows] = ranks(first_of(joined(parts)))
    return found
