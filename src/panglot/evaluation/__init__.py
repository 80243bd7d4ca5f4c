"""Vectors and relevance in, figures out.

``evaluate`` and ``compare`` are in the modules of their names, and in :mod:`panglot` itself.
"""

from __future__ import annotations

from panglot.evaluation.figures import Measured, PerQuestion, headline, measure
from panglot.evaluation.measures import Measure, parse
from panglot.evaluation.ranks import Ranks, rank

__all__ = ["Measure", "Measured", "PerQuestion", "Ranks", "headline", "measure", "parse", "rank"]
