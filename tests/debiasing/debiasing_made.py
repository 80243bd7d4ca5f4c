"""Vectors with a known language bias, and a cheap encoder."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from panglot.debiasing.fit import Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.encoders.protocol import Side, Vectors

LANGUAGES = ("de", "en", "ru", "th")


def unit(vectors: np.ndarray) -> Vectors:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def biased(texts: int = 40, dimension: int = 12, seed: int = 0) -> dict[Side, dict[str, Sample]]:
    """Parallel vectors of both sides: meaning, and what language and side add to it."""
    generator = np.random.default_rng(seed)
    meaning = generator.standard_normal((texts, dimension))
    found: dict[Side, dict[str, Sample]] = {}
    sides: tuple[Side, ...] = ("question", "passage")
    for side in sides:
        found[side] = {}
        for code in LANGUAGES:
            own = 2 * generator.standard_normal(dimension)
            noise = 0.1 * generator.standard_normal(meaning.shape)
            found[side][code] = Sample(unit(meaning + own + noise), tuple(f"g{row}" for row in range(texts)))
    return found


class Hashed:
    """A real, cheap encoder: a text's vector is drawn from the digest of text and side."""

    def __init__(self, dimension: int = 12) -> None:
        self.name, self.fingerprint, self.dimension = "hashed", "hashed" * 6, dimension
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:  # noqa: ARG002
        self.seen += texts
        seeds = [int.from_bytes(hashlib.sha256(f"{side}{text}".encode()).digest()[:8]) for text in texts]
        rows = [np.random.default_rng(seed).normal(size=self.dimension) for seed in seeds]
        return unit(np.reshape(rows, (len(texts), self.dimension)))
