"""Two parallel pools with their vectors, on which any wording of a question can be placed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from panglot.probe.standing import Standing, standing

if TYPE_CHECKING:
    from panglot.corpus.collection import Ints
    from panglot.encoders.protocol import Vectors
    from panglot.probe.parallel import Parallel

Half = Literal[0, 1]
"""English is 0, the other language 1."""


@dataclass(frozen=True)
class Ground:
    """One language beside English.

    Attributes:
        parallel: Questions, pools and relevance.
        vectors: Of the passages of each pool, shape ``[pool, dimension]``.
        k: The depth that counts as success.
    """

    parallel: Parallel
    vectors: tuple[Vectors, Vectors]
    k: int

    @classmethod
    def of(cls, parallel: Parallel, passages: Vectors, k: int) -> Ground:
        """Take the vectors of both pools out of those of the collection's passages."""
        english, other = (passages[rows] for rows in parallel.passages)
        return cls(parallel, (english, other), k)

    def stand(self, half: Half, numbers: Ints, vectors: Vectors) -> Standing:
        """Return where wordings of questions stand.

        Args:
            half: Which of the two languages.
            numbers: Which question of :attr:`parallel` each wording is of; any order, repeats allowed.
            vectors: One row a wording, shape ``[wordings, dimension]``.
        """
        question, position = self.parallel.relevant[half]
        low, high = np.searchsorted(question, numbers), np.searchsorted(question, numbers, side="right")
        owner = np.repeat(np.arange(len(numbers)), high - low)
        taken = [position[a:b] for a, b in zip(low, high, strict=True)]
        relevant = np.concatenate(taken) if taken else np.zeros(0, np.int64)
        return standing(vectors, self.vectors[half], (owner, relevant), self.k)
