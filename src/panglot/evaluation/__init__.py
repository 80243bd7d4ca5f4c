"""Compute figures from vectors and relevance.

``evaluate`` and ``compare`` are in the modules of their names and in :mod:`panglot`.
"""

from __future__ import annotations

from panglot.evaluation.bootstrap import PerQuestion
from panglot.evaluation.figures import Measured, headline, measure
from panglot.evaluation.measures import Measure, parse
from panglot.evaluation.ranks import Ranks, rank

__all__ = ["Measure", "Measured", "PerQuestion", "Ranks", "headline", "measure", "parse", "rank"]
