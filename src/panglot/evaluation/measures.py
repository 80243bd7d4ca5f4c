"""Measures of one ranking, as values: ``parse("nDCG@10")`` equals itself and can be a key.

To add a measure, write its formula as an entry of ``_FORMULAS``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from panglot._errors import PanglotError
from panglot.evaluation.ranks import UNLISTED

if TYPE_CHECKING:
    from panglot.data.collection import Ints
    from panglot.evaluation.exact_scores import Bools, Doubles


@dataclass(frozen=True, order=True)
class Measure:
    """A measure of one ranking, a fraction of 1.

    Attributes:
        kind: Name of the formula: ``mAP``, ``MRR``, ``R``, ``P``, ``Success`` or ``nDCG``.
        cut: Passages after this rank do not count. None counts the whole ranking.

    >>> str(Measure("nDCG", 10)), {Measure("mAP"): 0.8}[parse("mAP")]
    ('nDCG@10', 0.8)
    """

    kind: str
    cut: int | None = None

    def __str__(self) -> str:
        return self.kind if self.cut is None else f"{self.kind}@{self.cut}"

    def __repr__(self) -> str:
        return str(self)

    def values(self, unit: Ints, rank: Ints, relevance: Ints, units: int) -> Doubles:
        """Measure many rankings at once, given the ranks of their relevant passages.

        Args:
            unit: Ranking that each relevant passage belongs to, shape ``[relevant]``.
            rank: Rank of the passage there, from 1, or ``UNLISTED``, shape ``[relevant]``.
            relevance: Graded relevance of the passage, above 0, shape ``[relevant]``. Only nDCG uses it.
            units: Number of rankings.

        Returns:
            One value per ranking, NaN for a ranking without a relevant passage, shape ``[units]``.

        >>> np.round(Measure("mAP").values(np.array([0, 0]), np.array([1, 4]), np.array([1, 1]), 2), 3)
        array([0.75,  nan])
        """
        # Sorting one number that combines both is fast if they are nearly sorted. UNLISTED would make it overflow.
        last = int(np.where(rank < UNLISTED, rank, 0).max(initial=0)) + 1
        order = np.argsort(unit * (last + 1) + np.minimum(rank, last), kind="stable")
        unit, rank = unit[order], rank[order]
        number = np.bincount(unit, minlength=units)
        position = np.arange(1, len(unit) + 1) - (np.cumsum(number) - number)[unit]
        within = rank <= (UNLISTED - 1 if self.cut is None else self.cut)
        passages = _Relevant(unit, rank, relevance[order], position, number, within)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(number > 0, _FORMULAS[self.kind].values(passages, self.cut), np.nan)


class _Relevant(NamedTuple):
    """The relevant passages of many rankings, sorted by ranking, then by rank.

    All arrays have one entry per passage, but ``number`` has one per ranking.
    """

    unit: Ints  # the ranking
    rank: Ints  # from 1
    relevance: Ints
    position: Ints  # the number of relevant passages up to this one, itself included
    number: Ints  # of relevant passages
    within: Bools  # whether the passage is within the cut

    def sums(self, gain: Doubles | Ints | float) -> Doubles:
        """Return the sum of a gain over the passages within the cut, per ranking, shape ``[units]``."""
        return np.bincount(self.unit, np.where(self.within, gain, 0.0), len(self.number)).astype(np.float64)


def _ndcg(found: _Relevant, cut: int | None) -> Doubles:
    """Σ relevance / log₂(rank + 1) within the cut, divided by the same sum over the best order (Järvelin 2002)."""
    best = np.lexsort((-found.relevance, found.unit))
    gain = np.where(found.position <= (cut or np.inf), found.relevance[best] / np.log2(found.position + 1.0), 0.0)
    ideal = np.bincount(found.unit, gain, len(found.number))
    return found.sums(found.relevance / np.log2(found.rank + 1.0)) / ideal


class _Formula(NamedTuple):
    """A formula of the passages and the cut, other names in lower case, and whether the measure needs a cut."""

    values: Callable[[_Relevant, int | None], Doubles]
    aliases: tuple[str, ...] = ()
    needs_cut: bool = False


_FORMULAS: dict[str, _Formula] = {
    # Σ precision at the rank of each relevant passage / number of relevant passages, as `map` of trec_eval.
    "mAP": _Formula(lambda found, _: found.sums(found.position / found.rank) / found.number, ("ap",)),
    # 1 / rank of the first relevant passage.
    "MRR": _Formula(lambda found, _: found.sums(np.where(found.position == 1, 1 / found.rank, 0.0)), ("rr",)),
    # Share of the relevant passages within the cut.
    "R": _Formula(lambda found, _: found.sums(1.0) / found.number, ("recall",), needs_cut=True),
    # Share of relevant passages among the first `cut`.
    "P": _Formula(lambda found, cut: found.sums(1.0) / (cut or 1), ("precision",), needs_cut=True),
    # 1 if a relevant passage is within the cut, else 0.
    "Success": _Formula(lambda found, _: found.sums(np.where(found.position == 1, 1.0, 0.0)), needs_cut=True),
    "nDCG": _Formula(_ndcg),
}
_NAMES = {name: kind for kind, formula in _FORMULAS.items() for name in (kind.lower(), *formula.aliases)}


def parse(name: str | Measure) -> Measure:
    """Read the name of a measure: ``mAP``, ``MRR``, ``MRR@10``, ``R@10``, ``P@10``, ``Success@10``, ``nDCG@10``.

    Case does not matter, and ``AP``, ``RR``, ``Recall@k`` and ``Precision@k`` are accepted.

    Raises:
        PanglotError: No measure has this name, or it needs a cut-off.

    >>> parse("ndcg@10"), parse("Recall@100")
    (nDCG@10, R@100)
    """
    if isinstance(name, Measure):
        return name
    found = re.fullmatch(r"([A-Za-z]+)(?:@([1-9]\d*))?", name.strip())
    kind = _NAMES.get(found[1].lower()) if found else None
    if found is None or kind is None:
        hint = f"use {', '.join(_FORMULAS)}, with a cut-off as in R@10"
        raise PanglotError(f"unknown measure {name!r}", field="measures", hint=hint)
    cut = int(found[2]) if found[2] else None
    if cut is None and _FORMULAS[kind].needs_cut:
        raise PanglotError(f"{kind} needs a cut-off", field="measures", hint=f"write {kind}@10, for example")
    return Measure(kind, cut)


DEFAULT = tuple(parse(name) for name in ("mAP", "MRR", "R@1", "R@10", "R@100", "nDCG@10"))
"""Measures that are reported by default."""
