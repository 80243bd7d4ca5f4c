"""What each measure is called, which way is better, and what it says in one line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from panglot.report.numbers import Kind

SETTINGS = ("monolingual", "crosslingual", "multilingual")
SETTING_LABELS = {
    "monolingual": "Monolingual",
    "crosslingual": "Cross-lingual",
    "multilingual": "Multilingual",
}
SETTING_MEANINGS = {
    "monolingual": "Passages in the question's own language.",
    "crosslingual": "Passages in one other language, mean over all pairs.",
    "multilingual": "All languages in one pool, every version wanted.",
}


@dataclass(frozen=True)
class Measure:
    """A measure as reports show it.

    Args:
        key: Its name in the dictionary of figures, such as ``complete@20``.
        label: Its name for people.
        kind: How its numbers are written.
        lower: Whether less is better.
        meaning: What it says, in one line.
    """

    key: str
    label: str
    kind: Kind
    lower: bool
    meaning: str

    @property
    def heading(self) -> str:
        """The label, with an arrow down where less is better."""
        return f"{self.label} ↓" if self.lower else self.label


_BIAS: dict[str, tuple[str, Kind, bool, str]] = {
    "rank_distance": (
        "Rank distance",
        "rank",
        True,
        "From first to last relevant passage; grows with the pool.",
    ),
    "rank_distance_share": (
        "Rank distance, share of pool",
        "percent",
        True,
        "The same as a share of the pool, to compare pools.",
    ),
    "max_rank": (
        "Largest rank",
        "rank",
        True,
        "Where a question's last relevant passage stands.",
    ),
    "complete": (
        "Complete within {k}",
        "percent",
        False,
        "Questions with all relevant passages in the first {k}.",
    ),
    "PEER": (
        "PEER@{k}",
        "score",
        False,
        "Do ranks within {k} differ by language? 0 surely; constant where all are within.",
    ),
    "language_preference_rate": (
        "Own language first",
        "percent",
        False,
        "Own language answers first: a fact, not always a fault.",
    ),
    "rank_correlation": (
        "Rank correlation",
        "score",
        False,
        "How alike are rankings asked in two languages; 1: the same.",
    ),
    "self_preference": (
        "Self-preference@{k}",
        "times",
        False,
        "Own share of the first {k} over its share of the pool; 1× fair.",
    ),
}

_RETRIEVAL = {
    "mAP": "Mean average precision: how early all relevant passages come. 1 is perfect.",
    "MRR": "One over the rank of the first relevant passage.",
    "R": "Share of the relevant passages within the first {k}.",
    "P": "Share of relevant passages among the first {k}.",
    "nDCG": "Gain of relevant passages among the first {k}, less the later they come.",
}

# What can be missing that is no measure.
_PARTS = {
    "interval": "Intervals",
    "geometry": "Geometry",
    "language_classifier": "Language classifier",
    "translation_cosine": "Cosine of translations",
}

# Numbers beside the measures of a setting that are not measures.
_SIZES = {"pool_size", "left_out", "questions"}


def measure(key: str) -> Measure:
    """Return what is known of a measure; an unknown one is a score that goes by its own name.

    >>> measure("complete@20").label, measure("rank_distance").lower, measure("nDCG@10").label
    ('Complete within 20', True, 'nDCG@10')
    """
    base, k = _parts(key)
    if key in _PARTS:
        return Measure(key, _PARTS[key], "score", False, "")
    if base in _BIAS:
        label, kind, lower, meaning = _BIAS[base]
        return Measure(key, label.format(k=k), kind, lower, meaning.format(k=k))
    return Measure(key, key, "score", False, _RETRIEVAL.get(base, "").format(k=k or "n"))


def bias_measures(keys: list[str]) -> list[Measure]:
    """Return the measures of language bias among ``keys``, in the order in which reports show them."""
    order = list(_BIAS)
    found = [key for key in keys if _parts(key)[0] in _BIAS]
    return [measure(key) for key in sorted(found, key=lambda key: (order.index(_parts(key)[0]), _cut(key)))]


def retrieval_measures(keys: list[str]) -> list[Measure]:
    """Return the other measures among ``keys``, in their own order."""
    return [measure(key) for key in keys if _parts(key)[0] not in _BIAS and key not in _SIZES]


def _parts(key: str) -> tuple[str, str]:
    found = re.fullmatch(r"(.+)@(\d+)", key)
    return (found[1], found[2]) if found else (key, "")


def _cut(key: str) -> int:
    return int(_parts(key)[1] or 0)
