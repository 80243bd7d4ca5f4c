"""Documents as they were read, kept for when they are written beside their vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from panglot._files import explain_write
from panglot.search._texts import SCHEMA, as_batch, as_documents

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from panglot.search.document import Document


def kept(pieces: Iterable[Sequence[Document]], path: Path) -> Iterator[Sequence[Document]]:
    """Yield pieces of documents, each when it is in the file, which is whole after the last.

    Raises:
        PanglotError: The place cannot be written.
    """
    with explain_write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("wb")
    with file, pa.ipc.new_stream(file, SCHEMA) as writer:
        for piece in pieces:
            with explain_write(path):
                writer.write_batch(as_batch(piece))
            yield piece


def again(path: Path) -> Iterator[list[Document]]:
    """Yield the pieces that :func:`kept` wrote, one in memory at a time."""
    with path.open("rb") as file:
        for batch in pa.ipc.open_stream(file):
            yield as_documents(batch)
