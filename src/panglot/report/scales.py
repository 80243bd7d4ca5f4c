"""From figures to places on a page: domains, round ticks, shares of a width."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Scale:
    """A straight scale from ``low`` to ``high``."""

    low: float
    high: float

    def share(self, value: float) -> float:
        """Return where ``value`` lies, 0 at the low end and 1 at the high end, never outside.

        >>> Scale(0, 4).share(1), Scale(0, 4).share(9), Scale(2, 2).share(2)
        (0.25, 1.0, 0.5)
        """
        if self.high <= self.low:
            return 0.5
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def percent(self, value: float) -> str:
        """Return the place of ``value`` as a CSS percentage."""
        return f"{100 * self.share(value):.2f}%"


def around(values: Iterable[float], *, least: float | None = None, most: float | None = None) -> Scale:
    """Return a scale with round ends around ``values``, within ``least`` and ``most``.

    >>> around([0.783, 0.812], least=0, most=1)
    Scale(low=0.78, high=0.82)
    >>> around([309, 1287], least=0)
    Scale(low=200.0, high=1400.0)
    """
    known = list(values)
    if not known:
        return Scale(0.0, 1.0)
    low, high = min(known), max(known)
    width = (high - low) or abs(high) * 0.1 or 1.0
    step = _round_step(width / 5)
    bottom, top = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    if least is not None:
        bottom = max(bottom, least)
    if most is not None:
        top = min(top, most)
    return Scale(round(bottom, 10), round(top, 10))


def ticks(scale: Scale, most: int = 5) -> Sequence[float]:
    """Return at most about ``most`` round values within ``scale``.

    >>> ticks(Scale(0, 1), 5)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    width = scale.high - scale.low
    if width <= 0:
        return [scale.low]
    step = _round_step(width / most)
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    return [round(place * step, 10) for place in range(first, last + 1)]


def decimals(values: Sequence[float]) -> int:
    """Return how many decimals tell ``values`` apart.

    >>> decimals([0.805, 0.81]), decimals([0.2, 0.4]), decimals([100, 200])
    (3, 1, 0)
    """
    return next((n for n in range(9) if all(abs(round(value, n) - value) < 1e-9 for value in values)), 9)


def _round_step(width: float) -> float:
    power = 10.0 ** math.floor(math.log10(width))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= width * 0.999)
