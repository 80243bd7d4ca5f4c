"""Scores that are the same bits whatever the order of the sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError

if TYPE_CHECKING:
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
            cure="look at the encoder: a damaged checkpoint gives such vectors",
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
