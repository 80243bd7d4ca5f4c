"""The first questions of a collection, with what answers them."""

from __future__ import annotations

import numpy as np

from panglot.corpus.collection import Collection


def head(collection: Collection, questions: int) -> Collection:
    """Return the first questions, by group and in all languages, and the passages that they are judged with."""
    groups: list[str] = collection.questions["group"].to_pylist()
    chosen = set(list(dict.fromkeys(groups))[:questions])
    kept = np.array([group in chosen for group in groups], np.bool_)
    passages = np.zeros(collection.passages.num_rows, np.bool_)
    judged = collection.relevance
    passages[judged["passage"].to_numpy()[kept[judged["question"].to_numpy()]]] = True
    return collection.keep(kept, passages)
