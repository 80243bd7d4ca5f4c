"""How numbers are written in every report: short, aligned, with a true minus sign."""

from __future__ import annotations

import math
from typing import Literal

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
