"""Measures of one ranking, as values: ``parse("nDCG@10")`` is equal to itself and can be a key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from panglot._errors import PanglotError

if TYPE_CHECKING:
    from panglot.data.collection import Ints
    from panglot.evaluation.exact_scores import Doubles

Kind = Literal["mAP", "MRR", "R", "P", "Success", "nDCG"]
_KINDS: dict[str, Kind] = {
    "map": "mAP",
    "ap": "mAP",
    "mrr": "MRR",
    "rr": "MRR",
    "r": "R",
    "recall": "R",
    "p": "P",
    "success": "Success",
    "ndcg": "nDCG",
}
_NEEDS_CUT: set[Kind] = {"R", "P", "Success"}


@dataclass(frozen=True, order=True)
class Measure:
    """A measure of one ranking, a fraction of 1.

    Attributes:
        kind: What is measured.
        cut: Ranks beyond it do not count; None for the whole ranking.

    >>> str(Measure("nDCG", 10)), {Measure("mAP"): 0.8}[parse("mAP")]
    ('nDCG@10', 0.8)
    """

    kind: Kind
    cut: int | None = None

    def __str__(self) -> str:
        return self.kind if self.cut is None else f"{self.kind}@{self.cut}"

    def __repr__(self) -> str:
        return str(self)

    def values(self, unit: Ints, rank: Ints, grade: Ints, units: int) -> Doubles:
        """Measure many rankings at once from the ranks of their relevant passages.

        Args:
            unit: Which ranking each relevant passage belongs to, shape ``[relevant]``.
            rank: Its rank there, from 1.
            grade: Its grade, above 0; only nDCG looks at it.
            units: Number of rankings.

        Returns:
            One value a ranking, NaN for a ranking without a relevant passage, shape ``[units]``:

            - mAP: mean over relevant passages of the precision at their rank (0 beyond the cut);
            - MRR: 1 / rank of the first relevant passage;
            - R: share of the relevant passages within the cut; P: share of the cut that is relevant;
            - Success: 1 if any relevant passage is within the cut;
            - nDCG: Σ grade / log₂(rank + 1), divided by that of the best order.

        >>> np.round(Measure("mAP").values(np.array([0, 0]), np.array([1, 4]), np.array([1, 1]), 2), 3)
        array([0.75,  nan])
        """
        order = np.argsort(unit * (rank.max(initial=0) + 1) + rank, kind="stable")
        unit, rank, grade = unit[order], rank[order], grade[order]
        number = np.bincount(unit, minlength=units)
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.kind == "nDCG":
                return self._ndcg(unit, rank, grade, units)
            place = _place(unit, number)
            within = np.ones(len(rank), bool) if self.cut is None else rank <= self.cut
            if self.kind == "mAP":
                gain, total = place / rank, number
            elif self.kind in {"MRR", "Success"}:
                gain = np.where(place == 1, 1 / rank if self.kind == "MRR" else 1.0, 0.0)
                total = np.sign(number)
            else:
                gain, total = (
                    np.ones(len(rank)),
                    number if self.kind == "R" else np.sign(number) * (self.cut or 1),
                )
            return np.bincount(unit, np.where(within, gain, 0.0), units) / total

    def _ndcg(self, unit: Ints, rank: Ints, grade: Ints, units: int) -> Doubles:
        best = np.lexsort((-grade, unit))
        ideal_rank = _place(unit, np.bincount(unit, minlength=units))
        sums = [
            np.bincount(unit, np.where(ranks <= (self.cut or np.inf), grades / np.log2(ranks + 1.0), 0.0), units)
            for ranks, grades in ((rank, grade), (ideal_rank, grade[best]))
        ]
        return sums[0] / sums[1]


def parse(name: str | Measure) -> Measure:
    """Read a measure's name: ``mAP``, ``MRR``, ``MRR@10``, ``R@10``, ``P@10``, ``Success@10``, ``nDCG@10``.

    Upper and lower case are the same; ``AP``, ``RR`` and ``Recall@k`` are understood.

    Raises:
        PanglotError: There is no such measure, or it needs a cut-off.

    >>> parse("ndcg@10"), parse("Recall@100")
    (nDCG@10, R@100)
    """
    if isinstance(name, Measure):
        return name
    found = re.fullmatch(r"([A-Za-z]+)(?:@([1-9]\d*))?", name.strip())
    kind = _KINDS.get(found[1].lower()) if found else None
    if found is None or kind is None:
        raise PanglotError(f"no measure is called {name!r}", field="measures", hint="use mAP, MRR, R@10, nDCG@10, …")
    cut = int(found[2]) if found[2] else None
    if cut is None and kind in _NEEDS_CUT:
        raise PanglotError(f"{kind} needs a cut-off", field="measures", hint=f"write {kind}@10, for example")
    return Measure(kind, cut)


DEFAULT = tuple(parse(name) for name in ("mAP", "MRR", "R@1", "R@10", "R@100", "nDCG@10"))
"""What is measured when nothing is said."""


def _place(unit: Ints, number: Ints) -> Ints:
    """Return the place of each element among those of its unit, from 1; ``unit`` is sorted."""
    return np.arange(1, len(unit) + 1) - (np.cumsum(number) - number)[unit]
