"""A process that builds an index until it is killed, and prints a word at each step."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import search_made
from search_made import Biased

from panglot.encoders.protocol import Side, Vectors
from panglot.search.document import Document
from panglot.search.index import Index
from panglot.search.ingest import encode
from panglot.search.storage import graph
from panglot.search.storage.embedded import EmbeddedStore

STEPS = 2 * len(search_made.documents()) // 4
"""Shards encoded, then written."""


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


class Slow(Biased):
    """An encoder that takes a moment per shard."""

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        found = super().encode(texts, side, ids=ids)
        if ids is not None:
            time.sleep(0.01)
            say("encoded " + ids[0])
        return found


if __name__ == "__main__":
    graph.MIN_ROWS, graph.VISITS, encode.SHARD = 10, 0, 4
    upsert = EmbeddedStore.upsert

    def told(
        self: EmbeddedStore, documents: Sequence[Document], vectors: Mapping[str, Vectors], *, same_kinds: bool = False
    ) -> None:
        upsert(self, documents, vectors, same_kinds=same_kinds)
        say("written " + documents[0].id)

    EmbeddedStore.upsert = told
    Index.build(search_made.documents(), Path(sys.argv[1]), model=Slow()).close()
