"""Texts that count as one when rows are told apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot.corpus._keys import Ints32, first_of, gathered, ranks
from panglot.corpus._maps import walk


def text_numbers(texts: pa.ChunkedArray, chosen: npt.NDArray[np.bool_] | None = None) -> Ints32:
    """Return a number for each text; texts that differ only in case or blanks share it.

    Args:
        texts: The texts.
        chosen: Marks those that matter; the others' number is −1.

    >>> text_numbers(pa.chunked_array([["Who?", "  who? ", "What?"]])).tolist()
    [0, 0, 1]
    """
    if chosen is None:
        return ranks(first_of(gathered(_plain(texts, None), len(texts))))
    found = np.full(len(texts), -1, np.int32)
    found[chosen] = ranks(first_of(gathered(_plain(texts, chosen), int(np.count_nonzero(chosen)))))
    return found


def _plain(texts: pa.ChunkedArray, chosen: npt.NDArray[np.bool_] | None) -> Iterator[pa.Array]:
    start = 0
    for batch in walk(pa.table({"text": texts})):
        column = batch.column(0)
        if chosen is not None:
            column = column.filter(pa.array(chosen[start : start + len(column)]))
        start += batch.num_rows
        yield pa.array([" ".join((text or "").casefold().split()) for text in column.to_pylist()], pa.string())
