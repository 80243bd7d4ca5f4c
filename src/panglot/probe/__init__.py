"""Questions that English answers and another language does not, and changes that make more of them.

Carried over from questions for language models (2505.18673) to retrieval.
"""

from __future__ import annotations

from panglot.probe.changes import CHANGES, Change, Versions
from panglot.probe.pools import Parallel, RankMargins, parallel, standing
from panglot.probe.probe import Probe, probe

__all__ = ["CHANGES", "Change", "Parallel", "Probe", "RankMargins", "Versions", "parallel", "probe", "standing"]
