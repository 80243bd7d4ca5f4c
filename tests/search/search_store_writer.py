"""A process that writes to an embedded store until it is killed, and prints a line after each call."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from search_store_model import Dice, Model

from panglot.search.storage import graph, segment_writer
from panglot.search.storage.embedded import EmbeddedStore


def operations(seed: int, store: EmbeddedStore | Model) -> Iterator[int]:
    """Carry out random operations, and yield the number of each after it."""
    dice, done = Dice(seed), 0
    while True:
        if dice.random.random() < 0.7:
            store.upsert(*dice.documents(6))
        else:
            store.delete(dice.ids(6))
        done += 1
        yield done


if __name__ == "__main__":
    segment_writer.MERGED, graph.MIN_ROWS, graph.VISITS = 3, 10, 0
    for number in operations(int(sys.argv[2]), EmbeddedStore(Path(sys.argv[1]))):
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
