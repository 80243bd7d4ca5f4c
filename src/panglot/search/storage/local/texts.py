"""Documents in a memory-mapped Arrow file, and the way from an id to its row."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot.search.document import Document
from panglot.search.storage.store import metadata_json

if TYPE_CHECKING:
    from pathlib import Path

    from panglot.search.storage.store import Ints

Keys = npt.NDArray[np.uint64]

SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "text", "title", "language", "group", "fields")])
"""Columns of a file of documents. Metadata are JSON in the column ``fields``, as the first version called them."""

BATCH = 4096
"""Rows of one record batch; one is decoded at a time."""


def as_batch(documents: Sequence[Document]) -> pa.RecordBatch:
    """Return documents as a record batch."""
    columns = [[getattr(document, name) for document in documents] for name in SCHEMA.names[:-1]]
    columns.append([metadata_json(document) for document in documents])
    return pa.record_batch([pa.array(column, pa.string()) for column in columns], schema=SCHEMA)


def as_documents(batch: pa.RecordBatch) -> list[Document]:
    """Return the documents in a record batch."""
    return [as_document(row) for row in batch.to_pylist()]


def as_document(row: dict[str, Any]) -> Document:
    """Return the document in a row of :data:`SCHEMA`."""
    values = [row[name] for name in SCHEMA.names[:-1]]
    return Document(*values, metadata=json.loads(row["fields"]) if row["fields"] else {})


def keys_of(ids: Sequence[str]) -> Keys:
    """Return the 64-bit numbers by which ids are looked up."""
    digests = (hashlib.blake2b(each.encode(), digest_size=8).digest() for each in ids)
    return np.array([int.from_bytes(each, "little") for each in digests], np.uint64)


def key_table(keys: Keys) -> Keys:
    """Return keys in rising order in the first row and their positions in the second, shape ``[2, rows]``."""
    order = np.argsort(keys, kind="stable")
    return np.stack([keys[order], order.astype(np.uint64)])


class Texts:
    """The documents of one segment.

    Args:
        path: The Arrow file.
        keys: What :func:`key_table` made of the ids.
    """

    def __init__(self, path: Path, keys: Keys) -> None:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        self._batches: list[pa.RecordBatch] = [reader.get_batch(at) for at in range(reader.num_record_batches)]
        self._begins = np.cumsum([0, *(batch.num_rows for batch in self._batches)]).tolist()
        self._keys = keys

    def __len__(self) -> int:
        return self._begins[-1]

    def value(self, row: int, column: str) -> str:
        """Return one cell."""
        at = bisect_right(self._begins, row) - 1
        return self._batches[at].column(column)[row - self._begins[at]].as_py()

    def document(self, row: int) -> Document:
        """Return one document."""
        return as_document({name: self.value(row, name) for name in SCHEMA.names})

    def rows(self, ids: Sequence[str], keys: Keys) -> Ints:
        """Return the row of each id, -1 if there is none.

        Args:
            ids: The ids.
            keys: Their keys, see :func:`keys_of`.
        """
        found = np.full(len(ids), -1, np.int64)
        if not len(self):
            return found
        places = np.searchsorted(self._keys[0], keys)
        for at in np.flatnonzero(self._keys[0][np.minimum(places, len(self) - 1)] == keys).tolist():
            place = int(places[at])
            # Two ids may share a key, so that the id itself decides.
            while place < len(self) and self._keys[0, place] == keys[at]:
                row = int(self._keys[1, place])
                if self.value(row, "id") == ids[at]:
                    found[at] = row
                    break
                place += 1
        return found

    def batches(self, begin: int, end: int) -> list[tuple[int, pa.RecordBatch]]:
        """Return the rows from ``begin`` to ``end`` as slices of record batches, each with its first row."""
        found: list[tuple[int, pa.RecordBatch]] = []
        for at in range(bisect_right(self._begins, begin) - 1, len(self._batches)):
            low, high = max(begin, self._begins[at]), min(end, self._begins[at + 1])
            if low >= high:
                break
            found.append((low, self._batches[at].slice(low - self._begins[at], high - low)))
        return found
