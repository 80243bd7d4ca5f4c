"""Compute figures from vectors and relevance.

``evaluate`` and ``compare`` are in :mod:`panglot.evaluation.evaluate` and in :mod:`panglot`.
"""

from __future__ import annotations

from panglot.evaluation.bootstrap import PerQuestion
from panglot.evaluation.figures import Measured, headline, measure
from panglot.evaluation.measures import Measure, parse
from panglot.evaluation.ranks import Ranks, rank

__all__ = ["Measure", "Measured", "PerQuestion", "Ranks", "headline", "measure", "parse", "rank"]
