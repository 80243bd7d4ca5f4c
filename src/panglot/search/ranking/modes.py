r"""How languages are weighed: four modes, as pure functions of scores and languages.

============ =============================================================================
``plain``    cosine of question and passage
``centered`` the same after each has lost the mean of its language
``balanced`` centered, less half the mean of the five best scores in the passage's language
``reader``   cosine + w where the reader prefers the passage's language
============ =============================================================================

What balancing takes away is what a language's best passages score for this question, whoever they are: how far a
passage stands out among those of its own language counts, and no language is crowded out by another whose scores are
higher throughout. Half of it, because the best of a language may be best for a reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from panglot.search.ranking.stats import Doubles
    from panglot.search.result import Mode

SPACES = ("plain", "centered")
"""The spaces of vectors that an index keeps."""

HEAD, SHARE = 5, 0.5
"""Best scores of a language that balancing looks at, and the share of their mean that it takes away.

Chosen on held-out rows of MLQA dev, by mAP in the pool of all languages; see docs/search-modes.md."""


def space(mode: Mode) -> str:
    """Return the space whose cosines a mode starts from."""
    return "centered" if mode in {"centered", "balanced"} else "plain"


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
    mode: Mode, cosine: Doubles, languages: Sequence[str], reader: Collection[str] = (), weight: float = 0.0
) -> Doubles:
    """Return what a mode adds to the cosine of each candidate, shape ``[candidates]``.

    Args:
        mode: The mode.
        cosine: Of each candidate, in the mode's space; for ``balanced``, the five best of every language are there.
        languages: Of each candidate.
        reader: The languages that the reader prefers.
        weight: What they get.

    >>> added("balanced", np.array([0.6, 0.4, 0.1]), ["de", "de", "fr"]).round(3).tolist()
    [-0.25, -0.25, -0.05]
    """
    if mode == "balanced":
        spoken = np.asarray(languages, object)
        usual = {code: -SHARE * head_mean(cosine[spoken == code]) for code in set(languages)}
        return np.array([usual[code] for code in languages], np.float64)
    if mode == "reader":
        return np.array([weight if code in reader else 0.0 for code in languages], np.float64)
    return np.zeros(len(cosine))


def head_mean(scores: Doubles, head: int = HEAD) -> Doubles:
    """Return the mean of the ``head`` highest scores along the last axis; of fewer, of all."""
    many = scores.shape[-1]
    if many <= head:
        return scores.mean(axis=-1)
    return np.partition(scores, many - head, axis=-1)[..., many - head :].mean(axis=-1)


def shares(found: Sequence[str], counts: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """Return each language's share of the hits and of the pool.

    >>> shares(["de", "de", "fr", "de"], {"de": 50, "fr": 150})
    {'de': (0.75, 0.25), 'fr': (0.25, 0.75)}
    """
    total = max(sum(counts.values()), 1)
    return {code: (found.count(code) / max(len(found), 1), number / total) for code, number in counts.items()}
