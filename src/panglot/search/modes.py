r"""How languages are weighed: four modes, as pure functions of scores and languages.

============ =============================================================== ==========================
``plain``    cosine of question and passage
``centered`` the same after each has lost the mean of its language
``balanced`` (q·p − q·m) / √(1 − ‖m‖²), m being the mean of the passage's    every language's scores
             language: how far above its language's usual score it stands    have mean 0 and one scale
``reader``   cosine + w where the reader prefers the passage's language
============ =============================================================== ==========================

Centering wants to know the question's language, balancing does not. The mean of q·p over all passages p of a language
is q·m, and as the passages are of unit length their mean squared distance from m is 1 − ‖m‖²: so that scores become
comparable between languages, and the share of each among the results moves towards its share of the pool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy.typing as npt

    from panglot.search.answer import Mode
    from panglot.search.pool import Doubles, Pool

SPACES = ("plain", "centered")
"""The spaces of vectors that an index keeps."""


def space(mode: Mode) -> str:
    """Return the space whose cosines a mode starts from."""
    return "centered" if mode == "centered" else "plain"


def parts(
    mode: Mode, pool: Collection[str], languages: Collection[str], reader: Collection[str]
) -> tuple[tuple[str, ...] | None, ...]:
    """Return the parts of the pool to search, by language; None is all of it.

    The first k of a mode are among the first k by cosine of these parts.

    Args:
        mode: The mode.
        pool: The languages of the documents.
        languages: Those that are wanted; empty: all.
        reader: Those that the reader prefers.

    >>> parts("reader", ("de", "fr", "sw"), (), ("fr", "ja")), parts("balanced", ("de", "fr", "sw"), ("fr", "sw"), ())
    ((None, ('fr',)), (('fr',), ('sw',)))
    """
    wanted = tuple(code for code in sorted(pool) if not languages or code in languages)
    if mode == "balanced":
        return tuple((code,) for code in wanted)
    whole = wanted if languages else None
    named = tuple(code for code in wanted if code in reader)
    return (whole, named) if mode == "reader" and named else (whole,)


def added(
    mode: Mode,
    cosine: Doubles,
    languages: Sequence[str],
    question: npt.ArrayLike,
    pool: Pool,
    reader: Collection[str] = (),
    weight: float = 0.0,
) -> Doubles:
    """Return what a mode adds to the cosine of each candidate, shape ``[candidates]``.

    Args:
        mode: The mode.
        cosine: Of each candidate, in the mode's space.
        languages: Of each candidate.
        question: The question's plain vector.
        pool: Of the index.
        reader: The languages that the reader prefers.
        weight: What they get.
    """
    if mode == "balanced":
        rows = pool.rows(languages)
        expected, spread = pool.means @ np.asarray(question, np.float64), scale(pool.means)
        return (cosine - expected[rows]) / spread[rows] - cosine
    if mode == "reader":
        return np.array([weight if code in reader else 0.0 for code in languages])
    return np.zeros(len(cosine))


def scale(means: Doubles) -> Doubles:
    """Return the root of the mean squared distance of unit vectors from their mean, for each mean.

    >>> scale(np.array([[0.6, 0.0], [0.0, 0.0]])).round(3).tolist()
    [0.8, 1.0]
    """
    return np.sqrt(np.maximum(1 - (means**2).sum(axis=-1), 1e-6))


def shares(found: Sequence[str], counts: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """Return each language's share of the hits and of the pool.

    >>> shares(["de", "de", "fr", "de"], {"de": 50, "fr": 150})
    {'de': (0.75, 0.25), 'fr': (0.25, 0.75)}
    """
    total = max(sum(counts.values()), 1)
    return {code: (found.count(code) / max(len(found), 1), number / total) for code, number in counts.items()}
