"""Collections and vectors made for these tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from panglot.data.collection import Collection, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.encoders.protocol import Side, Vectors


def unit(vectors: npt.NDArray[np.float64]) -> Vectors:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def parallel(
    languages: Sequence[str] = ("de", "en", "zh"),
    groups: int = 12,
    passages: int = 20,
    dimension: int = 16,
    seed: int = 0,
    noise: float = 1.0,
) -> tuple[Vectors, Vectors, Collection]:
    """A parallel collection whose languages are shifted clusters, with vectors of questions and passages."""
    generator = np.random.default_rng(seed)
    meaning = generator.standard_normal((passages, dimension))
    shift = 0.8 * generator.standard_normal((len(languages), dimension))
    answer = generator.integers(0, passages, groups)
    questions = [Text(f"q{g}-{x}", x, f"q{g}", f"question {g} {x}") for x in languages for g in range(groups)]
    texts = [Text(f"p{p}-{x}", x, f"p{p}", f"passage {p} {x}") for x in languages for p in range(passages)]
    relevance = [(f"q{g}-{x}", f"p{answer[g]}-{y}", 1) for g in range(groups) for x in languages for y in languages]
    collection = Collection.build("made", questions, texts, relevance, {"candidates": "passage"})
    at = [
        np.concatenate([meaning[rows] + shift[x] for x in range(len(languages))])
        for rows in (answer, np.arange(passages))
    ]
    q, p = (unit(each + noise * generator.standard_normal(each.shape)) for each in at)
    return q, p, collection


class Table:
    """An encoder that knows the vectors of its texts."""

    def __init__(self, name: str, questions: Vectors, passages: Vectors, collection: Collection) -> None:
        self.name, self.fingerprint = name, f"{name}-1"
        self.asked: list[int] = []
        self._known = {
            "question": dict(zip(collection.questions["text"].to_pylist(), questions, strict=True)),
            "passage": dict(zip(collection.passages["text"].to_pylist(), passages, strict=True)),
        }

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        assert ids is None or len(ids) == len(texts)
        self.asked.append(len(texts))
        return np.stack([self._known[side][text] for text in texts])
