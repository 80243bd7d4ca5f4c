"""Find questions that succeed in English and fail in another language, and changes that make more of them.

This carries a method for language models (2505.18673) over to retrieval.
"""

from __future__ import annotations

from panglot.probe.changes import CHANGES, Change, Versions
from panglot.probe.pools import ParallelQuestions, RankMargins
from panglot.probe.probe import Probe, probe

__all__ = ["CHANGES", "Change", "ParallelQuestions", "Probe", "RankMargins", "Versions", "probe"]
