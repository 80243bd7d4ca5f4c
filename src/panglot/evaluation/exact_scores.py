"""Scores that are the same bits whatever the order of the sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError

if TYPE_CHECKING:
    from panglot.data.collection import Ints
    from panglot.encoders.protocol import Vectors

Doubles = npt.NDArray[np.float64]
_BITS = 26


def exponent(vectors: Vectors) -> int:
    """Return the smallest power of two above the norm of every row.

    Raises:
        PanglotError: A number is infinite or not a number.
    """
    if not vectors.size:
        return 0
    square = np.max(np.einsum("nd,nd->n", vectors, vectors), initial=0.0)
    if not np.isfinite(square):
        raise PanglotError(
            "a vector holds a number that is infinite or not a number",
            hint="look at the encoder: a damaged checkpoint gives such vectors",
        )
    # A hair more, for the rounding of the sum above.
    return int(np.frexp(np.sqrt(np.float64(square)) * (1 + 1e-4))[1])


def on_lattice(vectors: Vectors, power: int) -> Vectors:
    """Return ``vectors · 2^(26 − power)`` rounded to whole numbers.

    Float32 holds them exactly, having 24 bits. A dot product of two such rows in doubles is a sum of whole
    numbers whose partial sums stay below 2^53 (by Cauchy-Schwarz, as the norms are at most 2^26), so that
    every order of summation, block size, BLAS and number of threads gives the same bits. The rounding moves
    a cosine by 10⁻⁸ or so.
    """
    scaled = np.multiply(vectors, np.float32(2.0 ** (_BITS - power)), dtype=np.float32)
    return np.rint(scaled, out=scaled)


def to_scores(products: Vectors, power: int) -> Vectors:
    """Return float32 scores from products of two lattices, as float32, whose powers add to ``power``."""
    return products * np.float32(2.0 ** (power - 2 * _BITS))


_CHUNKS = 128


@dataclass(frozen=True)
class Tile:
    """Some passages, in the order of their languages.

    Attributes:
        passages: Their rows.
        bounds: Language i lies between ``bounds[i]`` and ``bounds[i + 1]``.
        place: Of all passages, where each is here, or −1.
    """

    passages: Ints
    bounds: Ints
    place: Ints

    @classmethod
    def of(cls, passages: Ints, language: Ints, languages: int) -> Tile:
        """Make a tile of passages that are sorted by ``language``."""
        place = np.full(len(language), -1, np.int64)
        place[passages] = np.arange(len(passages))
        return cls(passages, np.searchsorted(language[passages], np.arange(languages + 1)), place)


@dataclass(frozen=True)
class Counter:
    """The relevant pairs, sorted by question, and what the tiles have added so far.

    Scores are whole numbers of the lattice, rounded to float32. Equal ones are put in the order of the ids.

    Attributes:
        starts: The pairs of question i lie between ``starts[i]`` and ``starts[i + 1]``.
        passage: Passage of each pair.
        score: Its score.
        language: Language of each passage.
        by_id: Place of each passage among the sorted ids.
        within: Rank of each pair's passage in its language so far.
        pooled: Its rank among all passages so far.
        top: Best passages of each question so far, −1 where there are none yet.
        top_scores: Their scores.
    """

    starts: Ints
    passage: Ints
    score: Vectors
    language: Ints
    by_id: Ints
    within: Ints
    pooled: Ints
    top: npt.NDArray[np.int32]
    top_scores: Vectors

    def read_scores(self, products: Doubles, first: int, tile: Tile) -> None:
        """Take the scores of the pairs of the questions from ``first`` on out of a tile of all passages."""
        begin, end = self.starts[first], self.starts[first + len(products)]
        row = np.repeat(np.arange(len(products)), np.diff(self.starts[first : first + len(products) + 1]))
        self.score[begin:end] = products[row, tile.place[self.passage[begin:end]]]

    def add(self, products: Doubles, first: int, tile: Tile) -> None:
        """Add what a tile says of the questions from ``first`` on."""
        depth = self.top.shape[1]
        for question, row in enumerate(products, first):
            scores = row.astype(np.float32)
            pairs = range(self.starts[question], self.starts[question + 1])
            head = max(_bound(scores, depth), self.top_scores[question, -1]) if depth else np.float32(np.inf)
            # Passages behind the head and behind the weakest relevant one change nothing.
            floor = self.score[pairs.start : pairs.stop].min(initial=head)
            near = np.flatnonzero(scores >= floor)
            scores = scores[near]
            passages, bounds = tile.passages[near], np.searchsorted(near, tile.bounds).tolist()
            for pair in pairs:
                self._count(pair, scores, passages, bounds, holds=bool(tile.place[self.passage[pair]] >= 0))
            if depth:
                in_head = scores >= head
                self._keep_head(-scores[in_head], passages[in_head], question)

    def _count(self, pair: int, scores: Vectors, passages: Ints, bounds: list[int], *, holds: bool) -> None:
        score, passage = self.score[pair], self.passage[pair]
        language = self.language[passage]
        begin, end = bounds[language], bounds[language + 1]
        above = scores > score
        ahead = np.count_nonzero(above)
        self.pooled[pair] += ahead
        self.within[pair] += np.count_nonzero(above[begin:end])
        if np.count_nonzero(scores >= score) - ahead > holds:  # others than itself
            tied = np.flatnonzero(scores == score)
            tied = tied[self.by_id[passages[tied]] < self.by_id[passage]]
            self.pooled[pair] += len(tied)
            self.within[pair] += np.count_nonzero((tied >= begin) & (tied < end))

    def _keep_head(self, falling: Vectors, near: Ints, question: int) -> None:
        depth = self.top.shape[1]
        old = np.count_nonzero(self.top[question] >= 0)
        if old:
            falling = np.concatenate([falling, -self.top_scores[question, :old]])
            near = np.concatenate([near, self.top[question, :old].astype(np.int64)])
        order = np.lexsort((self.by_id[near], falling))[:depth]
        self.top[question, : len(order)] = near[order]
        self.top_scores[question, : len(order)] = -falling[order]


def _bound(row: Vectors, depth: int) -> np.float32:
    """Return a score that at least ``depth`` passages reach: the weakest of the best of interleaved chunks.

    Far cheaper than selecting among the whole row, and only some 2 ``depth`` passages are left to sort.
    """
    chunks = max(_CHUNKS, depth + depth // 4)
    if len(row) < 4 * chunks:
        return np.float32(-np.inf)
    best = row[: len(row) // chunks * chunks].reshape(-1, chunks).max(axis=0)
    return np.partition(best, chunks - depth)[chunks - depth]
