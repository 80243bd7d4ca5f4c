"""Collections and encoders made for these tests."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from panglot.data.collection import Collection, Text

if TYPE_CHECKING:
    from collections.abc import Collection as Group
    from collections.abc import Sequence

    from panglot.encoders.protocol import Side, Vectors


def crossed(
    groups: int = 8, languages: Sequence[str] = ("de", "en", "th"), weak: Group[tuple[str, int]] = ()
) -> tuple[Vectors, Vectors, Collection]:
    """Group g is answered by passage g, which has the g-th axis as its vector, in every language.

    A question has that axis too; where it is weak, that of the next group, so that its own passage scores 0.
    """
    questions = [Text(f"q{g}-{x}", x, f"g{g}", f"What is {g} in {x}?") for x in languages for g in range(groups)]
    passages = [Text(f"p{g}-{x}", x, f"g{g}", f"It is {g} said in the {x}.") for x in languages for g in range(groups)]
    judged = [(f"q{g}-{x}", f"p{g}-{y}", 1) for g in range(groups) for x in languages for y in languages]
    axes = np.eye(groups, dtype=np.float32)
    asked = [axes[(g + ((x, g) in weak)) % groups] for x in languages for g in range(groups)]
    return np.array(asked), np.tile(axes, (len(languages), 1)), Collection.build("crossed", questions, passages, judged)


def shifted(
    languages: Sequence[str] = ("de", "en", "zh"), groups: int = 30, pool: int = 40
) -> tuple[Vectors, Vectors, Collection]:
    """Noisy vectors: a meaning, moved by its language; every second question has two relevant passages."""
    generator = np.random.default_rng(0)
    meaning = generator.standard_normal((pool, 8))
    questions = [Text(f"q{g}-{x}", x, f"q{g}", f"question {g} {x}") for x in languages for g in range(groups)]
    passages = [Text(f"p{p}-{x}", x, f"p{p}", f"passage {p} {x}") for x in languages for p in range(pool)]
    judged = [(f"q{g}-{x}", f"p{p}-{y}", 1) for g in range(groups) for x in languages for y in languages
              for p in ([g, (g + 5) % pool] if g % 2 else [g])]  # fmt: skip
    sides = [
        np.concatenate([meaning[:n] + 0.5 * generator.standard_normal(8) for _ in languages]) for n in (groups, pool)
    ]
    left, right = (side + 0.8 * generator.standard_normal(side.shape) for side in sides)
    collection = Collection.build("shifted", questions, passages, judged)
    return left.astype(np.float32), right.astype(np.float32), collection


def save_vectors(path: str, questions: Vectors, passages: Vectors, collection: Collection) -> str:
    np.savez(
        path, questions=questions, passages=passages,
        question_ids=np.array(collection.questions["id"].to_pylist()),
        passage_ids=np.array(collection.passages["id"].to_pylist()),
    )  # fmt: skip
    return f"vectors:{path}"


class Hashed:
    """An encoder whose vectors are sums of random ones, one for each word as it is written."""

    name = "hashed"
    fingerprint = "hashed-1"

    def __init__(self, dimension: int = 24) -> None:
        self.dimension = dimension
        self.asked: set[str] = set()

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:  # noqa: ARG002
        self.asked.update(texts)
        rows = [np.sum([self._word(word) for word in text.split()], axis=0) for text in texts]
        found = np.array(rows).reshape(len(texts), self.dimension)
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)

    def _word(self, word: str) -> Vectors:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
        return np.random.default_rng(seed).standard_normal(self.dimension).astype(np.float32)
