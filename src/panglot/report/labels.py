"""What a language is called, and text from outside made fit to print."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal


@dataclass(frozen=True)
class LanguageName:
    """A language as reports show it.

    Args:
        code: The code that the figures hold.
        autonym: Its name in itself (``العربية``); the code where it is unknown.
        english: Its name in English; the code where it is unknown.
        tag: A valid BCP 47 tag for HTML's ``lang``, or nothing.
    """

    code: str
    autonym: str
    english: str
    tag: str | None


@lru_cache(maxsize=1024)
def language(code: str) -> LanguageName:
    """Return the names of a language; an unknown code stands for itself.

    >>> language("de").autonym, language("de").english, language("no such thing").english
    ('Deutsch', 'German', 'no such thing')
    """
    import langcodes

    shown = clean(code)
    try:
        found = langcodes.Language.get(code)
        if not found.is_valid():
            return LanguageName(shown, shown, shown, None)
        tag = found.to_tag()
    except ValueError:
        return LanguageName(shown, shown, shown, None)
    try:
        return LanguageName(shown, found.autonym(), found.display_name(), tag)
    except (ImportError, LookupError):  # langcodes keeps its names in a package of their own
        return LanguageName(shown, shown, shown, tag)


def clean(text: object) -> str:
    r"""Return ``text`` without what a terminal or a page could take for a command.

    Control characters and lone surrogates become the replacement character; line breaks and tabs a blank.

    >>> clean("a\x1b[31mb\nc")
    'a�[31mb c'
    """
    blanks = " ".join(str(text).split("\n")).replace("\t", " ").replace("\r", "")
    return "".join("�" if unicodedata.category(mark) in {"Cc", "Cs"} else mark for mark in blanks)


def short_names(models: tuple[str, ...]) -> dict[str, str]:
    """Return each model's last path segment, or its whole name where two would be the same.

    >>> short_names(("runs/mono", "runs/hybrid"))
    {'runs/mono': 'mono', 'runs/hybrid': 'hybrid'}
    >>> short_names(("a/x", "b/x"))
    {'a/x': 'a/x', 'b/x': 'b/x'}
    """
    short = {model: clean(model).rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1] for model in models}
    values = list(short.values())
    return {model: name if name and values.count(name) == 1 else clean(model) for model, name in short.items()}


Kind = Literal["score", "rank", "count", "percent", "times"]

NOTHING = "–"


def written(value: float | None, kind: Kind = "score", *, digits: int = 3, sign: bool = False) -> str:
    """Return ``value`` as text; an en dash where there is none.

    Args:
        value: The number. Scores and percentages are fractions of 1.
        kind: ``score`` writes ``.800``, ``rank`` ``1,214`` or ``77.6``, ``count`` ``48``,
            ``percent`` ``9.3%``, ``times`` ``7.3×``.
        digits: Decimals of a score; a percentage has two less.
        sign: Write a plus before what is not negative: for differences.

    >>> written(0.79971), written(1214.2, "rank"), written(0.0933, "percent"), written(7.31, "times")
    ('.800', '1,214', '9.3%', '7.31×')
    >>> written(-0.0123, sign=True), written(0.5, digits=2), written(None)
    ('−.012', '.50', '–')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    text = _unsigned(abs(value), kind, digits)
    if value < 0 and any(digit in "123456789" for digit in text):
        return f"−{text}"
    return f"+{text}" if sign else text


def interval(
    low: float | None, high: float | None, kind: Kind = "score", *, digits: int = 3, sign: bool = False
) -> str:
    """Return ``[low, high]``, or nothing where one end is missing.

    >>> interval(0.788, 0.812), interval(1180, 1250, "rank"), interval(None, 1)
    ('[.788, .812]', '[1,180, 1,250]', '')
    """
    if low is None or high is None:
        return ""
    ends = (written(end, kind, digits=digits, sign=sign) for end in (low, high))
    return f"[{', '.join(ends)}]"


def chance(p: float | None) -> str:
    """Return a p-value with its sign: ``= .012``, or ``< .001``.

    >>> chance(0.0123), chance(0.0002), chance(1.0)
    ('= .012', '< .001', '= 1.000')
    """
    if p is None:
        return NOTHING
    return "< .001" if p < 0.001 else f"= {written(p)}"


def _unsigned(value: float, kind: Kind, digits: int) -> str:
    match kind:
        case "score":
            text = f"{value:.{digits}f}"
            return text.removeprefix("0") or text
        case "rank":
            return f"{value:,.0f}" if value >= 99.95 or value == 0 else f"{value:.1f}"
        case "count":
            return f"{value:,.0f}"
        case "percent":
            return f"{100 * value:.{max(0, digits - 2)}f}%"
        case "times":
            return f"{value:.2f}×" if value < 9.995 else f"{value:.1f}×"


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
